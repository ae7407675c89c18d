//! Moments in the admin API: RFC 3339 in UTC outside, microseconds inside.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use weir_ledger::{Micros, civil};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Micros);

/// The moment as RFC 3339 in UTC; nothing of a moment that no calendar has.
pub fn text(at: Micros) -> String {
    Moment::of(at).to_owned()
}

/// A moment as RFC 3339 in UTC, without memory of its own: the log of calls has four in each line.
#[derive(Debug)]
pub struct Moment {
    text: [u8; 27],
    len: usize,
}

impl Moment {
    /// This one.
    pub fn of(at: Micros) -> Moment {
        let mut moment = Moment { text: *b"0000-00-00T00:00:00.000000Z", len: 0 };
        // Years of four digits: 1970 to 9999.
        let (days, rest) = (at.div_euclid(86_400_000_000), at.rem_euclid(86_400_000_000));
        if !(0..=2_932_896).contains(&days) {
            return moment;
        }
        let (year, month, day) = civil(days);
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        let text = &mut moment.text;
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        for (from, number) in [(11, seconds / 3_600), (14, seconds / 60 % 60), (17, seconds % 60)] {
            digits(&mut text[from..from + 2], number);
        }
        digits(&mut text[20..26], micros);
        // As short as it can be said.
        moment.len = text[20..26].iter().rposition(|digit| *digit != b'0').map_or(19, |last| 21 + last);
        text[moment.len] = b'Z';
        moment.len += 1;
        moment
    }
}

impl std::ops::Deref for Moment {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

fn digits(into: &mut [u8], mut number: i64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(at: Micros) {
        let expected = jiff::Timestamp::from_microsecond(at).unwrap().to_string();
        assert_eq!(text(at), expected, "{at}");
    }

    #[test]
    fn each_day_is_written_as_a_calendar_has_it() {
        // Every day to the year 2500, and the last that has four digits for its year.
        (0..193_500).for_each(|day| check(day * 86_400_000_000 + day % 86_400 * 1_000_000 + day));
        check(253_402_207_199_999_999);
    }

    #[test]
    fn what_no_calendar_has_is_nothing() {
        for at in [-1, i64::MIN, i64::MAX, 253_402_300_800_000_000] {
            assert_eq!(text(at), "", "{at}");
        }
    }

    #[test]
    fn moments_are_as_short_as_they_can_be_said() {
        for micros in [0, 1, 10, 120, 123_000, 123_456, 100_000, 999_999] {
            check(1_800_000_000_000_000 + micros);
        }
    }
}
