//! The time of day, for everything that is not on the path of a call.

use std::time::SystemTime;

/// Seconds since 1970.
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Microseconds since 1970, never less than before.
pub fn unix_micros() -> i64 {
    weir_ledger::clock::now()
}
