//! Changes: written with their line in the log, answered the same when they are repeated.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use weir_gateway::GatewayError;
use weir_ledger::accounts::{Account, AuditEntry, Change, Changed, Kind, Repeatable};

use super::{Ask, Desk, missing, unavailable};
use crate::seal::{Seal, from_hex, hash, hex};

/// What is to be done.
pub struct Done {
    /// The word in the log.
    pub action: &'static str,
    /// The account afterwards.
    pub account: Account,
    /// The version that it replaces.
    pub replaces: Option<i64>,
    /// What the log shows of it before.
    pub before: Option<Value>,
    /// What the log shows of it afterwards, and is answered.
    pub after: Value,
    /// A secret that is answered, and shown nowhere else.
    pub key: Option<String>,
}

/// A new id, and the current time.
pub fn fresh(ask: &Ask, kind: Kind, name: &str) -> Account {
    Account {
        kind,
        id: Uuid::now_v7().to_string(),
        name: name.to_owned(),
        hash: None,
        body: String::new(),
        created_at: ask.now,
        updated_at: ask.now,
        removed_at: None,
        version: 0,
    }
}

/// The account of the store with this id.
///
/// # Errors
/// There is none, or the store does not answer.
pub async fn find(desk: &Desk<'_>, kind: Kind, id: &str) -> Result<Account, GatewayError> {
    let found = desk.store.accounts().account(kind, id).await.map_err(|error| unavailable(&error))?;
    let found = found.filter(|account| kind == Kind::Key || account.removed_at.is_none());
    found.ok_or_else(|| missing(kind.name(), id))
}

/// A body as it is stored.
pub fn stored(body: &impl Serialize) -> Result<String, GatewayError> {
    serde_json::to_string(body).map_err(|_| GatewayError::Internal)
}

/// Writes it, lets it act in this process, and answers.
///
/// # Errors
/// A name that is taken, somebody else's change, a store that does not answer.
pub async fn commit(desk: &Desk<'_>, ask: &Ask, done: Done) -> Result<Value, GatewayError> {
    let (kind, name) = (done.account.kind, done.account.name.clone());
    let mut answer = done.after.clone();
    if let Some(key) = done.key {
        answer["key"] = json!(key);
    }
    let entry = AuditEntry {
        id: Uuid::now_v7().to_string(),
        at: ask.now,
        actor: ask.actor.name.to_string(),
        action: done.action.to_owned(),
        kind,
        object_id: done.account.id.clone(),
        name: name.clone(),
        before: done.before.map(|value| value.to_string()),
        after: Some(done.after.to_string()),
    };
    let repeatable = once(ask).map(|once| Repeatable {
        id: once.id,
        digest: once.digest,
        answer: hex(&once.seal.seal(answer.to_string().as_bytes())),
        at: ask.now,
    });
    let change = Change { account: done.account, replaces: done.replaces, entry, repeatable };
    match desk.store.accounts().change(&change).await.map_err(|error| unavailable(&error))? {
        Changed::Done(_) => {}
        Changed::NameTaken => return Err(taken(kind, &name)),
        Changed::HashTaken => {
            let message = "another key has this hash: the same secret can't belong to two".to_owned();
            return Err(GatewayError::Conflict { code: "already_exists", message });
        }
        Changed::Stale => {
            let message =
                format!("the {} `{name}` was changed meanwhile; read it and try again", kind.name());
            return Err(GatewayError::Conflict { code: "changed_meanwhile", message });
        }
        Changed::Repeated(known) => return again(ask, &known),
    }
    if let Some(app) = desk.app
        && let Err(error) = crate::accounts::refresh(app).await
    {
        tracing::warn!(%error, cause = %error.cause, "a change is made, and acts here once the store answers again");
    }
    Ok(answer)
}

/// A name that another one has.
pub fn taken(kind: Kind, name: &str) -> GatewayError {
    let message =
        format!("there is a {} `{name}` already; choose another name, or change that one", kind.name());
    GatewayError::Conflict { code: "already_exists", message }
}

/// The answer that this request got before, if it is a repeat.
///
/// # Errors
/// The same idempotency key with another request, a store that does not answer.
pub async fn repeated(desk: &Desk<'_>, ask: &Ask) -> Result<Option<Value>, GatewayError> {
    let Some(once) = once(ask) else { return Ok(None) };
    let known = desk.store.accounts().repeatable(&once.id, ask.now).await;
    known.map_err(|error| unavailable(&error))?.map(|known| again(ask, &known)).transpose()
}

struct Once {
    id: String,
    digest: String,
    seal: Seal,
}

/// The store gets hashes, and the answer sealed under what only the client knows: a new key in it stays secret.
fn once(ask: &Ask) -> Option<Once> {
    let key = ask.once.as_deref()?;
    let body = std::str::from_utf8(&ask.body).unwrap_or_default();
    Some(Once {
        id: hex(&hash("weir idempotency id", &[&ask.actor.name, key])),
        digest: hex(&hash("weir idempotency request", &[&ask.what, body])),
        seal: Seal::new("weir idempotency answer", &[&ask.credential, key]),
    })
}

fn again(ask: &Ask, known: &Repeatable) -> Result<Value, GatewayError> {
    let Some(once) = once(ask) else { return Err(GatewayError::Internal) };
    if once.digest != known.digest {
        let message =
            "this Idempotency-Key came with another request within the last 24 hours; use a new one"
                .to_owned();
        return Err(GatewayError::Conflict { code: "idempotency_key_reused", message });
    }
    let opened = from_hex(&known.answer).and_then(|sealed| once.seal.open(&sealed));
    opened.and_then(|text| serde_json::from_slice(&text).ok()).ok_or_else(|| GatewayError::Conflict {
        code: "idempotency_key_reused",
        message: "this Idempotency-Key came with another credential; use the same, or a new Idempotency-Key"
            .to_owned(),
    })
}
