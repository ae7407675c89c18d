//! Starts one simulator for tests and benches: `weir-sim --listen 127.0.0.1:4010 --provider all --truth truth.jsonl`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use weir_sim::{Provider, Script, Sim, SimConfig, Tls};

const USAGE: &str =
    "usage: weir-sim [--listen ADDR] [--provider openai|anthropic|gemini|bedrock|ollama|all|demo] [--truth FILE]
                [--script FILE] [--tls-cert PEM --tls-key PEM] [--workers N] [--capture N]
                [--key KEY]... [--no-key] [--lenient]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "weir-sim: {why}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (config, workers) = options(std::env::args().skip(1))?;
    let mut builder = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    let runtime = builder.enable_all().build().map_err(|cause| cause.to_string())?;
    runtime.block_on(async {
        let mut sim = Sim::start(config).await.map_err(|cause| cause.to_string())?;
        let mut out = std::io::stdout();
        writeln!(out, "listening on {}", sim.addr)
            .and_then(|()| out.flush())
            .map_err(|cause| cause.to_string())?;
        let _ = (&mut sim.handle).await;
        Ok(())
    })
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<(SimConfig, usize), String> {
    let mut config = SimConfig::default();
    let mut workers = 1;
    let (mut cert, mut key) = (None, None);
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let mut value =
            || inline.clone().or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--listen" => {
                config.listen = value()?.parse().map_err(|_| "--listen needs ADDRESS:PORT".to_owned())?
            }
            "--provider" => {
                let provider = value()?;
                if provider == "demo" {
                    config = SimConfig { listen: config.listen, ..SimConfig::demo() };
                } else {
                    config.provider =
                        Provider::from_name(&provider).ok_or_else(|| format!("no provider `{provider}`"))?;
                }
            }
            "--truth" => config.truth_log = Some(PathBuf::from(value()?)),
            "--script" => config.script = Script::from_json(&read(&value()?)?)?,
            "--tls-cert" => cert = Some(read(&value()?)?),
            "--tls-key" => key = Some(read(&value()?)?),
            "--workers" => workers = number(&value()?)?.max(1),
            "--capture" => config.capture = number(&value()?)?,
            "--key" => config.keys.get_or_insert_default().push(value()?),
            "--no-key" => config.require_key = false,
            "--lenient" => config.strict_fields = false,
            other => return Err(format!("unknown option {other}")),
        }
    }
    config.tls = match (cert, key) {
        (Some(cert_pem), Some(key_pem)) => Some(Tls { cert_pem, key_pem }),
        (None, None) => None,
        _ => return Err("--tls-cert and --tls-key go together".to_owned()),
    };
    Ok((config, workers))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|cause| format!("{path}: {cause}"))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}
