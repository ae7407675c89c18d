//! Accounts in memory.

use parking_lot::Mutex;

use crate::accounts::{
    Account, AccountStore, Accounts, AuditEntry, Change, Changed, Kind, Notices, REPEATABLE_FOR, Repeatable,
    Slice,
};
use crate::row::Micros;
use crate::store::Answer;

/// Keeps accounts as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryAccounts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    version: i64,
    accounts: Vec<Account>,
    log: Vec<AuditEntry>,
    repeatable: Vec<Repeatable>,
}

impl Inner {
    fn change(&mut self, change: &Change) -> Changed {
        let new = &change.account;
        if let Some(wanted) = &change.repeatable
            && let Some(found) = self.repeatable(&wanted.id, wanted.at)
        {
            return Changed::Repeated(found);
        }
        let others = || {
            self.accounts
                .iter()
                .filter(|old| old.id != new.id && old.removed_at.is_none() && new.removed_at.is_none())
        };
        if others().any(|old| old.kind == new.kind && old.name == new.name) {
            return Changed::NameTaken;
        }
        if new.hash.is_some() && others().any(|old| old.hash == new.hash) {
            return Changed::HashTaken;
        }
        let account = Account { version: self.version + 1, ..new.clone() };
        match change.replaces {
            None => self.accounts.push(account),
            Some(version) => {
                let old = self.accounts.iter_mut().find(|old| old.id == new.id && old.version == version);
                let Some(old) = old else { return Changed::Stale };
                *old = account;
            }
        }
        self.version += 1;
        self.log.push(change.entry.clone());
        self.repeatable.extend(change.repeatable.clone());
        Changed::Done(self.version)
    }

    fn repeatable(&self, id: &str, now: Micros) -> Option<Repeatable> {
        self.repeatable.iter().find(|one| one.id == id && one.at > now - REPEATABLE_FOR).cloned()
    }
}

impl AccountStore for MemoryAccounts {
    fn accounts(&self) -> Answer<'_, Accounts> {
        Box::pin(async {
            let inner = self.0.lock();
            let live: Vec<_> =
                inner.accounts.iter().filter(|one| one.removed_at.is_none()).cloned().collect();
            let any_key = inner.accounts.iter().any(|one| one.kind == Kind::Key);
            Ok(Accounts { version: inner.version, live, any_key })
        })
    }

    fn version(&self) -> Answer<'_, i64> {
        Box::pin(async { Ok(self.0.lock().version) })
    }

    fn account<'a>(&'a self, kind: Kind, id: &'a str) -> Answer<'a, Option<Account>> {
        Box::pin(async move {
            Ok(self.0.lock().accounts.iter().find(|one| one.kind == kind && one.id == id).cloned())
        })
    }

    fn list<'a>(&'a self, kind: Kind, slice: &'a Slice) -> Answer<'a, Vec<Account>> {
        Box::pin(async move {
            let inner = self.0.lock();
            let mut found: Vec<_> = inner
                .accounts
                .iter()
                .filter(|one| one.kind == kind && (kind == Kind::Key || one.removed_at.is_none()))
                .filter(|one| slice.beyond.as_ref().is_none_or(|id| one.id > *id))
                .cloned()
                .collect();
            found.sort_by(|one, other| one.id.cmp(&other.id));
            found.truncate(slice.limit as usize);
            Ok(found)
        })
    }

    fn change<'a>(&'a self, change: &'a Change) -> Answer<'a, Changed> {
        Box::pin(async move { Ok(self.0.lock().change(change)) })
    }

    fn repeatable<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Repeatable>> {
        Box::pin(async move { Ok(self.0.lock().repeatable(id, now)) })
    }

    fn audit<'a>(&'a self, slice: &'a Slice) -> Answer<'a, Vec<AuditEntry>> {
        Box::pin(async move {
            let inner = self.0.lock();
            let before =
                inner.log.iter().rev().filter(|one| slice.beyond.as_ref().is_none_or(|id| one.id < *id));
            Ok(before.take(slice.limit as usize).cloned().collect())
        })
    }

    fn notices(&self) -> Answer<'_, Option<Box<dyn Notices>>> {
        Box::pin(async { Ok(None) })
    }
}
