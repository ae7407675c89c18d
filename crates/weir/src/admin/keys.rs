//! `/admin/v1/keys`: virtual keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use weir_config::{Budget, Limits, Role};
use weir_gateway::accounts::{KeyBody, Previous};
use weir_gateway::{Caller, GatewayError};
use weir_ledger::Micros;
use weir_ledger::accounts::{Account, Kind};
use weir_ledger::key::{self, Form, KeyHash};

use super::budgets::{BudgetShown, check_budget};
use super::groups::known_team;
use super::input::{self, invalid};
use super::time::Time;
use super::write::{Done, commit, find, fresh, stored, taken};
use super::{Answer, Ask, Desk, owned, page};

/// How long the old key holds after a rotation where nothing is said: a day.
const GRACE: Micros = 24 * 3_600 * 1_000_000;
/// The longest name.
const MAX_NAME: usize = 100;

/// A key to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its name in the ledger and in `weir spend`; each name once.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What it may do: `caller`, `viewer` or `admin`.
    #[serde(default)]
    pub role: Role,
    /// The team that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it may call: public names or `provider/model`, `*` stands for any text. Without it: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What may be spent with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much it may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Parameters that are set where its client sent nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Map<String, Value>>,
    /// Until when it may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// SHA-256 of a key that exists already, in hex, so that its clients can go on with it. Without it weir makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A rotation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// How long the old key still holds; a day where nothing is said, `0s` ends it at once.
    pub grace: Option<weir_config::Duration>,
}

/// A key as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyShown {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is shown of the key itself.
    pub prefix: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Its team.
    pub team: Option<String>,
    /// What it may call; null: everything.
    pub models: Option<Vec<String>>,
    /// What may be spent with it.
    pub budgets: Vec<BudgetShown>,
    /// How much it may call.
    pub limits: Option<Limits>,
    /// Parameters that are set where its client sent nothing.
    pub defaults: Option<Map<String, Value>>,
    /// Until when it may call.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// Until when the key before the last rotation holds.
    pub previous_until: Option<Time>,
    /// When it was made.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// Who owns it: `file` or `db`.
    pub owner: Owner,
    /// The key itself, once: in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Who owns an account.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The configuration file.
    File,
    /// The store.
    Db,
}

/// All keys.
pub fn list<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let declared = desk.config.keys.iter().map(|key| value(&declared(key))).collect::<Result<_, _>>()?;
        page::of_accounts(desk, ask, Kind::Key, declared, |account| value(&shown(account)?)).await
    })
}

/// One key.
pub fn one<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        if let Some(name) = ask.id.strip_prefix("file:") {
            let found = desk.config.keys.iter().find(|key| key.name == name);
            return value(&declared(found.ok_or_else(|| super::missing("key", &ask.id))?));
        }
        value(&shown(&find(desk, Kind::Key, &ask.id).await?)?)
    })
}

/// Makes a key.
pub fn create<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let new: NewKey = input::body(&ask.body)?;
        check(desk, &ask.actor, &new).await?;
        let (secret, hash, prefix) = match new.sha256.as_deref() {
            None => made(),
            Some(hex) => {
                let hash = KeyHash::from_hex(hex);
                let hash = hash.ok_or_else(|| {
                    invalid("`sha256` is 64 hex digits, as `printf %s KEY | sha256sum` prints them")
                })?;
                (None, hash, "imported".to_owned())
            }
        };
        let body = body_of(&new, prefix);
        let mut account = fresh(ask, Kind::Key, &new.name);
        (account.hash, account.body) = (Some(hash), stored(&body)?);
        let after = value(&shown(&account)?)?;
        commit(
            desk,
            ask,
            Done { action: "create", account, replaces: None, before: None, after, key: secret },
        )
        .await
    })
}

/// Changes a key.
pub fn update<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let (old, body) = own(desk, ask).await?;
        let mut merged =
            serde_json::to_value(writable(&old.name, &body)).map_err(|_| GatewayError::Internal)?;
        let change = input::object(&ask.body)?;
        if change.get("sha256").is_some() {
            return Err(invalid("`sha256` can't be changed; make another key, or POST …/rotate"));
        }
        input::merge(&mut merged, change);
        let new: NewKey = input::of_value(merged)?;
        check(desk, &ask.actor, &new).await?;
        let changed = KeyBody { previous: body.previous.clone(), ..body_of(&new, body.prefix.clone()) };
        let account = Account { name: new.name.clone(), body: stored(&changed)?, ..old.clone() };
        replace(desk, ask, "update", old, account, None).await
    })
}

/// Revokes a key: from now on it opens nothing. Revoking it again changes nothing.
pub fn revoke<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        refuse_declared(&ask.id)?;
        let old = find(desk, Kind::Key, &ask.id).await?;
        if old.removed_at.is_some() {
            return value(&shown(&old)?);
        }
        let account = Account { removed_at: Some(ask.now), updated_at: ask.now, ..old.clone() };
        let after = value(&shown(&account)?)?;
        let before = Some(value(&shown(&old)?)?);
        commit(
            desk,
            ask,
            Done { action: "revoke", account, replaces: Some(old.version), before, after, key: None },
        )
        .await
    })
}

/// Gives a key another secret; the old one holds for a while.
pub fn rotate<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let (old, body) = own(desk, ask).await?;
        grants(&ask.actor, body.role, body.models.as_deref())?;
        let rotation: Rotation =
            if ask.body.is_empty() { Rotation::default() } else { input::body(&ask.body)? };
        let grace =
            rotation.grace.map_or(GRACE, |grace| i64::try_from(grace.get().as_micros()).unwrap_or(GRACE));
        let previous = old.hash.map(|hash| Previous { sha256: hash.to_hex(), until: ask.now + grace });
        let (secret, hash, prefix) = made();
        let changed = KeyBody { prefix, previous, ..body };
        let account = Account { hash: Some(hash), body: stored(&changed)?, ..old.clone() };
        replace(desk, ask, "rotate", old, account, secret).await
    })
}

/// A key of the store that is not revoked.
async fn own(desk: &Desk<'_>, ask: &Ask) -> Result<(Account, KeyBody), GatewayError> {
    refuse_declared(&ask.id)?;
    let old = find(desk, Kind::Key, &ask.id).await?;
    if old.removed_at.is_some() {
        let message = format!("the key `{}` is revoked, which is for good; make another", old.name);
        return Err(GatewayError::Conflict { code: "revoked", message });
    }
    let body = read(&old)?;
    Ok((old, body))
}

async fn replace(
    desk: &Desk<'_>,
    ask: &Ask,
    action: &'static str,
    old: Account,
    new: Account,
    key: Option<String>,
) -> Result<Value, GatewayError> {
    let account = Account { updated_at: ask.now, ..new };
    let (before, after) = (Some(value(&shown(&old)?)?), value(&shown(&account)?)?);
    commit(desk, ask, Done { action, account, replaces: Some(old.version), before, after, key }).await
}

fn refuse_declared(id: &str) -> Result<(), GatewayError> {
    match id.strip_prefix("file:") {
        Some(name) => Err(owned("key", name)),
        None => Ok(()),
    }
}

/// A new secret, its hash, and what is shown of it.
fn made() -> (Option<String>, KeyHash, String) {
    let secret = key::generate(&rand::random());
    let (hash, prefix) = (KeyHash::of(&secret), key::masked(&secret));
    debug_assert_eq!(key::form(&secret), Form::Made);
    (Some(secret), hash, prefix)
}

/// Refuses what makes no sense, and what the actor may not grant.
async fn check(desk: &Desk<'_>, actor: &Caller, new: &NewKey) -> Result<(), GatewayError> {
    check_name("key", &new.name)?;
    if ["master", "local"].contains(&new.name.as_str()) {
        return Err(invalid(format!(
            "`{}` stands for calls without a virtual key; choose another name",
            new.name
        )));
    }
    if desk.config.keys.iter().any(|key| key.name == new.name) {
        return Err(taken(Kind::Key, &new.name));
    }
    if new.models.iter().flatten().any(String::is_empty) {
        return Err(invalid("`models` has an empty entry; write a public name or `provider/model`"));
    }
    grants(actor, new.role, new.models.as_deref())?;
    for budget in &new.budgets {
        check_budget(budget, false)?;
    }
    match &new.team {
        Some(team) => known_team(desk, team).await,
        None => Ok(()),
    }
}

/// Nobody grants more than they hold.
fn grants(actor: &Caller, role: Role, models: Option<&[String]>) -> Result<(), GatewayError> {
    let forbidden = |message: String| Err(GatewayError::Forbidden { code: "permission_denied", message });
    if weir_gateway::call::Role::from(role) > actor.role {
        return forbidden(format!("key `{}` can't grant a role that it does not have", actor.name));
    }
    let Some(held) = &actor.models else { return Ok(()) };
    let covered = |wanted: &String| held.iter().any(|own| weir_adapter::descriptor::matches(own, wanted));
    match models {
        Some(models) if models.iter().all(covered) => Ok(()),
        _ => forbidden(format!(
            "key `{}` may call {} only, and can't grant more; set `models` to some of these",
            actor.name,
            held.join(", ")
        )),
    }
}

/// Refuses names that can't stand in rows and tables.
///
/// # Errors
/// What to change.
pub fn check_name(what: &str, name: &str) -> Result<(), GatewayError> {
    if name.trim().is_empty() || name.trim() != name {
        return Err(invalid(format!("the {what}'s `name` is empty, or has spaces around it")));
    }
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(invalid(format!(
            "the {what}'s `name` may have {MAX_NAME} characters, none of them a control character"
        )));
    }
    Ok(())
}

fn body_of(new: &NewKey, prefix: String) -> KeyBody {
    KeyBody {
        prefix,
        role: new.role,
        team: new.team.clone(),
        models: new.models.clone(),
        budgets: new.budgets.clone(),
        limits: new.limits.clone(),
        defaults: new.defaults.clone(),
        expires_at: new.expires_at.map(|time| time.0),
        previous: None,
    }
}

fn writable(name: &str, body: &KeyBody) -> NewKey {
    NewKey {
        name: name.to_owned(),
        role: body.role,
        team: body.team.clone(),
        models: body.models.clone(),
        budgets: body.budgets.clone(),
        limits: body.limits.clone(),
        defaults: body.defaults.clone(),
        expires_at: body.expires_at.map(Time),
        sha256: None,
    }
}

fn read(account: &Account) -> Result<KeyBody, GatewayError> {
    serde_json::from_str(&account.body).map_err(|_| GatewayError::Internal)
}

fn shown(account: &Account) -> Result<KeyShown, GatewayError> {
    let body = read(account)?;
    Ok(KeyShown {
        id: account.id.clone(),
        name: account.name.clone(),
        prefix: Some(body.prefix),
        role: body.role,
        team: body.team,
        models: body.models,
        budgets: body.budgets.iter().map(BudgetShown::of).collect(),
        limits: body.limits,
        defaults: body.defaults,
        expires_at: body.expires_at.map(Time),
        revoked_at: account.removed_at.map(Time),
        previous_until: body.previous.map(|previous| Time(previous.until)),
        created_at: Some(Time(account.created_at)),
        updated_at: Some(Time(account.updated_at)),
        owner: Owner::Db,
        key: None,
    })
}

fn declared(key: &weir_config::Key) -> KeyShown {
    KeyShown {
        id: format!("file:{}", key.name),
        name: key.name.clone(),
        prefix: key.key.as_ref().map(|secret| key::masked(secret.expose())),
        role: key.role,
        team: key.team.clone(),
        models: key.models.clone(),
        budgets: key.budgets.iter().map(BudgetShown::of).collect(),
        limits: key.limits.clone(),
        defaults: None,
        expires_at: None,
        revoked_at: None,
        previous_until: None,
        created_at: None,
        updated_at: None,
        owner: Owner::File,
        key: None,
    }
}

/// As JSON.
///
/// # Errors
/// Never, for what is shown here.
pub fn value(shown: &impl Serialize) -> Result<Value, GatewayError> {
    serde_json::to_value(shown).map_err(|_| GatewayError::Internal)
}

/// The form of a change: all fields of a new one, none of them needed.
pub fn change_schema(new: Value) -> Value {
    let mut schema = new;
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("required");
    }
    let members = schema["properties"].as_object_mut();
    for (_, property) in members.into_iter().flatten().filter(|(name, _)| *name != "name" && *name != "role")
    {
        let own = property.take();
        *property = json!({ "anyOf": [own, { "type": "null" }] });
    }
    schema
}
