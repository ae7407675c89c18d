//! Shares of a whole: `0.05`, `1.0`.

use std::fmt;
use std::str::FromStr;

use super::text_value;

/// A number from 0 to 1, in millionths: read from its text, so that budgets meet no float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// 0 to 1,000,000.
    pub millionths: u32,
}

impl Share {
    /// So many percent, at most 100.
    pub const fn percent(percent: u32) -> Self {
        Self { millionths: if percent > 100 { 1_000_000 } else { percent * 10_000 } }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a share from 0 to 1 with at most six decimals, as in 0.05");
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if text.is_empty() || decimals.len() > 6 || !digits(whole) || !digits(decimals) || whole.is_empty() {
            return Err(refuse());
        }
        let millionths = format!("{whole}{decimals:0<6}").parse().map_err(|_| refuse())?;
        if millionths > 1_000_000 { Err(refuse()) } else { Ok(Self { millionths }) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.millionths / 1_000_000, self.millionths % 1_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

text_value!(Share, "Share", {
    "anyOf": [
        { "type": "number", "minimum": 0, "maximum": 1 },
        { "type": "string", "pattern": "^[01](\\.[0-9]{1,6})?$|\\$\\{" },
    ],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, millionths, printed) in
            [("0.05", 50_000, "0.05"), ("1.0", 1_000_000, "1"), ("0", 0, "0"), ("0.000001", 1, "0.000001")]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.millionths, share.to_string().as_str()), (millionths, printed), "{text}");
        }
        assert_eq!(Share::percent(5).to_string(), "0.05");
    }

    #[test]
    fn refuses() {
        for text in ["", ".5", "-0.1", "1.1", "2", ".nan", "1e-2", "0.0000001", "99999999999"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
