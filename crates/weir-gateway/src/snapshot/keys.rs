//! Who may call: keys by their hash.

use std::collections::HashMap;
use std::sync::Arc;

use weir_ledger::key::{Form, KeyHash, form};

use crate::call::{Caller, Role};

/// All keys that are known. Only hashes are kept.
#[derive(Debug, Default)]
pub struct Keys {
    master: Option<KeyHash>,
    declared: HashMap<KeyHash, Arc<Caller>>,
    local: Option<Arc<Caller>>,
    admin: Option<Arc<Caller>>,
}

/// What a key, or its absence, says about who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A caller.
    Is(Arc<Caller>),
    /// No key came, and one is needed.
    Missing,
    /// The key is none of these; it may be mistyped.
    Wrong {
        /// It looks like a key of weir's, but its checksum does not fit.
        mistyped: bool,
    },
}

impl Keys {
    /// A master key, and declared ones. `open`: without a key at all, everybody on loopback may call.
    pub fn new(master: Option<KeyHash>, declared: HashMap<KeyHash, Arc<Caller>>) -> Keys {
        let open = master.is_none() && declared.is_empty();
        let named = |name: &str, role| Some(Arc::new(Caller::named(name, role)));
        Keys {
            local: open.then(|| named("local", Role::Caller)).flatten(),
            admin: named("master", Role::Admin),
            master,
            declared,
        }
    }

    /// Whether calls need a key.
    pub fn needed(&self) -> bool {
        self.local.is_none()
    }

    /// Whether there is a master key.
    pub fn has_master(&self) -> bool {
        self.master.is_some()
    }

    /// Whose key this is. A key whose checksum is wrong is refused without a look-up.
    pub fn verify(&self, key: Option<&str>) -> Verdict {
        if let Some(local) = &self.local {
            return Verdict::Is(local.clone());
        }
        let Some(key) = key.filter(|key| !key.is_empty()) else { return Verdict::Missing };
        if form(key) == Form::Mistyped {
            return Verdict::Wrong { mistyped: true };
        }
        let hash = KeyHash::of(key);
        if self.master.as_ref() == Some(&hash) {
            return self.admin.clone().map_or(Verdict::Missing, Verdict::Is);
        }
        self.declared
            .get(&hash)
            .map_or(Verdict::Wrong { mistyped: false }, |caller| Verdict::Is(caller.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Arc<Caller> {
        Arc::new(Caller::named(name, Role::Caller))
    }

    #[test]
    fn without_any_key_everybody_is_local() {
        let Verdict::Is(who) = Keys::new(None, HashMap::new()).verify(Some("anything")) else {
            panic!("refused")
        };
        assert_eq!(&*who.name, "local");
    }

    #[test]
    fn a_key_is_needed_once_one_exists() {
        let keys = Keys::new(Some(KeyHash::of("m")), HashMap::from([(KeyHash::of("k"), caller("ci"))]));
        assert_eq!(keys.verify(None), Verdict::Missing);
        assert_eq!(keys.verify(Some("")), Verdict::Missing);
        assert_eq!(keys.verify(Some("x")), Verdict::Wrong { mistyped: false });
        assert_eq!(keys.verify(Some("sk-weir-short")), Verdict::Wrong { mistyped: true });
        assert_eq!(keys.verify(Some("k")), Verdict::Is(caller("ci")));
        assert!(matches!(keys.verify(Some("m")), Verdict::Is(who) if who.role == Role::Admin));
    }
}
