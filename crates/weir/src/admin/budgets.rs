//! `/admin/v1/budgets`: budgets that stand by themselves.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use weir_catalog::NanoUsd;
use weir_config::{Budget, Share};
use weir_gateway::GatewayError;
use weir_ledger::accounts::{Account, Kind};

use super::input::{self, invalid};
use super::keys::{Owner, value};
use super::time::Time;
use super::write::{Done, commit, find, fresh, stored};
use super::{Answer, Ask, Desk, owned, page};

/// A budget as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BudgetShown {
    /// The limit in USD.
    pub limit: NanoUsd,
    /// `day`, `week`, `month`, `total`, or a duration for a rolling window.
    pub period: String,
    /// Where days begin; null: UTC.
    pub timezone: Option<String>,
    /// Whether calls are refused when it is spent.
    pub hard: bool,
    /// Shares of the limit that alert.
    pub alert_at: Vec<Share>,
    /// Only calls to this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only calls with this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only calls of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Only calls of this end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Only calls of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Only calls with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// A budget that stands by itself, as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BudgetAccount {
    /// Its id.
    pub id: String,
    /// What may be spent.
    #[serde(flatten)]
    pub budget: BudgetShown,
    /// When it was made.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// Who owns it: `file` or `db`.
    pub owner: Owner,
}

impl BudgetShown {
    /// A budget, shown.
    pub fn of(budget: &Budget) -> BudgetShown {
        BudgetShown {
            limit: budget.limit,
            period: budget.period.clone(),
            timezone: budget.timezone.clone(),
            hard: budget.hard.is_on(),
            alert_at: budget.alert_at.clone(),
            provider: budget.provider.clone(),
            key: budget.key.clone(),
            team: budget.team.clone(),
            user: budget.user.clone(),
            session: budget.session.clone(),
            tag: budget.tag.clone(),
        }
    }
}

/// All of them.
pub fn list<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let declared = desk.config.budgets.iter().enumerate();
        let declared =
            declared.map(|(index, budget)| value(&file_owned(index, budget))).collect::<Result<_, _>>()?;
        page::of_accounts(desk, ask, Kind::Budget, declared, |account| value(&shown(account)?)).await
    })
}

/// One.
pub fn one<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        if let Some(index) = ask.id.strip_prefix("file:") {
            let found =
                index.parse().ok().and_then(|index: usize| Some((index, desk.config.budgets.get(index)?)));
            let (index, budget) = found.ok_or_else(|| super::missing("budget", &ask.id))?;
            return value(&file_owned(index, budget));
        }
        value(&shown(&find(desk, Kind::Budget, &ask.id).await?)?)
    })
}

/// Makes one.
pub fn create<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let new: Budget = input::body(&ask.body)?;
        check_budget(&new, true)?;
        known_scope(desk, &new).await?;
        let mut account = fresh(ask, Kind::Budget, "");
        account.name.clone_from(&account.id);
        account.body = stored(&new)?;
        let after = value(&shown(&account)?)?;
        commit(desk, ask, Done { action: "create", account, replaces: None, before: None, after, key: None })
            .await
    })
}

/// Changes one.
pub fn update<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let old = own(desk, ask).await?;
        let mut merged: Value = serde_json::from_str(&old.body).map_err(|_| GatewayError::Internal)?;
        input::merge(&mut merged, input::object(&ask.body)?);
        let new: Budget = input::of_value(merged)?;
        check_budget(&new, true)?;
        known_scope(desk, &new).await?;
        let account = Account { body: stored(&new)?, updated_at: ask.now, ..old.clone() };
        let (before, after) = (Some(value(&shown(&old)?)?), value(&shown(&account)?)?);
        let replaces = Some(old.version);
        commit(desk, ask, Done { action: "update", account, replaces, before, after, key: None }).await
    })
}

/// Removes one: what it held back is free.
pub fn delete<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let old = own(desk, ask).await?;
        let account = Account { removed_at: Some(ask.now), updated_at: ask.now, ..old.clone() };
        let (before, after) = (Some(value(&shown(&old)?)?), value(&shown(&account)?)?);
        let replaces = Some(old.version);
        commit(desk, ask, Done { action: "delete", account, replaces, before, after, key: None }).await
    })
}

async fn own(desk: &Desk<'_>, ask: &Ask) -> Result<Account, GatewayError> {
    if ask.id.starts_with("file:") {
        return Err(owned("budget", &ask.id));
    }
    find(desk, Kind::Budget, &ask.id).await
}

/// Refuses budgets that make no sense. Those of a key, a team or a user name nobody else.
///
/// # Errors
/// What to change.
pub fn check_budget(budget: &Budget, alone: bool) -> Result<(), GatewayError> {
    let named = names(budget);
    if !alone && !named.is_empty() {
        return Err(invalid(
            "a budget of a key, a team or a user names no other; POST it to /admin/v1/budgets",
        ));
    }
    if named.len() > 1 {
        return Err(invalid(
            "a budget is for one of `provider`, `key`, `team`, `user`, `session`, `tag`, or for the whole gateway",
        ));
    }
    if budget.limit < NanoUsd::ZERO {
        return Err(invalid("a budget's `limit` is an amount in USD, not less than 0"));
    }
    check_period(&budget.period)?;
    match &budget.timezone {
        Some(zone) if jiff::tz::TimeZone::get(zone).is_err() => {
            Err(invalid(format!("the time zone `{zone}` is not known; write one as in `Europe/Berlin`")))
        }
        _ => Ok(()),
    }
}

/// Refuses a period that is none.
///
/// # Errors
/// What to write.
fn check_period(period: &str) -> Result<(), GatewayError> {
    const WORDS: [&str; 4] = ["day", "week", "month", "total"];
    if WORDS.contains(&period) {
        return Ok(());
    }
    match period.parse::<weir_config::Duration>() {
        Ok(rolling) if rolling.get() >= std::time::Duration::from_secs(60) => Ok(()),
        _ => {
            let shown: String = period.chars().take(40).collect();
            Err(invalid(format!(
                "the period `{shown}` is none; write {}, or a duration of a minute or more, as in `12h`",
                WORDS.join(", ")
            )))
        }
    }
}

fn names(budget: &Budget) -> Vec<(&'static str, &str)> {
    let all = [
        ("provider", &budget.provider),
        ("key", &budget.key),
        ("team", &budget.team),
        ("user", &budget.user),
        ("session", &budget.session),
        ("tag", &budget.tag),
    ];
    all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_deref()?))).collect()
}

/// A budget of a key, a team or a provider that does not exist would look like a limit and be none.
async fn known_scope(desk: &Desk<'_>, budget: &Budget) -> Result<(), GatewayError> {
    let Some((kind, name)) = names(budget).into_iter().next() else { return Ok(()) };
    let known: Vec<String> = match kind {
        "key" => {
            let book = desk.book().await?;
            let file = desk.config.keys.iter().map(|key| key.name.clone());
            file.chain(book.keys.into_iter().map(|key| key.name)).collect()
        }
        "team" => {
            let book = desk.book().await?;
            let file = desk.config.teams.iter().map(|team| team.name.clone());
            file.chain(book.teams.into_iter().map(|team| team.name)).collect()
        }
        "provider" => match desk.app {
            Some(app) => app.snapshot.load().providers.keys().map(ToString::to_string).collect(),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    if known.iter().any(|one| one == name) {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(input::unknown_name(kind, name, &known))
}

fn shown(account: &Account) -> Result<BudgetAccount, GatewayError> {
    let budget: Budget = serde_json::from_str(&account.body).map_err(|_| GatewayError::Internal)?;
    Ok(BudgetAccount {
        id: account.id.clone(),
        budget: BudgetShown::of(&budget),
        created_at: Some(Time(account.created_at)),
        updated_at: Some(Time(account.updated_at)),
        owner: Owner::Db,
    })
}

fn file_owned(index: usize, budget: &Budget) -> BudgetAccount {
    BudgetAccount {
        id: format!("file:{index}"),
        budget: BudgetShown::of(budget),
        created_at: None,
        updated_at: None,
        owner: Owner::File,
    }
}
