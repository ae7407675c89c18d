//! weir: a gateway for large language models that any OpenAI client can use.
//!
//! The process: HTTP front, commands, telemetry, wiring. Read `run.rs` for its life and `router.rs` for what it answers.

mod accounts;
mod adapters;
mod admin;
mod alerts;
mod app;
mod banner;
mod call_log;
mod client_body;
mod clock;
mod commands;
mod data;
mod demo;
mod extract;
mod handlers;
mod idempotency;
mod identity;
mod listed;
mod live;
mod otlp;
mod overload;
mod patience;
mod redact;
mod reload;
mod respond;
mod router;
mod routes;
mod run;
mod seal;
mod seats;
mod serve;
mod sockets;
mod telemetry;

use std::io::IsTerminal;
use std::process::ExitCode;

use commands::{Cli, Command, CommandError, Output, SchemaArgs, SchemaKind, ServeArgs};
use weir_config::Environment;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Several libraries link rustls; without a default provider their first use of TLS would panic.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("weir: TLS can't be set up");
        return ExitCode::FAILURE;
    }
    let cli = match commands::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let (mut answer, mut notes) = (std::io::stdout().lock(), std::io::stderr());
    let mut output = Output::new(&mut answer, &mut notes, cli.global.json);
    if std::io::stdout().is_terminal() {
        output.width = commands::output::terminal_width();
    }
    let environment = Environment::from_process();
    let result = match commands::run_offline(&cli, &environment, &mut output) {
        Some(result) => result,
        None => run_online(&cli, environment, &mut output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough is no failure: `weir models | head`.
        Err(CommandError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The commands that need a runtime.
fn run_online(cli: &Cli, environment: Environment, output: &mut Output<'_>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_unpark(weir_gateway::gather::slept)
        .build()?;
    let global = &cli.global;
    runtime.block_on(async {
        match &cli.command {
            None => commands::serve::run(&ServeArgs::default(), global, environment).await,
            Some(Command::Serve(args)) => commands::serve::run(args, global, environment).await,
            Some(Command::Check(args)) => commands::check::run(args, global, environment, output).await,
            Some(Command::Doctor(args)) => commands::doctor::run(args, global, environment, output).await,
            Some(Command::Spend(args)) => commands::spend::run(args, global, &environment, output).await,
            Some(Command::Logs(args)) => commands::logs::run(args, global, &environment, output).await,
            Some(Command::Top(args)) => commands::top::run(args, global, &environment, output).await,
            Some(Command::Chat(args)) => commands::chat::run(args, global, &environment, output).await,
            Some(Command::Keys(args)) => {
                commands::accounts::keys::run(args, global, &environment, output).await
            }
            Some(Command::Teams(args)) => {
                commands::accounts::teams::run(args, global, &environment, output).await
            }
            Some(Command::Budgets(args)) => {
                commands::accounts::budgets::run(args, global, &environment, output).await
            }
            Some(Command::Explain(args)) => commands::explain::run(args, global, environment, output),
            Some(Command::Simulate(args)) => commands::simulate::run(args, output).await,
            Some(Command::Schema(SchemaArgs { kind: SchemaKind::Openapi })) => {
                Ok(output.json(&handlers::openapi::document())?)
            }
            Some(_) => Err(CommandError::Usage("this command needs no gateway".to_owned())),
        }
    })
}
