//! audit against the ledger's own schema.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};
use weir_tools::audit::{self, Books, Report};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite/0001_ledger.sql");
const CALL: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

async fn ledger(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let schema = std::fs::read_to_string(SCHEMA).unwrap();
    run(&pool, &schema).await;
    let row = format!(
        "INSERT INTO calls (\"id\", \"day\", \"request_id\", \"started_at\", \"ended_at\", \"key\", \"dialect\", \"operation\", \"route\", \"provider\", \"model\", \"stream\", \"status\", \"end\", \"attempts\", \"cache\", \"input\", \"cache_read\", \"cache_write_5m\", \"cache_write_1h\", \"audio_in\", \"image_in\", \"output\", \"reasoning\", \"audio_out\", \"usage_source\", \"cost_nanousd\", \"duration_ms\", \"overhead_us\")
         VALUES ('{CALL}', 20000, 'r-1', 1, 2, 'local', 'openai', 'chat', 'm', 'openai', 'gpt-4o-mini', 1, 200, 'complete', 1, 'off', 10, 0, 0, 0, 0, 0, 5, 0, 0, 'reported', 4500, 1, 1)"
    );
    run(&pool, &row).await;
    let row = format!(
        "INSERT INTO attempts (\"call_id\", \"n\", \"day\", \"started_at\", \"ended_at\", \"key\", \"route\", \"provider\", \"model\", \"state\", \"upstream_status\", \"input\", \"cache_read\", \"cache_write_5m\", \"cache_write_1h\", \"audio_in\", \"image_in\", \"output\", \"reasoning\", \"audio_out\", \"usage_source\", \"cost_nanousd\", \"duration_ms\")
         VALUES ('{CALL}', 1, 20000, 1, 2, 'local', 'm', 'openai', 'gpt-4o-mini', 'ok', 200, 10, 0, 0, 0, 0, 0, 5, 0, 0, 'reported', 4500, 1)"
    );
    run(&pool, &row).await;
    run(&pool, "INSERT INTO spend_daily VALUES (20000, 'local', '', 'm', 'openai', 'gpt-4o-mini', 1, 0, 1, 10, 0, 0, 0, 0, 0, 5, 0, 0, 4500)").await;
    pool
}

async fn run(pool: &SqlitePool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn report(path: &Path, truth: &Path) -> Report {
    let books = Books::open(&format!("sqlite:{}", path.display())).await.unwrap();
    books.integrity().await.unwrap();
    let truths = audit::read_truth(&[truth]).unwrap();
    let (calls, attempts) = audit::read(&books).await.unwrap();
    let prices = audit::Prices::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/prices.json"))).unwrap();
    let mut report = audit::check(&truths, &[], &calls, &attempts, Some(&prices)).unwrap();
    audit::check_totals(&books, &mut report).await.unwrap();
    report
}

#[tokio::test]
async fn a_ledger_is_read_and_its_sums_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (file, truth) = (folder.path().join("weir.db"), folder.path().join("truth.jsonl"));
    let lines = format!(
        "{{\"event\":\"start\",\"call\":0,\"attempt\":\"{CALL}-1\",\"provider\":\"openai\",\"operation\":\"chat\",\"model\":\"gpt-4o-mini\",\"at_us\":1,\"bytes_in\":1,\"stream\":true}}\n\
         {{\"event\":\"end\",\"call\":0,\"attempt\":\"{CALL}-1\",\"provider\":\"openai\",\"model\":\"gpt-4o-mini\",\"at_us\":1,\"status\":200,\"bytes_out\":1,\"end\":\"completed\",\"usage_sent\":true,\"reported\":{{\"input\":10,\"output\":5}},\"billed\":{{\"input\":10,\"output\":5}}}}\n"
    );
    std::fs::write(&truth, lines).unwrap();
    let pool = ledger(&file).await;
    let good = report(&file, &truth).await;
    assert_eq!((good.found, good.settled, good.settled_nanousd), (Vec::new(), 1, 4500));
    run(&pool, "UPDATE spend_daily SET cost_nanousd = 4499").await;
    let wrong = report(&file, &truth).await.found;
    assert_eq!((wrong.len(), wrong[0].kind), (1, "totals"), "{wrong:?}");
    run(&pool, "DELETE FROM attempts").await;
    let kinds: Vec<_> = report(&file, &truth).await.found.iter().map(|found| found.kind).collect();
    assert!(kinds.contains(&"lost"), "{kinds:?}");
}
