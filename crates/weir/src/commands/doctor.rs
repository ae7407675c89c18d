//! `weir doctor`: what is wrong with the installation, and what repairs it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use weir_config::Environment;
use weir_gateway::{Metrics, Snapshot};

use super::{CommandError, DoctorArgs, Global, Output, check};
use crate::app::{Source, with_cause};
use crate::clock;

/// Data older than this gets a warning, in days.
const OLD: i64 = 120;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    state: State,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Bad,
}

/// Looks at everything, and prints what it finds.
///
/// # Errors
/// Something that keeps weir from working.
pub async fn run(
    args: &DoctorArgs,
    global: &Global,
    environment: Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let findings = examine(global, environment).await;
    if let Some(file) = &args.bundle {
        bundle(file, &findings)?;
        output.note(&format!("the report is in {}; it holds no keys and no prompts", file.display()))?;
    }
    match output.json {
        true => output.json(&findings)?,
        false => print(&findings, output)?,
    }
    match findings.iter().find(|finding| finding.state == State::Bad) {
        Some(bad) => Err(CommandError::Failed(format!("{}: {}", bad.what, bad.says))),
        None => Ok(()),
    }
}

async fn examine(global: &Global, environment: Environment) -> Vec<Finding> {
    let mut findings = vec![machine_clock()];
    let file = weir_config::find_file(global.config.as_deref(), &environment);
    let source = Source { file, environment, listen: None };
    let resolved = match source.resolve() {
        Ok(resolved) => resolved,
        Err(error) => {
            findings.push(bad(
                "configuration",
                error.to_string(),
                "change what is named above; `weir check` repeats it",
            ));
            return findings;
        }
    };
    let config = resolved.loaded.config.clone();
    let says = resolved
        .loaded
        .file
        .as_ref()
        .map_or_else(|| "no file, built-in defaults".to_owned(), |file| file.display().to_string());
    findings.push(ok("configuration", says));
    findings.push(folder(&config.data_dir));
    findings.push(store(&config).await);
    match resolved.snapshot(&Metrics::new(env!("CARGO_PKG_VERSION")), None) {
        Ok(snapshot) => examine_providers(&snapshot, &mut findings).await,
        Err(error) => findings.push(bad("configuration", error.to_string(), "change what is named above")),
    }
    findings
}

async fn examine_providers(snapshot: &Snapshot, findings: &mut Vec<Finding>) {
    for provider in snapshot.providers.values() {
        let what = format!("provider {}", provider.name);
        findings.push(match check::reach_one(provider).await {
            Ok(live) => ok(&what, live.told()),
            Err(why) => Finding {
                what,
                state: State::Warning,
                says: why,
                fix: Some(format!("look at `providers.{}`: key, base_url, network", provider.name)),
            },
        });
    }
    let unpriced: Vec<String> = snapshot
        .public_names()
        .flat_map(|route| route.targets.iter())
        .filter(|target| target.schedule.is_unknown())
        .map(|target| format!("{}/{}", target.provider.name, target.model))
        .collect();
    findings.push(match unpriced.as_slice() {
        [] => ok("prices", "every target of a public name has one".to_owned()),
        missing => Finding {
            what: "prices".to_owned(),
            state: State::Warning,
            says: format!("not known for {}", missing.join(", ")),
            fix: Some("write them under `prices.overrides`".to_owned()),
        },
    });
    findings.push(age(snapshot));
}

fn age(snapshot: &Snapshot) -> Finding {
    let newest = snapshot.catalog.models().map(|model| model.date.unix()).max().unwrap_or(0);
    let days = (clock::unix_seconds() - newest) / 86_400;
    let says = format!("prices and models are {days} days old");
    match days > OLD {
        true => Finding {
            what: "data".to_owned(),
            state: State::Warning,
            says,
            fix: Some("take a newer weir, or write what changed under `prices.overrides`".to_owned()),
        },
        false => ok("data", says),
    }
}

fn machine_clock() -> Finding {
    // Older than this source: the clock was never set.
    match clock::unix_seconds() > 1_760_000_000 {
        true => ok("clock", "plausible".to_owned()),
        false => bad(
            "clock",
            "is in the past".to_owned(),
            "set the machine's clock: rows, prices and TLS depend on it",
        ),
    }
}

fn folder(folder: &Path) -> Finding {
    let probe = folder.join(format!(".weir-doctor-{}", std::process::id()));
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => ok("data folder", format!("{} can be written to", folder.display())),
        Err(error) => bad(
            "data folder",
            format!("{}: {error}", folder.display()),
            "make it writable, or set `data_dir`",
        ),
    }
}

async fn store(config: &weir_config::Config) -> Finding {
    let opened = tokio::time::timeout(
        Duration::from_secs(10),
        weir_store::open(config.store.url.expose(), &config.data_dir),
    )
    .await;
    let store = match opened {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => {
            return bad(
                "store",
                with_cause(&error).to_string(),
                "look at `store.url`, and whether the database runs",
            );
        }
        Err(_) => {
            return bad(
                "store",
                "does not answer within 10s".to_owned(),
                "look at `store.url`, and whether the database runs",
            );
        }
    };
    let finding = match store.check_totals().await {
        Ok(totals) if totals.is_exact() => {
            ok("store", format!("{} calls, {} attempts, sums exact", totals.calls, totals.attempts))
        }
        Ok(totals) => bad(
            "store",
            format!("{} sums differ from their rows", totals.mismatches.len() + totals.unbalanced.len()),
            "keep the database as it is and report this",
        ),
        Err(error) => bad("store", with_cause(&error).to_string(), "look at the database's log"),
    };
    drop(store.close().await);
    finding
}

fn ok(what: &str, says: String) -> Finding {
    Finding { what: what.to_owned(), state: State::Ok, says, fix: None }
}

fn bad(what: &str, says: String, fix: &str) -> Finding {
    Finding { what: what.to_owned(), state: State::Bad, says, fix: Some(fix.to_owned()) }
}

fn print(findings: &[Finding], output: &mut Output<'_>) -> Result<(), CommandError> {
    for finding in findings {
        let mark = match finding.state {
            State::Ok => "✓",
            State::Warning => "!",
            State::Bad => "✗",
        };
        output.text(&format!("{mark} {:<14} {}\n", finding.what, finding.says))?;
        if let Some(fix) = &finding.fix {
            output.text(&format!("  {:<14} → {fix}\n", ""))?;
        }
    }
    Ok(())
}

fn bundle(file: &Path, findings: &[Finding]) -> Result<(), CommandError> {
    let report = serde_json::json!({
        "weir": env!("CARGO_PKG_VERSION"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "findings": findings,
    });
    let text =
        serde_json::to_string_pretty(&report).map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(std::fs::write(file, text)?)
}
