//! A TCP proxy that does harm. See `weir_tools::cut`.

use std::io::Write as _;
use std::process::ExitCode;

use weir_tools::args::{Args, finish};
use weir_tools::cut::{self, Cut, Direction, Harm, When};

const USAGE: &str = "usage: cut --to HOST:PORT [--listen 127.0.0.1:0] [--delay 20ms] [--rate BYTES_PER_SECOND]
           [--after-bytes N | --after-pattern TEXT] [--direction up|down] [--harm reset|close|stall|swallow] [--skip N] [--times N]
prints `listening on ADDRESS`; the first --skip moments pass, then harm is done at most --times times";

fn main() -> ExitCode {
    finish(run(), USAGE)
}

fn run() -> Result<bool, String> {
    let mut args = Args::parse(std::env::args().skip(1), &[])?;
    let when = match (args.get("after-bytes")?, args.get::<String>("after-pattern")?) {
        (Some(bytes), None) => When::Bytes(bytes),
        (None, Some(pattern)) => When::Pattern(pattern.into_bytes()),
        (None, None) => When::Never,
        _ => return Err("--after-bytes and --after-pattern exclude each other".to_owned()),
    };
    let cut = Cut {
        listen: args.or("listen", std::net::SocketAddr::from(([127, 0, 0, 1], 0)))?,
        to: args.get("to")?.ok_or("--to is needed")?,
        delay: args.time("delay")?.unwrap_or_default(),
        rate: args.get("rate")?,
        direction: match args.or("direction", "down".to_owned())?.as_str() {
            "up" => Direction::Up,
            "down" => Direction::Down,
            other => return Err(format!("--direction: no `{other}`")),
        },
        when,
        harm: match args.or("harm", "reset".to_owned())?.as_str() {
            "reset" => Harm::Reset,
            "close" => Harm::Close,
            "stall" => Harm::Stall,
            "swallow" => Harm::Swallow,
            other => return Err(format!("--harm: no `{other}`")),
        },
        times: args.or("times", u64::MAX)?,
        skip: args.or("skip", 0)?,
    };
    args.done()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| cause.to_string())?;
    runtime.block_on(async {
        let mut running = cut::start(cut).await.map_err(|cause| cause.to_string())?;
        let mut out = std::io::stdout();
        writeln!(out, "listening on {}", running.address)
            .and_then(|()| out.flush())
            .map_err(|cause| cause.to_string())?;
        running.wait().await;
        Ok(true)
    })
}
