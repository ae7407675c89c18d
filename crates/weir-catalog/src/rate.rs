//! A price per counted unit, as written: USD per million tokens, per second, or per one.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::{MoneyError, decimal_schema, deserialize_decimal, format_scaled, parse_scaled};

/// The highest price as written, in picodollars: a million USD. It keeps any sum of nine classes within 128 bits
/// and catches slips of the decimal point.
const MAX_AS_WRITTEN: u128 = 1_000_000_000_000_000_000;

/// USD for `PER` counted units, kept as picodollars for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate<const PER: u64>(u64);

/// USD per million tokens or characters.
pub type PerMillion = Rate<1_000_000>;
/// USD per second; durations are counted in milliseconds.
pub type PerSecond = Rate<1_000>;
/// USD for one request, image, page or search.
pub type PerUnit = Rate<1>;

impl<const PER: u64> Rate<PER> {
    /// Free.
    pub const ZERO: Rate<PER> = Rate(0);

    /// Picodollars for one counted unit: a token, a character, a millisecond, a request.
    pub fn picodollars(self) -> u64 {
        self.0
    }

    /// Reads USD per `PER` units from decimal text, exactly.
    ///
    /// # Errors
    /// Says what is wrong with the text: not a decimal, negative, finer than a picodollar for one unit, or above a
    /// million USD.
    pub fn parse(text: &str) -> Result<Rate<PER>, MoneyError> {
        let as_written = parse_scaled(text, 12, Self::finest())?;
        if as_written > MAX_AS_WRITTEN {
            return Err(MoneyError::TooLarge { text: text.to_owned(), limit: "1000000 USD" });
        }
        if as_written % u128::from(PER) != 0 {
            return Err(MoneyError::TooFine { text: text.to_owned(), limit: Self::finest() });
        }
        Ok(Rate((as_written / u128::from(PER)) as u64))
    }

    fn finest() -> &'static str {
        match PER {
            1_000_000 => "a picodollar per token, 0.000001 USD per million",
            1_000 => "a picodollar per millisecond, 0.000000001 USD per second",
            _ => "a picodollar, 0.000000000001 USD",
        }
    }
}

/// As written: USD per `PER` units.
impl<const PER: u64> fmt::Display for Rate<PER> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_scaled(u128::from(self.0) * u128::from(PER), 12))
    }
}

impl<const PER: u64> Serialize for Rate<PER> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const PER: u64> Deserialize<'de> for Rate<PER> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate<PER>, D::Error> {
        deserialize_decimal(deserializer, Rate::parse)
    }
}

impl<const PER: u64> JsonSchema for Rate<PER> {
    fn schema_name() -> Cow<'static, str> {
        match PER {
            1_000_000 => "UsdPerMillion",
            1_000 => "UsdPerSecond",
            _ => "UsdPerUnit",
        }
        .into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema(match PER {
            1_000_000 => "USD per million.",
            1_000 => "USD per second.",
            _ => "USD for one.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_picodollars_for_one() {
        assert_eq!(PerMillion::parse("2.5").unwrap().picodollars(), 2_500_000);
        assert_eq!(PerMillion::parse("0.000001").unwrap().picodollars(), 1);
        assert_eq!(PerSecond::parse("0.0001").unwrap().picodollars(), 100_000);
        assert_eq!(PerUnit::parse("0.04").unwrap().picodollars(), 40_000_000_000);
        assert_eq!(PerMillion::parse("1000000").unwrap().picodollars(), 1_000_000_000_000);
    }

    #[test]
    fn refuses_too_fine_and_too_large() {
        assert!(matches!(PerMillion::parse("0.0000001"), Err(MoneyError::TooFine { .. })));
        assert!(matches!(PerSecond::parse("0.0000000001"), Err(MoneyError::TooFine { .. })));
        assert!(matches!(PerMillion::parse("1000000.1"), Err(MoneyError::TooLarge { .. })));
        assert!(matches!(PerUnit::parse("-1"), Err(MoneyError::Negative(_))));
    }

    #[test]
    fn shows_what_was_written() {
        for text in ["2.5", "0.075", "0", "15", "0.000001", "1000000"] {
            assert_eq!(PerMillion::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(PerSecond::parse("0.006").unwrap().to_string(), "0.006");
    }
}
