//! Moments in the admin API: RFC 3339 in UTC outside, microseconds inside.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use weir_ledger::Micros;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Micros);

/// The moment as RFC 3339 in UTC.
pub fn text(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at).map_or_else(|_| String::new(), |time| time.to_string())
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let written = <Cow<'de, str>>::deserialize(deserializer)?;
        let refuse = |_| D::Error::custom("write a time as RFC 3339 has it, as in `2027-01-31T12:00:00Z`");
        written.parse::<jiff::Timestamp>().map(|time| Time(time.as_microsecond())).map_err(refuse)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}
