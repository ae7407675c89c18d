//! `/admin/v1/teams` and `/admin/v1/users`: what keys belong to, and who stands behind calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_config::{Budget, Limits};
use weir_gateway::GatewayError;
use weir_gateway::accounts::GroupBody;
use weir_ledger::accounts::{Account, Kind};

use super::budgets::{BudgetShown, check_budget};
use super::input::{self, invalid};
use super::keys::{Owner, check_name, value};
use super::time::Time;
use super::write::{Done, commit, find, fresh, stored, taken};
use super::{Answer, Ask, Desk, owned, page};

/// A team or an end user to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// The name in the ledger and in `weir spend`; each name once.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What all of its calls together may spend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much all of its calls together may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// A team or an end user as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupShown {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What all of its calls together may spend.
    pub budgets: Vec<BudgetShown>,
    /// How much all of its calls together may call.
    pub limits: Option<Limits>,
    /// When it was made.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// Who owns it: `file` or `db`.
    pub owner: Owner,
}

/// The functions of one kind.
macro_rules! endpoints {
    ($module:ident, $kind:expr) => {
        /// The endpoints of one kind.
        pub mod $module {
            use super::{Answer, Ask, Desk, Kind};

            const KIND: Kind = $kind;

            /// All of them.
            pub fn list<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
                Box::pin(super::list(desk, ask, KIND))
            }

            /// One.
            pub fn one<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
                Box::pin(super::one(desk, ask, KIND))
            }

            /// Makes one.
            pub fn create<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
                Box::pin(super::create(desk, ask, KIND))
            }

            /// Changes one.
            pub fn update<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
                Box::pin(super::update(desk, ask, KIND))
            }

            /// Removes one.
            pub fn delete<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
                Box::pin(super::delete(desk, ask, KIND))
            }
        }
    };
}

endpoints!(teams, Kind::Team);
endpoints!(users, Kind::User);

async fn list(desk: &Desk<'_>, ask: &Ask, kind: Kind) -> Result<Value, GatewayError> {
    let file = file(desk, kind).iter().map(|team| value(&declared(team))).collect::<Result<_, _>>()?;
    page::of_accounts(desk, ask, kind, file, |account| value(&shown(account)?)).await
}

async fn one(desk: &Desk<'_>, ask: &Ask, kind: Kind) -> Result<Value, GatewayError> {
    if let Some(name) = ask.id.strip_prefix("file:") {
        let found = file(desk, kind).iter().find(|team| team.name == name);
        return value(&declared(found.ok_or_else(|| super::missing(kind.name(), &ask.id))?));
    }
    value(&shown(&find(desk, kind, &ask.id).await?)?)
}

async fn create(desk: &Desk<'_>, ask: &Ask, kind: Kind) -> Result<Value, GatewayError> {
    let new: NewGroup = input::body(&ask.body)?;
    check(desk, kind, &new)?;
    let mut account = fresh(ask, kind, &new.name);
    account.body = stored(&GroupBody { budgets: new.budgets, limits: new.limits })?;
    let after = value(&shown(&account)?)?;
    commit(desk, ask, Done { action: "create", account, replaces: None, before: None, after, key: None })
        .await
}

async fn update(desk: &Desk<'_>, ask: &Ask, kind: Kind) -> Result<Value, GatewayError> {
    let old = own(desk, ask, kind).await?;
    let body = read(&old)?;
    let writable = NewGroup { name: old.name.clone(), budgets: body.budgets, limits: body.limits };
    let mut merged = value(&writable)?;
    input::merge(&mut merged, input::object(&ask.body)?);
    let new: NewGroup = input::of_value(merged)?;
    if new.name != old.name {
        return Err(invalid("the `name` stands in rows and keys and can't be changed; make another"));
    }
    check(desk, kind, &new)?;
    let body = stored(&GroupBody { budgets: new.budgets, limits: new.limits })?;
    let account = Account { body, updated_at: ask.now, ..old.clone() };
    let (before, after) = (Some(value(&shown(&old)?)?), value(&shown(&account)?)?);
    let replaces = Some(old.version);
    commit(desk, ask, Done { action: "update", account, replaces, before, after, key: None }).await
}

async fn delete(desk: &Desk<'_>, ask: &Ask, kind: Kind) -> Result<Value, GatewayError> {
    let old = own(desk, ask, kind).await?;
    if kind == Kind::Team {
        let book = desk.book().await?;
        let members = book.keys.iter().filter(|key| key.body.team.as_deref() == Some(old.name.as_str()));
        let names: Vec<&str> = members.map(|key| key.name.as_str()).take(10).collect();
        if !names.is_empty() {
            let message = format!(
                "keys belong to the team `{}` ({}); move or revoke them first",
                old.name,
                names.join(", ")
            );
            return Err(GatewayError::Conflict { code: "in_use", message });
        }
    }
    let account = Account { removed_at: Some(ask.now), updated_at: ask.now, ..old.clone() };
    let (before, after) = (Some(value(&shown(&old)?)?), value(&shown(&account)?)?);
    let replaces = Some(old.version);
    commit(desk, ask, Done { action: "delete", account, replaces, before, after, key: None }).await
}

async fn own(desk: &Desk<'_>, ask: &Ask, kind: Kind) -> Result<Account, GatewayError> {
    if let Some(name) = ask.id.strip_prefix("file:") {
        return Err(owned(kind.name(), name));
    }
    find(desk, kind, &ask.id).await
}

fn file<'d>(desk: &'d Desk<'_>, kind: Kind) -> &'d [weir_config::Team] {
    if kind == Kind::Team { &desk.config.teams } else { &[] }
}

fn check(desk: &Desk<'_>, kind: Kind, new: &NewGroup) -> Result<(), GatewayError> {
    check_name(kind.name(), &new.name)?;
    if file(desk, kind).iter().any(|team| team.name == new.name) {
        return Err(taken(kind, &new.name));
    }
    new.budgets.iter().try_for_each(|budget| check_budget(budget, false))
}

/// Refuses a team that nobody knows, with the nearest one.
///
/// # Errors
/// An unknown team, a store that does not answer.
pub async fn known_team(desk: &Desk<'_>, team: &str) -> Result<(), GatewayError> {
    let book = desk.book().await?;
    let file = desk.config.teams.iter().map(|team| team.name.as_str());
    let known: Vec<&str> = file.chain(book.teams.iter().map(|team| team.name.as_str())).collect();
    if known.contains(&team) {
        return Ok(());
    }
    if known.is_empty() {
        return Err(invalid(format!(
            "there is no team `{team}`; make it first, as `weir teams create --name {team}` does"
        )));
    }
    Err(input::unknown_name("team", team, &known))
}

fn read(account: &Account) -> Result<GroupBody, GatewayError> {
    serde_json::from_str(&account.body).map_err(|_| GatewayError::Internal)
}

fn shown(account: &Account) -> Result<GroupShown, GatewayError> {
    let body = read(account)?;
    Ok(GroupShown {
        id: account.id.clone(),
        name: account.name.clone(),
        budgets: body.budgets.iter().map(BudgetShown::of).collect(),
        limits: body.limits,
        created_at: Some(Time(account.created_at)),
        updated_at: Some(Time(account.updated_at)),
        owner: Owner::Db,
    })
}

fn declared(team: &weir_config::Team) -> GroupShown {
    GroupShown {
        id: format!("file:{}", team.name),
        name: team.name.clone(),
        budgets: team.budgets.iter().map(BudgetShown::of).collect(),
        limits: team.limits.clone(),
        created_at: None,
        updated_at: None,
        owner: Owner::File,
    }
}
