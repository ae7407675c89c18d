//! Who gets how much of what can be done: each tenant as much as it asks for, up to the same share for all.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::TICK;

/// So many tenants are told apart in a tick; more share the last place.
const MOST: usize = 4096;

/// So much of a tick is allowed ahead of its time.
const AHEAD: Duration = Duration::from_millis(20);
/// So many calls of a tenant may come at once, within its share.
const AT_ONCE: usize = 4;

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
    /// What each asked for, by the hash of its name, and what it was given.
    tenants: HashMap<u64, Asked>,
    /// What all together may have; `None`: whatever they ask for.
    limit: Option<usize>,
    /// What each may have.
    share: usize,
    began: Option<Instant>,
    admitted: usize,
    refused: usize,
}

#[derive(Default)]
struct Asked {
    times: usize,
    admitted: usize,
}

impl Window {
    /// Whether another call of this tenant is admitted. What a tick allows is allowed little by little: a share that went
    /// all at once would be in the way of everybody else's.
    pub(super) fn admit(&mut self, tenant: Tenant<'_>, now: Instant) -> bool {
        let hash = self.hasher.hash_one(tenant.0);
        let hash = if self.tenants.len() < MOST || self.tenants.contains_key(&hash) { hash } else { 0 };
        let tenant = self.tenants.entry(hash).or_default();
        tenant.times += 1;
        let Some(limit) = self.limit else {
            return true;
        };
        let since = self.began.map_or(TICK, |began| now.saturating_duration_since(began)) + AHEAD;
        let by_now = |whole: usize| whole * since.min(TICK).as_micros() as usize / TICK.as_micros() as usize;
        // Where there is less than one for each, whoever comes first is served.
        let fits = tenant.admitted < by_now(self.share).max(self.share.min(AT_ONCE))
            && (self.share > 1 || self.admitted < by_now(limit).max(1));
        tenant.admitted += usize::from(fits);
        self.admitted += usize::from(fits);
        self.refused += usize::from(!fits);
        fits
    }

    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    /// Begins a tick that may admit `limit` calls, shared by what each tenant asked for in the one before.
    pub(super) fn next(&mut self, limit: Option<usize>, now: Instant) {
        let asked = self.tenants.values().map(|tenant| tenant.times);
        self.share = limit.map_or(usize::MAX, |limit| share(limit, asked));
        self.tenants.clear();
        (self.limit, self.began, self.admitted, self.refused) = (limit, Some(now), 0, 0);
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
        let (mut window, mut now) = (Window::default(), Instant::now());
        let mut admitted = (0, 0);
        for tick in 0..10 {
            window.next(Some(100), now);
            admitted = (0, 0);
            let mut early = 0;
            for number in 0..1010 {
                now += TICK / 1010;
                let calm = number % 101 == 0;
                if window.admit(Tenant::of(if calm { "calm" } else { "flood" }), now) {
                    if calm { admitted.0 += 1 } else { admitted.1 += 1 }
                }
                if number == 505 {
                    early = admitted.1;
                }
            }
            assert!(tick == 0 || admitted.0 == 10, "{admitted:?}");
            assert!(early < 75, "the flood's share is spread over the tick: {early}");
        }
        assert!(admitted.0 == 10 && (88..=90).contains(&admitted.1), "{admitted:?}");
        assert_eq!(window.refused(), 1010 - admitted.0 - admitted.1);
    }

    #[test]
    fn where_there_is_less_than_one_for_each_no_more_are_served() {
        let (mut window, mut now) = (Window::default(), Instant::now());
        let names: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        // They are counted before any is refused.
        for limit in [None, Some(50), Some(50)] {
            window.next(limit, now);
            let mut served = 0;
            for name in &names {
                now += TICK / 500;
                served += usize::from(window.admit(Tenant::of(name), now));
            }
            assert!(limit.is_none() || (45..=50).contains(&served), "{served}");
        }
    }

    #[test]
    fn a_tenant_that_asks_for_little_gets_it_beside_a_flood_whenever_it_comes() {
        let (mut window, mut now) = (Window::default(), Instant::now());
        for limit in [None, Some(10), Some(10), Some(10)] {
            window.next(limit, now);
            // The flood takes what it can get before the other comes.
            for number in 0..200 {
                now += TICK / 200;
                window.admit(Tenant::of("flood"), now);
                if number % 100 == 10 {
                    assert!(window.admit(Tenant::of("calm"), now), "{limit:?} {number}");
                }
            }
        }
    }
}
