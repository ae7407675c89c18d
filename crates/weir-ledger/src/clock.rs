//! The time of day as rows and windows have it: where the system's clock is set back, it stands still until that has come
//! so far again. What takes a time is measured by another clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use crate::row::Micros;

static LATEST: AtomicI64 = AtomicI64::new(0);

/// Microseconds since 1970. Never less than what this process was told before.
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    not_before(&LATEST, Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX))
}

fn not_before(latest: &AtomicI64, now: Micros) -> Micros {
    latest.fetch_max(now, Ordering::Relaxed).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_system_is_behind() {
        let latest = AtomicI64::new(0);
        let told = [10, 20, 5, 19, 21].map(|now| not_before(&latest, now));
        assert_eq!(told, [10, 20, 20, 20, 21]);
        let before = now();
        assert!(now() >= before && before > 1_700_000_000_000_000);
    }
}
