//! Who gets how much of what can be done: each tenant as much as it asks for, up to the same share for all.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// So many tenants are told apart in a tick; more share the last place.
const MOST: usize = 4096;

/// Whose call it is: its team's, else its key's.
#[derive(Debug, Clone, Copy)]
pub struct Tenant<'t>(&'t str);

impl<'t> Tenant<'t> {
    /// The tenant of this name.
    pub fn of(name: &'t str) -> Tenant<'t> {
        Tenant(name)
    }
}

/// One tick's calls by tenant.
#[derive(Default)]
pub(super) struct Window {
    hasher: RandomState,
    /// What each asked for, by the hash of its name.
    asked: HashMap<u64, usize>,
    /// What each may have.
    share: usize,
    refused: usize,
}

impl Window {
    /// Whether another call of this tenant is admitted.
    pub(super) fn admit(&mut self, tenant: Tenant<'_>) -> bool {
        let hash = self.hasher.hash_one(tenant.0);
        let hash = if self.asked.len() < MOST || self.asked.contains_key(&hash) { hash } else { 0 };
        let asked = self.asked.entry(hash).or_default();
        *asked += 1;
        let fits = *asked <= self.share;
        self.refused += usize::from(!fits);
        fits
    }

    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    /// Begins a tick that may admit `limit` calls, shared by what each tenant asked for in the one before.
    pub(super) fn next(&mut self, limit: Option<usize>) {
        self.share = limit.map_or(usize::MAX, |limit| share(limit, self.asked.values().copied()));
        self.asked.clear();
        self.refused = 0;
    }
}

/// The share with which all together get `limit`, where each gets what it asks for but no more than the share.
fn share(limit: usize, asked: impl Iterator<Item = usize>) -> usize {
    let mut asked: Vec<usize> = asked.collect();
    asked.sort_unstable();
    let (mut left, mut many) = (limit, asked.len());
    for one in asked {
        if one * many > left {
            return (left / many).max(1);
        }
        left -= one;
        many -= 1;
    }
    // Less was asked for than can be done: whoever comes next may have all of it.
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_fair() {
        let check =
            |limit, asked: &[usize], want| assert_eq!(share(limit, asked.iter().copied()), want, "{asked:?}");
        check(100, &[], 100);
        check(100, &[30, 40], 100);
        check(100, &[1000], 100);
        check(100, &[1000, 1000], 50);
        // What one does not need, others get.
        check(100, &[10, 1000], 90);
        check(100, &[10, 20, 1000, 1000], 35);
        check(3, &[5, 5, 5, 5], 1);
    }

    #[test]
    fn a_flood_does_not_push_others_out() {
        let mut window = Window::default();
        let mut admitted = (0, 0);
        for tick in 0..10 {
            window.next(Some(100));
            admitted = (0, 0);
            for number in 0..1010 {
                let calm = number % 101 == 0;
                if window.admit(Tenant::of(if calm { "calm" } else { "flood" })) {
                    if calm { admitted.0 += 1 } else { admitted.1 += 1 }
                }
            }
            assert!(tick == 0 || admitted.0 == 10, "{admitted:?}");
        }
        assert_eq!(admitted, (10, 90));
        assert_eq!(window.refused(), 910);
    }
}
