//! Which of a provider's keys goes with the next attempt.

use std::sync::atomic::{AtomicUsize, Ordering};

use weir_adapter::Credential;

/// A provider's keys, taken in turn.
#[derive(Debug)]
pub struct Credentials {
    keys: Vec<Credential>,
    next: AtomicUsize,
}

impl Credentials {
    /// Keys in the order of the configuration; without any, the empty one, as local servers take it.
    pub fn new(mut keys: Vec<Credential>) -> Credentials {
        if keys.is_empty() {
            keys.push(Credential::new("none", ""));
        }
        Credentials { keys, next: AtomicUsize::new(0) }
    }

    /// The next key.
    pub fn take(&self) -> &Credential {
        match self.keys.as_slice() {
            [only] => only,
            keys => &keys[self.next.fetch_add(1, Ordering::Relaxed) % keys.len()],
        }
    }

    /// Whether a key is there at all.
    pub fn any(&self) -> bool {
        self.keys.iter().any(|key| !key.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_turns() {
        let keys = Credentials::new(vec![Credential::new("a", "1"), Credential::new("b", "2")]);
        let taken: Vec<&str> = (0..4).map(|_| keys.take().name.as_str()).collect();
        assert_eq!(taken, ["a", "b", "a", "b"]);
        assert!(!Credentials::new(Vec::new()).any());
    }
}
