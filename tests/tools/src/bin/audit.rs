//! Checks the books against the truth. See `weir_tools::audit`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use weir_tools::args::{Args, finish};
use weir_tools::audit::{self, Books, Prices, Report};

const USAGE: &str = "usage: audit --db sqlite:FILE|postgres://… [--truth FILE]... [--drive FILE]... [--prices FILE]
             [--totals] [--max-unsettled N] [--wait 30s] [--show N]
prints what is wrong, then a summary as JSON; fails if anything is. With --wait, rows may take so long to be drained.";

fn main() -> ExitCode {
    finish(run(), USAGE)
}

struct Options {
    db: String,
    truth: Vec<String>,
    drive: Vec<String>,
    prices: Option<Prices>,
    totals: bool,
    most_unsettled: usize,
}

fn run() -> Result<bool, String> {
    let mut args = Args::parse(std::env::args().skip(1), &["totals"])?;
    let wait = args.time("wait")?.unwrap_or(Duration::ZERO);
    let show: usize = args.or("show", 20)?;
    let prices = args.get::<String>("prices")?.map(|path| Prices::read(Path::new(&path))).transpose()?;
    let options = Options {
        db: args.get("db")?.ok_or("--db is needed")?,
        truth: args.all("truth"),
        drive: args.all("drive"),
        prices,
        totals: args.flag("totals"),
        most_unsettled: args.or("max-unsettled", usize::MAX)?,
    };
    args.done()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| cause.to_string())?;
    let began = Instant::now();
    let report = runtime.block_on(async {
        loop {
            let report = audit(&options).await?;
            if report.found.is_empty() || began.elapsed() >= wait {
                return Ok::<Report, String>(report);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })?;
    print(&report, show).map_err(|cause| cause.to_string())?;
    Ok(report.found.is_empty())
}

async fn audit(options: &Options) -> Result<Report, String> {
    let books = Books::open(&options.db).await?;
    books.integrity().await?;
    let truths = audit::read_truth(&options.truth)?;
    let lines = audit::read_drive(&options.drive)?;
    let (calls, attempts) = audit::read(&books).await?;
    let mut report = audit::check(&truths, &lines, &calls, &attempts, options.prices.as_ref())?;
    if options.totals {
        audit::check_totals(&books, &mut report).await?;
    }
    if report.unsettled() > options.most_unsettled {
        let what = format!(
            "{} attempts have no usage of the provider's, {} may",
            report.unsettled(),
            options.most_unsettled
        );
        report.found.push(audit::Found { kind: "state", what });
    }
    Ok(report)
}

fn print(report: &Report, show: usize) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut kinds = std::collections::BTreeMap::from(
        ["lost", "duplicated", "mispriced", "state", "totals"].map(|kind| (kind, 0)),
    );
    for found in &report.found {
        let count = kinds.entry(found.kind).or_insert(0);
        *count += 1;
        if *count <= show {
            writeln!(out, "{}: {}", found.kind, found.what)?;
        }
    }
    let summary = json!({
        "reached_the_provider": report.truths,
        "settled": report.settled,
        "settled_nanousd": report.settled_nanousd,
        "unsettled": report.unsettled,
        "wrong": kinds,
    });
    writeln!(out, "{summary}")
}
