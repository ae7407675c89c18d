//! Sends requests and writes what came back. See `weir_tools::drive`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use weir_tools::args::{Args, finish};
use weir_tools::drive::{self, Drive, Mix, Plan, Seen};

const USAGE: &str = "usage: drive --url http://HOST:PORT [--key KEY] [--requests N] [--duration 30s] [--concurrency N] [--rate R]
             [--mix KIND:MODEL[:SHARE]]... (kinds: chat stream messages messages-stream embeddings completions tools)
             [--words SIMWORDS]... [--body-bytes N] [--questions N] [--max-tokens N] [--include-usage]
             [--abort-percent N --abort-within 50ms] [--slow BYTES_PER_SECOND]
             [--retry-connect] [--timeout 60s] [--http2] [--light] [--gaps] [--seed N] [--prefix TEXT]
             [--log FILE] [--threads N] [--expect-complete]
prints a summary as JSON; with --expect-complete fails unless each request that did not leave was answered in full";

fn main() -> ExitCode {
    finish(run(), USAGE)
}

fn run() -> Result<bool, String> {
    let mut args = Args::parse(
        std::env::args().skip(1),
        &["include-usage", "retry-connect", "http2", "light", "gaps", "expect-complete"],
    )?;
    let threads: usize = args.or("threads", 1)?;
    let strict = args.flag("expect-complete");
    let drive = drive_of(&mut args)?;
    args.done()?;
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().map_err(|cause| cause.to_string())?;
    let summary = runtime.block_on(drive::run(drive))?;
    let wrong =
        [Seen::Refused, Seen::Broken, Seen::Failed, Seen::TimedOut].iter().any(|end| summary.ended(*end) > 0);
    writeln!(std::io::stdout(), "{}", summary.json()).map_err(|cause| cause.to_string())?;
    Ok(!(strict && wrong))
}

fn drive_of(args: &mut Args) -> Result<Drive, String> {
    let url: String = args.get("url")?.ok_or("--url is needed")?;
    let address = url.strip_prefix("http://").ok_or("--url must begin with http://")?;
    let duration = args.time("duration")?;
    let seed: u64 = args.or("seed", 1)?;
    let mix = args
        .all("mix")
        .iter()
        .map(|text| Mix::parse(text).ok_or(format!("--mix: `{text}`")))
        .collect::<Result<Vec<_>, _>>()?;
    let plan = Plan {
        seed,
        prefix: args.or("prefix", format!("drive-{seed}"))?,
        mix: if mix.is_empty() { Mix::parse("chat:demo/echo").into_iter().collect() } else { mix },
        words: args.all("words"),
        body_bytes: args.or("body-bytes", 0)?,
        questions: args.get("questions")?,
        max_tokens: args.get("max-tokens")?,
        include_usage: args.flag("include-usage"),
        abort_percent: args.or("abort-percent", 0)?,
        abort_within: args.time("abort-within")?.unwrap_or(Duration::from_millis(100)),
        slow: args.get("slow")?,
    };
    Ok(Drive {
        address: address.trim_end_matches('/').to_owned(),
        key: args.get("key")?,
        requests: args.or("requests", if duration.is_some() { u64::MAX } else { 100 })?,
        duration,
        concurrency: args.or("concurrency", 10)?,
        rate: args.get("rate")?,
        plan,
        retry_connect: args.flag("retry-connect"),
        timeout: args.time("timeout")?.unwrap_or(Duration::from_secs(60)),
        http2: args.flag("http2"),
        light: args.flag("light"),
        gaps: args.flag("gaps"),
        log: args.get("log")?,
    })
}
