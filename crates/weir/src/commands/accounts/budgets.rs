//! `weir budgets`: budgets that stand by themselves. Those of keys and teams are told by `weir keys` and `weir teams`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use weir_config::Environment;

use super::super::gateway::{Gateway, piece};
use super::super::{CommandError, Global, Output};
use super::{BudgetWords, show};

const PATH: &str = "/admin/v1/budgets";
const SCOPES: [&str; 6] = ["provider", "key", "team", "user", "session", "tag"];

/// Options of `weir budgets`.
#[derive(Debug, Clone, Args)]
pub struct BudgetsArgs {
    /// What to do
    #[command(subcommand)]
    pub what: BudgetsCommand,
}

/// What can be done with budgets.
#[derive(Debug, Clone, Subcommand)]
pub enum BudgetsCommand {
    /// Make a budget, of the whole gateway or of one that is named
    #[command(
        after_help = "Examples:\n  weir budgets create 100/day\n  weir budgets create 20/month --user '*' --timezone Europe/Berlin"
    )]
    Create(CreateArgs),
    /// List budgets
    #[command(after_help = "Example:\n  weir budgets list")]
    List,
    /// Show a budget
    #[command(after_help = "Example:\n  weir budgets show ID")]
    Show(IdArgs),
    /// Change a budget's limit and period
    #[command(after_help = "Example:\n  weir budgets update ID 150/day")]
    Update(UpdateArgs),
    /// Remove a budget
    #[command(after_help = "Example:\n  weir budgets delete ID")]
    Delete(IdArgs),
}

/// Options of `weir budgets create`.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// USD and period, as 100/day
    #[arg(value_name = "USD/PERIOD")]
    pub budget: BudgetWords,
    /// Only calls to this provider
    #[arg(long, group = "scope")]
    pub provider: Option<String>,
    /// Only calls with this key (`--for-key`, since `--key` is the key to show to the gateway)
    #[arg(long, group = "scope", value_name = "NAME")]
    pub for_key: Option<String>,
    /// Only calls of this team
    #[arg(long, group = "scope")]
    pub team: Option<String>,
    /// Only calls of this end user; '*' gives each one such a budget
    #[arg(long, group = "scope")]
    pub user: Option<String>,
    /// Only calls of this session; '*' gives each one such a budget
    #[arg(long, group = "scope")]
    pub session: Option<String>,
    /// Only calls with this tag; '*' gives each one such a budget
    #[arg(long, group = "scope")]
    pub tag: Option<String>,
    /// Where days begin, as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Refuses nothing, only alerts
    #[arg(long)]
    pub soft: bool,
    /// Shares that alert, as 0.5,0.8,1
    #[arg(long, value_delimiter = ',', value_name = "SHARE")]
    pub alert_at: Vec<weir_config::Share>,
}

/// A budget by its id.
#[derive(Debug, Clone, Args)]
pub struct IdArgs {
    /// Its id
    pub id: String,
}

/// Options of `weir budgets update`.
#[derive(Debug, Clone, Args)]
pub struct UpdateArgs {
    /// Its id
    pub id: String,
    /// USD and period, as 150/day
    #[arg(value_name = "USD/PERIOD")]
    pub budget: BudgetWords,
}

/// Does it, and prints.
///
/// # Errors
/// What the gateway refuses.
pub async fn run(
    args: &BudgetsArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let gateway = Gateway::of(global, environment)?;
    let of = |id: &str| format!("{PATH}/{}", piece(id));
    let done = match &args.what {
        BudgetsCommand::Create(args) => gateway.ask("POST", PATH, Some(&body(args))).await?,
        BudgetsCommand::List => return print(gateway.all(PATH).await?, output),
        BudgetsCommand::Show(args) => gateway.ask("GET", &of(&args.id), None).await?,
        BudgetsCommand::Update(args) => {
            gateway.ask("PATCH", &of(&args.id), Some(&args.budget.json())).await?
        }
        BudgetsCommand::Delete(args) => {
            gateway.ask("DELETE", &of(&args.id), None).await?;
            return Ok(output.note(&format!("budget {} is removed", args.id))?);
        }
    };
    if output.json { Ok(output.json(&done)?) } else { print(vec![done], output) }
}

fn body(args: &CreateArgs) -> Value {
    let mut body = match args.budget.json() {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    let scopes = [&args.provider, &args.for_key, &args.team, &args.user, &args.session, &args.tag];
    for (name, value) in SCOPES.iter().zip(scopes) {
        if let Some(value) = value {
            body.insert((*name).to_owned(), json!(value));
        }
    }
    if let Some(zone) = &args.timezone {
        body.insert("timezone".into(), json!(zone));
    }
    if args.soft {
        body.insert("hard".into(), json!(false));
    }
    if !args.alert_at.is_empty() {
        body.insert("alert_at".into(), args.alert_at.iter().map(ToString::to_string).collect());
    }
    Value::Object(body)
}

fn print(all: Vec<Value>, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.json {
        return Ok(output.json(&all)?);
    }
    if all.is_empty() {
        return Ok(output.text("there is no budget by itself; `weir budgets create 100/day` makes one for the whole gateway, `weir keys list` shows those of keys\n")?);
    }
    let rows = all.iter().map(|budget| {
        let scope = SCOPES.iter().find_map(|name| Some(format!("{name} {}", budget[name].as_str()?)));
        vec![
            show::text(&budget["id"]),
            scope.unwrap_or_else(|| "the whole gateway".to_owned()),
            show::budget(budget),
            show::text(&budget["timezone"]),
            show::text(&budget["owner"]),
        ]
    });
    Ok(output.table(&["id", "for", "budget", "time zone", "owner"], &[], rows.collect())?)
}
