//! A day, as price lists and deprecations give it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Seconds in a day of UTC as Unix counts them.
const DAY: i64 = 86_400;

/// A day in UTC, written `2026-01-31`. It starts at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// When the day begins, in seconds since 1970.
    pub fn unix(self) -> i64 {
        let epoch = jiff::civil::date(1970, 1, 1);
        let days = (self.0 - epoch).get_days();
        i64::from(days) * DAY
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Date, String> {
        let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date = if plain { text.parse().ok() } else { None };
        date.map(Date).ok_or_else(|| format!("`{text}` is not a date such as 2026-01-31"))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date", "description": "A day in UTC, such as 2026-01-31." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_midnight() {
        for (text, unix) in [
            ("1970-01-01", 0),
            ("2000-03-01", 951_868_800),
            ("2026-08-01", 1_785_542_400),
            ("1969-12-31", -DAY),
        ] {
            let date: Date = text.parse().unwrap();
            assert_eq!(date.unix(), unix, "{text}");
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in ["2026-02-30", "2026-2-1", "2026-01-01T00:00:00Z", "20260101", "", "today"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
