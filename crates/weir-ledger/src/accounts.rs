//! Accounts as a store keeps them: keys, teams, users and budgets, each a record whose body is JSON that only its
//! writer understands, the log of their changes, and a counter that says which of two states is the newer one.
//!
//! Every change is one transaction: counter, record, log and the answer for a repeated request, all or nothing.

use serde::{Deserialize, Serialize};

use crate::key::KeyHash;
use crate::row::Micros;
use crate::store::Answer;

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A virtual key.
    Key,
    /// A team that keys belong to.
    Team,
    /// An end user.
    User,
    /// A budget.
    Budget,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Key, Kind::Team, Kind::User, Kind::Budget];

    /// The word in the store, in messages and in the log of changes.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Team => "team",
            Kind::User => "user",
            Kind::Budget => "budget",
        }
    }

    /// The kind that `name` names.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What it is.
    pub kind: Kind,
    /// Its id: a UUIDv7, so ids sort by the time of making.
    pub id: String,
    /// Its name, unique among those of its kind that are not removed.
    pub name: String,
    /// The hash of a key; unique among those that are not removed.
    pub hash: Option<KeyHash>,
    /// What else is known, as JSON. No secret.
    pub body: String,
    /// When it was made.
    pub created_at: Micros,
    /// When it last changed.
    pub updated_at: Micros,
    /// When it was removed, for keys: revoked.
    pub removed_at: Option<Micros>,
    /// The counter's value at its last change.
    pub version: i64,
}

/// Everything that holds now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The counter: a greater one is the newer state.
    pub version: i64,
    /// Those that are not removed, by id.
    pub live: Vec<Account>,
    /// Whether there was ever a key, be it revoked now.
    pub any_key: bool,
}

/// A line of the log of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// A UUIDv7.
    pub id: String,
    /// When.
    pub at: Micros,
    /// Who: the name of a key, or `master`, `local`, `command line`.
    pub actor: String,
    /// What was done: `create`, `update`, `revoke`, `rotate`, `delete`.
    pub action: String,
    /// What it was done to.
    pub kind: Kind,
    /// Its id.
    pub object_id: String,
    /// Its name at that time.
    pub name: String,
    /// What it was before, as JSON without secrets.
    pub before: Option<String>,
    /// What it is after.
    pub after: Option<String>,
}

/// What a request with an idempotency key did, so that its repeat answers the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeatable {
    /// A hash of who asked and of the idempotency key.
    pub id: String,
    /// A hash of what was asked.
    pub digest: String,
    /// The answer, sealed: nobody who reads the store can open it.
    pub answer: String,
    /// When.
    pub at: Micros,
}

/// How long an answer can be repeated: 24 hours.
pub const REPEATABLE_FOR: Micros = 24 * 3_600 * 1_000_000;

/// A change to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is afterwards; its `version` is set by the store.
    pub account: Account,
    /// The version that it replaces; `None` makes a new one.
    pub replaces: Option<i64>,
    /// Its line in the log.
    pub entry: AuditEntry,
    /// Kept for a repeated request.
    pub repeatable: Option<Repeatable>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is made; the counter now has this value.
    Done(i64),
    /// Another one of its kind has the name.
    NameTaken,
    /// Another key has the hash.
    HashTaken,
    /// Somebody else has changed it meanwhile.
    Stale,
    /// The same request was here before, and was answered so.
    Repeated(Repeatable),
}

/// Which accounts, or lines of the log, to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// How many, at most 1,000.
    pub limit: u32,
    /// Only those after this id (of the log: before it).
    pub beyond: Option<String>,
}

/// A database of accounts. Every answer comes within a bounded time, whatever the database does.
pub trait AccountStore: Send + Sync {
    /// Everything that holds now, from one moment.
    fn accounts(&self) -> Answer<'_, Accounts>;
    /// The counter.
    fn version(&self) -> Answer<'_, i64>;
    /// One account, removed ones too.
    fn account<'a>(&'a self, kind: Kind, id: &'a str) -> Answer<'a, Option<Account>>;
    /// Accounts by id: of keys the revoked ones too, of others those that are not removed.
    fn list<'a>(&'a self, kind: Kind, slice: &'a Slice) -> Answer<'a, Vec<Account>>;
    /// Makes a change, or says why not.
    fn change<'a>(&'a self, change: &'a Change) -> Answer<'a, Changed>;
    /// What a request of this id did within the last 24 hours.
    fn repeatable<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Repeatable>>;
    /// The log of changes, latest first.
    fn audit<'a>(&'a self, slice: &'a Slice) -> Answer<'a, Vec<AuditEntry>>;
    /// A connection that tells of changes; `None` where the database has no such thing and must be asked.
    fn notices(&self) -> Answer<'_, Option<Box<dyn Notices>>>;
}

/// Tells of changes.
pub trait Notices: Send {
    /// Done at the next change. An error means that notices may have been lost.
    fn next(&mut self) -> Answer<'_, ()>;
}
