//! `weir keys`: virtual keys.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use weir_config::{Duration, Environment};

use super::super::gateway::{Gateway, piece};
use super::super::{CommandError, Global, Output};
use super::{Allowance, show};
use crate::admin::time;

const PATH: &str = "/admin/v1/keys";

/// Options of `weir keys`.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// What to do
    #[command(subcommand)]
    pub what: KeysCommand,
}

/// What can be done with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// Make a key; it is shown once
    #[command(
        after_help = "Example:\n  weir keys create --name ci --team platform --models 'smart,openai/*' --budget 5/day --budget 50/month --rpm 60 --expires 30d"
    )]
    Create(CreateArgs),
    /// List keys
    #[command(after_help = "Example:\n  weir keys list --all")]
    List(ListArgs),
    /// Show a key with all that holds for it
    #[command(after_help = "Example:\n  weir keys show ci")]
    Show(NameArgs),
    /// Change a key; what is not said stays
    #[command(
        after_help = "Examples:\n  weir keys update ci --budget 10/day --expires never\n  weir keys update ci --rename build --rpm 120"
    )]
    Update(UpdateArgs),
    /// Revoke a key, for good
    #[command(after_help = "Example:\n  weir keys revoke ci")]
    Revoke(NameArgs),
    /// Give a key another secret; the old one holds for a while
    #[command(after_help = "Example:\n  weir keys rotate ci --grace 2h")]
    Rotate(RotateArgs),
}

/// Options of `weir keys create`.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// Its name in `weir spend`
    #[arg(long)]
    pub name: String,
    /// SHA-256 of a key that exists, in hex, so that its clients go on with it
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// What holds for it
    #[command(flatten)]
    pub terms: Terms,
}

/// What holds for a key.
#[derive(Debug, Clone, Default, Args)]
pub struct Terms {
    /// Team that it belongs to; `none` for none
    #[arg(long)]
    pub team: Option<String>,
    /// What it may do: caller, viewer, admin
    #[arg(long, value_parser = ["caller", "viewer", "admin"])]
    pub role: Option<String>,
    /// What it may call, as 'smart,openai/*'; `all` for everything
    #[arg(long, value_delimiter = ',')]
    pub models: Vec<String>,
    /// How long it holds, as 30d; `never` ends nothing
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<String>,
    /// Budgets and limits
    #[command(flatten)]
    pub allowance: Allowance,
}

/// Options of `weir keys list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Revoked ones, too
    #[arg(long)]
    pub all: bool,
}

/// A key by its name or id.
#[derive(Debug, Clone, Args)]
pub struct NameArgs {
    /// Its name or id
    pub name: String,
}

/// Options of `weir keys update`.
#[derive(Debug, Clone, Args)]
pub struct UpdateArgs {
    /// Its name or id
    pub name: String,
    /// Another name
    #[arg(long, value_name = "NAME")]
    pub rename: Option<String>,
    /// What holds for it
    #[command(flatten)]
    pub terms: Terms,
}

/// Options of `weir keys rotate`.
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// Its name or id
    pub name: String,
    /// How long the old key still holds
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub grace: Duration,
}

impl Terms {
    fn add_to(&self, body: &mut Map<String, Value>) -> Result<(), CommandError> {
        if let Some(team) = &self.team {
            body.insert("team".into(), if team == "none" { Value::Null } else { json!(team) });
        }
        if let Some(role) = &self.role {
            body.insert("role".into(), json!(role));
        }
        if !self.models.is_empty() {
            let all = self.models == ["all"];
            body.insert("models".into(), if all { Value::Null } else { json!(self.models) });
        }
        if let Some(expires) = &self.expires {
            body.insert("expires_at".into(), expiry(expires)?);
        }
        self.allowance.add_to(body);
        Ok(())
    }
}

fn expiry(text: &str) -> Result<Value, CommandError> {
    if text == "never" {
        return Ok(Value::Null);
    }
    let after: Duration = text.parse().map_err(|why| CommandError::Usage(format!("--expires: {why}")))?;
    let after = i64::try_from(after.get().as_micros()).unwrap_or(i64::MAX);
    Ok(json!(time::text(crate::clock::unix_micros().saturating_add(after))))
}

/// Does it, and prints.
///
/// # Errors
/// What the gateway refuses.
pub async fn run(
    args: &KeysArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let gateway = Gateway::of(global, environment)?;
    match &args.what {
        KeysCommand::Create(args) => create(args, &gateway, output).await,
        KeysCommand::List(args) => list(args, &gateway, output).await,
        KeysCommand::Show(args) => {
            let found = gateway.named(PATH, "key", &args.name).await?;
            print(&found, output)
        }
        KeysCommand::Update(args) => {
            let mut body = Map::new();
            if let Some(name) = &args.rename {
                body.insert("name".into(), json!(name));
            }
            args.terms.add_to(&mut body)?;
            if body.is_empty() {
                return Err(CommandError::Usage("say what to change, as in `--budget 10/day`".to_owned()));
            }
            let path = path_of(&gateway, &args.name).await?;
            print(&gateway.ask("PATCH", &path, Some(&Value::Object(body))).await?, output)
        }
        KeysCommand::Revoke(args) => {
            let path = path_of(&gateway, &args.name).await?;
            let revoked = gateway.ask("DELETE", &path, None).await?;
            match output.json {
                true => Ok(output.json(&revoked)?),
                false => Ok(output.text(&format!("key `{}` is revoked\n", show::text(&revoked["name"])))?),
            }
        }
        KeysCommand::Rotate(args) => {
            let path = format!("{}/rotate", path_of(&gateway, &args.name).await?);
            let body = json!({ "grace": args.grace.to_string() });
            let rotated = gateway.ask("POST", &path, Some(&body)).await?;
            let until = show::minute(&rotated["previous_until"]);
            shown_once(
                &rotated,
                &gateway,
                &format!("has another secret; the old one holds until {until} UTC"),
                output,
            )
        }
    }
}

async fn create(args: &CreateArgs, gateway: &Gateway, output: &mut Output<'_>) -> Result<(), CommandError> {
    let mut body = Map::from_iter([("name".to_owned(), json!(args.name))]);
    if let Some(sha256) = &args.sha256 {
        body.insert("sha256".into(), json!(sha256));
    }
    args.terms.add_to(&mut body)?;
    body.retain(|_, value| !value.is_null());
    let made = gateway.ask("POST", PATH, Some(&Value::Object(body))).await?;
    shown_once(&made, gateway, "is made", output)
}

/// The key, and the line to use it.
fn shown_once(
    made: &Value,
    gateway: &Gateway,
    what: &str,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    if output.json {
        return Ok(output.json(made)?);
    }
    let name = show::text(&made["name"]);
    let Some(key) = made["key"].as_str() else {
        return Ok(
            output.text(&format!("key `{name}` {what}; its clients go on with the key that they have\n"))?
        );
    };
    output.text(&format!(
        "key `{name}` {what}. Keep it, it is not shown again:\n\n  {key}\n\nUse it:\n\n  \
         export OPENAI_BASE_URL={}/v1 OPENAI_API_KEY={key}\n",
        gateway.client_url
    ))?;
    if let Some(budgets) = made["budgets"].as_array().filter(|budgets| !budgets.is_empty()) {
        let spoken: Vec<String> = budgets.iter().map(show::spoken_budget).collect();
        output.text(&format!("\nIt may spend {}.\n", spoken.join(", and ")))?;
    }
    Ok(())
}

async fn path_of(gateway: &Gateway, name: &str) -> Result<String, CommandError> {
    let found = gateway.named(PATH, "key", name).await?;
    Ok(format!("{PATH}/{}", piece(found["id"].as_str().unwrap_or_default())))
}

async fn list(args: &ListArgs, gateway: &Gateway, output: &mut Output<'_>) -> Result<(), CommandError> {
    let mut all = gateway.all(PATH).await?;
    all.retain(|key| args.all || key["revoked_at"].is_null());
    if output.json {
        return Ok(output.json(&all)?);
    }
    if all.is_empty() {
        return Ok(output.text("there is no key; `weir keys create --name ci --budget 5/day` makes one\n")?);
    }
    let rows = all.iter().map(|key| {
        let state = match (key["revoked_at"].as_str(), key["expires_at"].as_str()) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(_)) => format!("until {}", show::minute(&key["expires_at"])),
            (None, None) => String::new(),
        };
        vec![
            show::text(&key["name"]),
            show::text(&key["role"]),
            show::text(&key["team"]),
            show::names(&key["models"], "all"),
            show::budgets(&key["budgets"]),
            show::limits(&key["limits"]),
            show::text(&key["prefix"]),
            show::text(&key["owner"]),
            state,
        ]
    });
    let titles = ["name", "role", "team", "models", "budgets", "limits", "key", "owner", ""];
    Ok(output.table(&titles, &[], rows.collect())?)
}

fn print(key: &Value, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.json {
        return Ok(output.json(key)?);
    }
    let rows = vec![
        vec!["name".to_owned(), show::text(&key["name"])],
        vec!["id".to_owned(), show::text(&key["id"])],
        vec!["key".to_owned(), show::text(&key["prefix"])],
        vec!["role".to_owned(), show::text(&key["role"])],
        vec!["team".to_owned(), show::text(&key["team"])],
        vec!["models".to_owned(), show::names(&key["models"], "all")],
        vec!["budgets".to_owned(), show::budgets(&key["budgets"])],
        vec!["limits".to_owned(), show::limits(&key["limits"])],
        vec!["expires".to_owned(), show::minute(&key["expires_at"])],
        vec!["revoked".to_owned(), show::minute(&key["revoked_at"])],
        vec!["made".to_owned(), show::minute(&key["created_at"])],
        vec!["owner".to_owned(), show::text(&key["owner"])],
    ];
    Ok(output.table(&["", ""], &[], rows)?)
}
