//! `/admin/v1/audit`: who changed what, and when; latest first.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use weir_ledger::accounts::{AuditEntry, Slice};

use super::keys::value;
use super::time::Time;
use super::{Answer, Ask, Desk, page, unavailable};

/// A change as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeShown {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Time,
    /// Who: the name of a key, `master`, `local`, or `command line`.
    pub actor: String,
    /// What was done: `create`, `update`, `revoke`, `rotate`, `delete`.
    pub action: String,
    /// What it was done to: `key`, `team`, `user`, `budget`.
    pub kind: String,
    /// Its id.
    pub object_id: String,
    /// Its name at that time.
    pub name: String,
    /// What it was before; never a secret.
    pub before: Option<Value>,
    /// What it was afterwards.
    pub after: Option<Value>,
}

/// The log.
pub fn list<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let limit = page::limit(ask)?;
        let slice = Slice { limit: limit + 1, beyond: ask.parameter("cursor").map(str::to_owned) };
        let found = desk.store.accounts().audit(&slice).await.map_err(|error| unavailable(&error))?;
        let more = found.len() > limit as usize;
        let shown = found.iter().take(limit as usize);
        let next = shown.clone().next_back().map(|entry| entry.id.clone()).filter(|_| more);
        Ok(page::page(shown.map(|entry| value(&shown_as(entry))).collect::<Result<_, _>>()?, next))
    })
}

fn shown_as(entry: &AuditEntry) -> ChangeShown {
    let json = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    ChangeShown {
        id: entry.id.clone(),
        at: Time(entry.at),
        actor: entry.actor.clone(),
        action: entry.action.clone(),
        kind: entry.kind.name().to_owned(),
        object_id: entry.object_id.clone(),
        name: entry.name.clone(),
        before: json(&entry.before),
        after: json(&entry.after),
    }
}
