//! The ledger's tables, read as JSON so that both databases are read by the same code.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

use super::logs::Tokens;

/// A row of `attempts`.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    /// The call it served.
    pub call_id: String,
    /// Its place among the call's attempts.
    pub n: i64,
    /// When it ended, microseconds since 1970.
    pub ended_at: i64,
    /// The provider's name.
    pub provider: String,
    /// The model's name upstream.
    pub model: String,
    /// Its final state.
    pub state: String,
    /// Upstream's status.
    pub upstream_status: Option<i64>,
    /// Where its numbers come from.
    pub usage_source: String,
    /// Why they are not the provider's.
    pub reason: Option<String>,
    /// The price it was charged by.
    pub price_id: Option<String>,
    /// Its cost; none: no price.
    pub cost_nanousd: Option<i64>,
    /// Its tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
}

impl Attempt {
    /// The id that was sent upstream.
    pub fn id(&self) -> String {
        format!("{}-{}", self.call_id, self.n)
    }
}

/// A row of `calls`.
#[derive(Debug, Clone, Deserialize)]
pub struct Call {
    /// weir's id.
    pub id: String,
    /// The client's id.
    pub request_id: String,
    /// The status that was answered.
    pub status: i64,
    /// How it ended.
    pub end: String,
    /// How many attempts it says it had.
    pub attempts: i64,
    /// Whether a stream was asked.
    #[serde(deserialize_with = "truth")]
    pub stream: bool,
    /// Where its numbers come from.
    pub usage_source: String,
    /// Its cost.
    pub cost_nanousd: Option<i64>,
    /// What was asked.
    pub operation: String,
    /// What is not counted in tokens, as JSON.
    pub units: Option<String>,
    /// Its tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
}

/// A sum by day, key, team, route, provider and model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Daily {
    pub(super) line: String,
    pub(super) calls: i64,
    pub(super) unpriced_calls: i64,
    pub(super) attempts: i64,
    pub(super) tokens: i64,
    pub(super) cost: i64,
}

/// A connection to the ledger's database.
#[derive(Debug, Clone)]
pub enum Books {
    /// SQLite, opened for reading.
    Sqlite(SqlitePool),
    /// Postgres.
    Postgres(PgPool),
}

const ATTEMPTS: [&str; 20] = [
    "call_id",
    "n",
    "ended_at",
    "provider",
    "model",
    "state",
    "upstream_status",
    "usage_source",
    "reason",
    "price_id",
    "cost_nanousd",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_in",
    "image_in",
    "output",
    "reasoning",
    "audio_out",
];

const CALLS: [&str; 19] = [
    "id",
    "operation",
    "units",
    "request_id",
    "status",
    "end",
    "attempts",
    "stream",
    "usage_source",
    "cost_nanousd",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_in",
    "image_in",
    "output",
    "reasoning",
    "audio_out",
];

impl Books {
    /// Connects to `sqlite:FILE` (or a bare path) or `postgres://…`.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(url: &str) -> Result<Self, String> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let pool = PgPoolOptions::new().max_connections(1).connect(url).await;
            return pool.map(Self::Postgres).map_err(|cause| format!("connecting to Postgres: {cause}"));
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = path.strip_prefix("//").unwrap_or(path);
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
        let options = options.busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        pool.map(Self::Sqlite).map_err(|cause| format!("opening {path}: {cause}"))
    }

    /// Rows of a query that gives one JSON text each.
    pub(super) async fn json<T: DeserializeOwned>(&self, sql: String) -> Result<Vec<T>, String> {
        let texts: Result<Vec<String>, sqlx::Error> = match self {
            Self::Sqlite(pool) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await,
        };
        let texts = texts.map_err(|cause| format!("reading the ledger: {cause}"))?;
        texts
            .iter()
            .map(|text| serde_json::from_str(text).map_err(|cause| format!("{cause}: {text}")))
            .collect()
    }

    async fn rows<T: DeserializeOwned>(&self, table: &str, columns: &[&str]) -> Result<Vec<T>, String> {
        let sql = match self {
            Self::Sqlite(_) => {
                let pairs: Vec<String> = columns.iter().map(|name| format!("'{name}', \"{name}\"")).collect();
                format!("SELECT json_object({}) FROM {table}", pairs.join(", "))
            }
            Self::Postgres(_) => {
                let names: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
                format!("SELECT row_to_json(t)::text FROM (SELECT {} FROM {table}) t", names.join(", "))
            }
        };
        self.json(sql).await
    }

    /// Whether SQLite finds its file whole; Postgres is not asked.
    ///
    /// # Errors
    /// What it finds.
    pub async fn integrity(&self) -> Result<(), String> {
        let Self::Sqlite(pool) = self else { return Ok(()) };
        let found: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(pool)
            .await
            .map_err(|cause| cause.to_string())?;
        if found == "ok" { Ok(()) } else { Err(format!("integrity_check: {found}")) }
    }
}

/// All calls and attempts.
///
/// # Errors
/// When they cannot be read.
pub async fn read(books: &Books) -> Result<(Vec<Call>, Vec<Attempt>), String> {
    Ok((books.rows("calls", &CALLS).await?, books.rows("attempts", &ATTEMPTS).await?))
}

/// A truth value as either database writes it.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Bool(value) => value,
        value => value.as_i64() != Some(0),
    })
}
