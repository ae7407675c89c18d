//! Lengths of time: `500ms 30s 5m 1h 7d`.

use std::fmt;
use std::str::FromStr;
use std::time;

use super::text_value;

/// A length of time as written in the file: a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub time::Duration);

/// Units in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest that can be written: ten years. It keeps sums with the clock from overflowing.
const MAX_MILLIS: u64 = 3_650 * 86_400_000;

impl Duration {
    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{text}` is not a duration; write a whole number and a unit, as in 500ms, 30s, 5m, 1h or 7d"
            )
        };
        let start = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let (number, unit) = text.split_at(start);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let total = number.checked_mul(*millis).filter(|total| *total <= MAX_MILLIS);
        total.map(Self::from_millis).ok_or_else(|| format!("`{text}` is longer than 3650d"))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        // Days only where the user would count in days: 1d, but 90m and 36h.
        let fits = |unit: &&(&str, u64)| millis.is_multiple_of(unit.1) && millis > 0;
        let (name, unit) = UNITS.iter().find(fits).unwrap_or(&("s", 1_000));
        write!(f, "{}{name}", millis / unit)
    }
}

text_value!(Duration, "Duration", {
    "type": "string",
    "pattern": "^[0-9]+(ms|s|m|h|d)$|\\$\\{",
    "examples": ["500ms", "30s", "5m", "1h", "7d"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, millis, printed) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("90s", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("5m", 300_000, "5m"),
            ("1h", 3_600_000, "1h"),
            ("7d", 604_800_000, "7d"),
            ("0s", 0, "0s"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(duration.to_string(), printed, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_can_not_be_sure_of() {
        for text in
            ["30", "", "s", "-5s", "1.5s", "5 m", "5min", "1h30m", "99999999999999999999s", "4000d", "NaNs"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
