//! Kills or freezes a command at seeded moments. See `weir_tools::chaos`.

use std::process::ExitCode;
use std::time::Duration;

use weir_tools::args::{Args, finish, span};
use weir_tools::chaos::{self, Chaos, Harm};

const USAGE: &str = "usage: chaos [--seed N] [--times N] [--between 2s..10s] [--harm kill|terminate|freeze] [--for 2s] [--pause 0ms]
             [--after 10s] -- COMMAND [ARGUMENT]...
prints the seed and each harm with its time; ends with the command after --after, or on SIGTERM";

fn main() -> ExitCode {
    finish(run(), USAGE)
}

fn run() -> Result<bool, String> {
    let mut args = Args::parse(std::env::args().skip(1), &[])?;
    let time = args.time("for")?.unwrap_or(Duration::from_secs(2));
    let harm = match args.or("harm", "kill".to_owned())?.as_str() {
        "kill" => Harm::Kill,
        "terminate" => Harm::Terminate,
        "freeze" => Harm::Freeze(time),
        other => return Err(format!("--harm: no `{other}`")),
    };
    let between: String = args.or("between", "2s..10s".to_owned())?;
    let chaos = Chaos {
        seed: args.get("seed")?.unwrap_or_else(rand::random),
        harm,
        times: args.or("times", 5)?,
        between: span(&between).ok_or("--between: use 2s..10s")?,
        pause: args.time("pause")?.unwrap_or(Duration::ZERO),
        after: args.time("after")?,
        command: args.done()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| cause.to_string())?;
    runtime.block_on(chaos::run(&chaos)).map(|()| true)
}
