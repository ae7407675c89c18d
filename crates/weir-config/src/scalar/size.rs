//! Amounts of bytes: `64KiB 32MiB`.

use std::fmt;
use std::str::FromStr;

use super::text_value;

/// An amount of bytes as written in the file: a whole number and a unit (or none, for bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

impl Size {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("`{text}` is not a size; write a whole number and a unit, as in 64KiB, 32MiB or 1GiB");
        let start = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(start);
        let (_, bytes) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(refuse)?;
        let number: u64 = number.parse().map_err(|_| refuse())?;
        number.checked_mul(*bytes).map(Self).ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..3].iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes));
        let (name, bytes) = binary.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

text_value!(Size, "Size", {
    "anyOf": [
        { "type": "string", "pattern": "^[0-9]+([KkMmGg]([Ii])?)?[Bb]?$|\\$\\{", "examples": ["64KiB", "32MiB", "1GiB"] },
        { "type": "integer", "minimum": 0 },
    ],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, bytes, printed) in [
            ("64KiB", 65_536, "64KiB"),
            ("32MiB", 33_554_432, "32MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("32mib", 33_554_432, "32MiB"),
            ("1MB", 1_000_000, "1000000B"),
            ("1024", 1_024, "1KiB"),
            ("0", 0, "0B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size, size.to_string().as_str()), (Size(bytes), printed), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "KiB", "-1", "1.5MiB", "32 MiB", "1TiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
