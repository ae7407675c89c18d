//! `weir teams`: what keys belong to.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use weir_config::Environment;

use super::super::gateway::{Gateway, piece};
use super::super::{CommandError, Global, Output};
use super::{Allowance, show};

const PATH: &str = "/admin/v1/teams";

/// Options of `weir teams`.
#[derive(Debug, Clone, Args)]
pub struct TeamsArgs {
    /// What to do
    #[command(subcommand)]
    pub what: TeamsCommand,
}

/// What can be done with teams.
#[derive(Debug, Clone, Subcommand)]
pub enum TeamsCommand {
    /// Make a team
    #[command(after_help = "Example:\n  weir teams create --name platform --budget 500/month --rpm 600")]
    Create(TeamArgs),
    /// List teams
    #[command(after_help = "Example:\n  weir teams list")]
    List,
    /// Show a team
    #[command(after_help = "Example:\n  weir teams show platform")]
    Show(NameArgs),
    /// Change a team; what is not said stays
    #[command(after_help = "Example:\n  weir teams update platform --budget 800/month")]
    Update(ChangeArgs),
    /// Remove a team that has no keys
    #[command(after_help = "Example:\n  weir teams delete platform")]
    Delete(NameArgs),
}

/// Options of `weir teams create`.
#[derive(Debug, Clone, Args)]
pub struct TeamArgs {
    /// Its name in `weir spend`
    #[arg(long)]
    pub name: String,
    /// Budgets and limits
    #[command(flatten)]
    pub allowance: Allowance,
}

/// Options of `weir teams update`.
#[derive(Debug, Clone, Args)]
pub struct ChangeArgs {
    /// Its name or id
    pub name: String,
    /// Budgets and limits
    #[command(flatten)]
    pub allowance: Allowance,
}

/// A team by its name or id.
#[derive(Debug, Clone, Args)]
pub struct NameArgs {
    /// Its name or id
    pub name: String,
}

/// Does it, and prints.
///
/// # Errors
/// What the gateway refuses.
pub async fn run(
    args: &TeamsArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let gateway = Gateway::of(global, environment)?;
    let done = match &args.what {
        TeamsCommand::Create(args) => {
            let mut body = Map::from_iter([("name".to_owned(), json!(args.name))]);
            args.allowance.add_to(&mut body);
            gateway.ask("POST", PATH, Some(&Value::Object(body))).await?
        }
        TeamsCommand::List => return print(gateway.all(PATH).await?, output),
        TeamsCommand::Show(args) => gateway.named(PATH, "team", &args.name).await?,
        TeamsCommand::Update(args) => {
            let mut body = Map::new();
            args.allowance.add_to(&mut body);
            if body.is_empty() {
                return Err(CommandError::Usage("say what to change, as in `--budget 800/month`".to_owned()));
            }
            gateway.ask("PATCH", &path_of(&gateway, &args.name).await?, Some(&Value::Object(body))).await?
        }
        TeamsCommand::Delete(args) => {
            gateway.ask("DELETE", &path_of(&gateway, &args.name).await?, None).await?;
            return Ok(output.note(&format!("team `{}` is removed", args.name))?);
        }
    };
    if output.json { Ok(output.json(&done)?) } else { print(vec![done], output) }
}

async fn path_of(gateway: &Gateway, name: &str) -> Result<String, CommandError> {
    let found = gateway.named(PATH, "team", name).await?;
    Ok(format!("{PATH}/{}", piece(found["id"].as_str().unwrap_or_default())))
}

fn print(all: Vec<Value>, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.json {
        return Ok(output.json(&all)?);
    }
    if all.is_empty() {
        return Ok(output
            .text("there is no team; `weir teams create --name platform --budget 500/month` makes one\n")?);
    }
    let rows = all.iter().map(|team| {
        vec![
            show::text(&team["name"]),
            show::budgets(&team["budgets"]),
            show::limits(&team["limits"]),
            show::text(&team["owner"]),
        ]
    });
    Ok(output.table(&["name", "budgets", "limits", "owner"], &[], rows.collect())?)
}
