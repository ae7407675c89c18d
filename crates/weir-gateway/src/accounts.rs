//! What the store's accounts mean: the bodies of their records, and all of them as one [`Book`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use weir_config::{Budget, Limits, Role};
use weir_ledger::Micros;
use weir_ledger::accounts::{Account, Accounts, Kind};
use weir_ledger::key::KeyHash;

/// The body of a key's record. Times are microseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyBody {
    /// What is shown of the key.
    pub prefix: String,
    /// What it may do.
    pub role: Role,
    /// The team it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it may call; `None`: everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What may be spent with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much it may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Parameters that are set where its client sent nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Map<String, Value>>,
    /// Until when it may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Micros>,
    /// The key that it had before it was rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// A key that was rotated, and may still call for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Previous {
    /// Its hash, in hex.
    pub sha256: String,
    /// Until when it may call.
    pub until: Micros,
}

/// The body of a team's or a user's record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupBody {
    /// What all calls of it together may spend.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much all calls of it together may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// An account with its body read.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<B> {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Of a key: its hash.
    pub hash: Option<KeyHash>,
    /// What else is known.
    pub body: B,
}

/// All accounts of the store at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book {
    /// A greater one is the newer state.
    pub version: i64,
    /// Keys that are not revoked; expired ones are among them.
    pub keys: Vec<Held<KeyBody>>,
    /// Teams.
    pub teams: Vec<Held<GroupBody>>,
    /// End users.
    pub users: Vec<Held<GroupBody>>,
    /// Budgets that stand by themselves.
    pub budgets: Vec<Held<Budget>>,
    /// Whether there was ever a key.
    pub any_key: bool,
}

impl Book {
    /// Reads the store's accounts. Those whose body does not read are left out and named in the second answer: they
    /// may have been written by a newer version.
    pub fn read(accounts: &Accounts) -> (Book, Vec<String>) {
        let mut book = Book { version: accounts.version, any_key: accounts.any_key, ..Book::default() };
        let mut odd = Vec::new();
        for account in &accounts.live {
            let read = match account.kind {
                Kind::Key => push(&mut book.keys, account),
                Kind::Team => push(&mut book.teams, account),
                Kind::User => push(&mut book.users, account),
                Kind::Budget => push(&mut book.budgets, account),
            };
            if !read {
                odd.push(format!("{} {}", account.kind.name(), account.id));
            }
        }
        (book, odd)
    }
}

fn push<B: for<'de> Deserialize<'de>>(list: &mut Vec<Held<B>>, account: &Account) -> bool {
    let Ok(body) = serde_json::from_str(&account.body) else { return false };
    list.push(Held { id: account.id.clone(), name: account.name.clone(), hash: account.hash, body });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(kind: Kind, body: &str) -> Account {
        Account {
            kind,
            id: "1".into(),
            name: "n".into(),
            hash: None,
            body: body.into(),
            created_at: 0,
            updated_at: 0,
            removed_at: None,
            version: 1,
        }
    }

    #[test]
    fn what_does_not_read_is_left_out_and_named() {
        let live = vec![
            account(
                Kind::Key,
                r#"{"role":"viewer","budgets":[{"limit":"5","period":"day"}],"expires_at":7}"#,
            ),
            account(Kind::Budget, r#"{"limit":"0.5","period":"month","team":"t"}"#),
            account(Kind::Team, "nonsense"),
            account(Kind::User, "{}"),
        ];
        let (book, odd) = Book::read(&Accounts { version: 3, live, any_key: true });
        assert_eq!((book.version, book.keys.len(), book.budgets.len(), book.users.len()), (3, 1, 1, 1));
        assert_eq!(book.keys[0].body.role, Role::Viewer);
        assert_eq!(book.keys[0].body.expires_at, Some(7));
        assert_eq!(book.budgets[0].body.limit.to_string(), "0.5");
        assert_eq!(odd, ["team 1"]);
    }

    #[test]
    fn bodies_are_read_as_they_were_written() {
        let body = KeyBody {
            prefix: "sk-weir-0000…0000".into(),
            budgets: vec![serde_json::from_str(r#"{"limit":"5.00","period":"day","hard":false}"#).unwrap()],
            expires_at: Some(1),
            previous: Some(Previous { sha256: "ab".into(), until: 2 }),
            ..KeyBody::default()
        };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(serde_json::from_str::<KeyBody>(&text).unwrap(), body);
    }
}
