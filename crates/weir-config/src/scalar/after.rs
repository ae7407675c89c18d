//! When something slow is slow: `p95`, or a length of time.

use std::fmt;
use std::str::FromStr;

use super::{Duration, text_value};

/// A percentile of what is usual, or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// So many of a hundred are not slower: 1 to 99.
    Percentile(u8),
    /// Always the same.
    Time(Duration),
}

impl FromStr for After {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_prefix('p') {
            let percent = number.parse().ok().filter(|percent| (1..=99).contains(percent));
            return percent.map(Self::Percentile).ok_or_else(|| {
                format!("`{text}` is no percentile; write p1 to p99, as in p95, or a duration")
            });
        }
        text.parse().map(Self::Time)
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percent) => write!(f, "p{percent}"),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

text_value!(After, "After", {
    "type": "string",
    "pattern": "^p[1-9][0-9]?$|^[0-9]+(ms|s|m|h|d)$|\\$\\{",
    "examples": ["p95", "800ms"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, want) in
            [("p95", After::Percentile(95)), ("800ms", After::Time(Duration::from_millis(800)))]
        {
            assert_eq!(text.parse(), Ok(want));
            assert_eq!(want.to_string(), text);
        }
        for wrong in ["p0", "p100", "p", "95", "soon", "p95.5", "p-1"] {
            assert!(wrong.parse::<After>().is_err(), "{wrong}");
        }
    }
}
