//! The command line: what can be said, and who does it.
//!
//! [`parse`] reads the arguments. What needs no gateway is done here ([`run_offline`]); the others each have a
//! function in the file of their name, called from `main`.

pub mod accounts;
pub mod chat;
pub mod check;
mod completions;
pub mod doctor;
mod env;
pub mod explain;
pub mod gateway;
mod init;
pub mod logs;
mod man;
mod models;
pub mod output;
mod providers;
mod schema;
pub mod serve;
pub mod simulate;
pub mod spend;
pub mod top;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use weir_config::{ConfigError, Environment, Listen, Loaded, Outside};

pub use accounts::budgets::BudgetsArgs;
pub use accounts::keys::KeysArgs;
pub use accounts::teams::TeamsArgs;
pub use chat::ChatArgs;
pub use completions::CompletionsArgs;
pub use env::EnvArgs;
pub use init::InitArgs;
pub use logs::LogsArgs;
pub use man::ManArgs;
pub use models::ModelsArgs;
pub use output::Output;
pub use schema::{SchemaArgs, SchemaKind};
pub use top::TopArgs;

/// An OpenAI-compatible gateway to many providers, with exact cost.
///
/// `weir` alone is `weir serve`. Commands exit with 0 on success, 1 on failure and 2 on wrong usage.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Examples:\n  weir                        serve with what is found in the environment\n  weir init                   write a weir.yaml\n  weir check                  see what is wrong with it\n  weir env openai             point a client here"
)]
pub struct Cli {
    /// What holds for all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do; `serve` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of all commands.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Configuration file [default: $WEIR_CONFIG, else ./weir.yaml where it exists]
    #[arg(long, global = true, help_heading = "Options of all commands", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the running gateway [default: $WEIR_URL, else the configuration's]
    #[arg(long, global = true, help_heading = "Options of all commands", value_name = "URL")]
    pub url: Option<String>,
    /// Key to show to the gateway [default: $WEIR_MASTER_KEY]
    #[arg(
        long,
        global = true,
        help_heading = "Options of all commands",
        value_name = "KEY",
        hide_default_value = true
    )]
    pub key: Option<String>,
    /// Print JSON instead of tables
    #[arg(long, global = true, help_heading = "Options of all commands")]
    pub json: bool,
}

/// What weir can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway
    #[command(after_help = "Example:\n  weir serve --config weir.yaml --listen 127.0.0.1:4000")]
    Serve(ServeArgs),
    /// Say what is wrong with a configuration, and show what it makes
    #[command(after_help = "Example:\n  weir check weir.yaml --live")]
    Check(CheckArgs),
    /// Look for what is wrong with the installation, and print the fix
    #[command(after_help = "Example:\n  weir doctor --bundle report.json")]
    Doctor(DoctorArgs),
    /// Ask a few questions and write weir.yaml
    #[command(
        after_help = "Examples:\n  weir init\n  weir init --yes --provider openai --provider anthropic --model 'smart=anthropic/claude-sonnet-4-5'"
    )]
    Init(InitArgs),
    /// Print the lines that point a client here
    #[command(
        after_help = "Examples:\n  eval \"$(weir env openai)\"\n  weir env claude --url https://weir.example --key sk-weir-…"
    )]
    Env(EnvArgs),
    /// List models with prices, limits and capabilities
    #[command(
        after_help = "Examples:\n  weir models --capability vision,tools --max-input-price 1.00 --sort price\n  weir models gpt-4o"
    )]
    Models(ModelsArgs),
    /// Make, list, change, rotate and revoke virtual keys
    #[command(
        after_help = "Examples:\n  weir keys create --name ci --budget 5/day\n  weir keys list\n  weir keys rotate ci --grace 2h"
    )]
    Keys(KeysArgs),
    /// Make, list, change and remove teams
    #[command(after_help = "Example:\n  weir teams create --name platform --budget 500/month")]
    Teams(TeamsArgs),
    /// Make, list, change and remove budgets that stand by themselves
    #[command(after_help = "Example:\n  weir budgets create 100/day")]
    Budgets(BudgetsArgs),
    /// Show what was spent
    #[command(
        after_help = "Examples:\n  weir spend --by model,key --since 7d\n  weir spend --by user,day --since 2027-01-01 --until 2027-02-01 --csv > january.csv"
    )]
    Spend(SpendArgs),
    /// Show calls, and with -f those that end from now on
    #[command(after_help = "Examples:\n  weir logs --failed --since 1h\n  weir logs -f --route smart")]
    Logs(LogsArgs),
    /// Watch what goes on: calls, failures, times, tokens and cost
    #[command(after_help = "Examples:\n  weir top\n  weir top --by key --once --json")]
    Top(TopArgs),
    /// Talk with a model
    #[command(after_help = "Examples:\n  weir chat\n  weir chat --model demo/story 'tell me a story'")]
    Chat(ChatArgs),
    /// Show where a request would go, and why, without sending it
    #[command(after_help = "Examples:\n  weir explain --model smart\n  weir explain -f request.json --json")]
    Explain(ExplainArgs),
    /// Simulate a provider, with faults on script
    #[command(
        after_help = "Example:\n  weir simulate anthropic --listen 127.0.0.1:4010 --script faults.json"
    )]
    Simulate(SimulateArgs),
    /// Print a generated file: the schema of weir.yaml, or the API's description
    #[command(after_help = "Example:\n  weir schema config > schema.json")]
    Schema(SchemaArgs),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  weir completions bash > /etc/bash_completion.d/weir")]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = "Examples:\n  weir man | man -l -\n  weir man --dir /usr/local/share/man/man1")]
    Man(ManArgs),
}

/// Options of `weir serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on; goes before the file's `server.listen`
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<Listen>,
}

/// Options of `weir check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// Configuration file [default: as --config]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Send one tiny request to each provider
    #[arg(long)]
    pub live: bool,
    /// Rewrite a file of an older version; comments and order stay
    #[arg(long)]
    pub migrate: bool,
}

/// Options of `weir doctor`.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorArgs {
    /// Write a report without secrets to this file
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

/// Options of `weir spend`.
#[derive(Debug, Clone, Args)]
pub struct SpendArgs {
    /// Groups, one or several: model, provider, route, key, team, user, session, tag, day
    #[arg(long, value_name = "GROUP", value_delimiter = ',', default_value = "model")]
    #[arg(value_parser = ["model", "provider", "route", "key", "team", "user", "session", "tag", "day"])]
    pub by: Vec<String>,
    /// From when: how far back, as in 7d (whole days, UTC) or 12h, or a day or time
    #[arg(long, value_name = "WHEN", default_value = "7d", value_parser = when)]
    pub since: String,
    /// Up to when, likewise, and not in it; now where it is not said
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub until: Option<String>,
    /// Only so many lines, those that cost most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    /// Print a table in CSV, for spreadsheets
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// A text that names a moment.
fn when(text: &str) -> Result<String, String> {
    let moment = crate::handlers::spend::moment("since", text, 0);
    moment.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Options of `weir explain`.
#[derive(Debug, Clone, Default, Args)]
pub struct ExplainArgs {
    /// Name that the request would ask for; goes before the file's
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub model: Option<String>,
    /// Request body (chat completions), `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Options of `weir simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Whose wire format to speak: openai, anthropic, gemini
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4010")]
    pub listen: Listen,
    /// Faults to act out
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// It was asked for wrongly.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What it prints can't be written.
    #[error("can't write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl CommandError {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Config(_) | Self::Output(_) => 1,
        }
    }
}

/// Reads the command line. Help, version and complaints are printed here.
///
/// # Errors
/// What to exit with: 0 after help and version, 2 on wrong usage.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(arguments).map_err(|error| {
        // Whether it can be printed changes nothing about the exit code.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Runs a command that needs no gateway; `None` if the command is another.
pub fn run_offline(
    cli: &Cli,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Option<Result<(), CommandError>> {
    let global = &cli.global;
    let result = match cli.command.as_ref()? {
        Command::Env(args) => env::run(args, global, environment, output),
        Command::Init(args) => init::run(args, global, environment, output),
        Command::Models(args) => models::run(args, global, environment, output),
        Command::Schema(SchemaArgs { kind: SchemaKind::Config }) => schema::run_config(output),
        Command::Schema(SchemaArgs { kind: SchemaKind::Providers }) => providers::run(output),
        Command::Completions(args) => completions::run(args, Cli::command(), output),
        Command::Man(args) => man::run(args, Cli::command(), output),
        _ => return None,
    };
    // A reader that has seen enough, as `head` has, is no failure.
    Some(match result {
        Err(CommandError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    })
}

impl Global {
    /// Loads the configuration that the options and the environment name.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, environment: &Environment) -> Result<Loaded, ConfigError> {
        let file = weir_config::find_file(self.config.as_deref(), environment);
        weir_config::load(file.as_deref(), Outside::of(environment))
    }

    /// Where the running gateway is: `--url`, `WEIR_URL`, else where `loaded` says that it listens. Without a slash
    /// at its end.
    pub fn gateway_url(&self, environment: &Environment, loaded: Option<&Loaded>) -> String {
        self.address(environment, loaded, |server| server.listen)
    }

    /// Where the running gateway's admin API is: the same, but the configuration's `admin_listen` goes before `listen`.
    pub fn admin_url(&self, environment: &Environment, loaded: Option<&Loaded>) -> String {
        self.address(environment, loaded, |server| server.admin_listen.unwrap_or(server.listen))
    }

    fn address(
        &self,
        environment: &Environment,
        loaded: Option<&Loaded>,
        listen: fn(&weir_config::Server) -> Listen,
    ) -> String {
        let named = self.url.as_deref().or_else(|| environment.get_filled("WEIR_URL"));
        if let Some(url) = named {
            return url.trim_end_matches('/').to_owned();
        }
        let server = loaded.map(|loaded| loaded.config.server.clone()).unwrap_or_default();
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        let mut address = listen(&server).0;
        // A listener on every address is reached on loopback.
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv6() {
                std::net::Ipv6Addr::LOCALHOST.into()
            } else {
                std::net::Ipv4Addr::LOCALHOST.into()
            });
        }
        format!("{scheme}://{address}")
    }

    /// The key to show to the gateway: `--key`, else `WEIR_MASTER_KEY`.
    pub fn gateway_key<'k>(&'k self, environment: &'k Environment) -> Option<&'k str> {
        self.key.as_deref().or_else(|| environment.get_filled("WEIR_MASTER_KEY"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains(&format!("weir {}", command.get_name())),
                "weir {} --help",
                command.get_name()
            );
        }
    }

    #[test]
    fn serve_is_what_is_done_without_a_command() {
        assert!(read("weir").unwrap().command.is_none());
        assert!(read("weir --config a.yaml").unwrap().command.is_none());
        assert!(matches!(read("weir serve --listen 127.0.0.1:5").unwrap().command, Some(Command::Serve(_))));
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli = read("weir spend --by model,key --json --url http://h:1 --since 30d").unwrap();
        assert!(cli.global.json && cli.global.url.as_deref() == Some("http://h:1"));
        let Some(Command::Spend(spend)) = cli.command else { panic!() };
        assert_eq!((spend.by, spend.since.as_str()), (vec!["model".to_owned(), "key".to_owned()], "30d"));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "weir sreve",
            "weir serve --listen 4000",
            "weir spend --by colour",
            "weir spend --since soon",
            "weir explain",
            "weir simulate",
            "weir env",
            "weir schema yaml",
        ] {
            assert_eq!(read(line).unwrap_err().exit_code(), 2, "{line}");
        }
        for line in ["weir --help", "weir --version", "weir env --help"] {
            assert_eq!(read(line).unwrap_err().exit_code(), 0, "{line}");
        }
    }

    #[test]
    fn the_gateway_is_found() {
        let environment = Environment::default();
        let loaded = |text: &str| weir_config::load_text(text, None, Outside::of(&environment)).unwrap();
        let url = |text: &str| Global::default().gateway_url(&environment, Some(&loaded(text)));
        assert_eq!(Global::default().gateway_url(&environment, None), "http://127.0.0.1:4000");
        assert_eq!(url("server: {listen: '0.0.0.0:80', master_key: k}\n"), "http://127.0.0.1:80");
        assert_eq!(url("server: {listen: '[::]:80', master_key: k}\n"), "http://[::1]:80");
        assert_eq!(url("server: {tls: {cert: c, key: k}}\n"), "https://127.0.0.1:4000");
        let by_variable = Environment::from_iter([("WEIR_URL", "https://weir.example/")]);
        assert_eq!(Global::default().gateway_url(&by_variable, None), "https://weir.example");
    }
}
