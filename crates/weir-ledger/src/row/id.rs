//! Ids of calls and attempts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The id of a call: a UUIDv7 of weir's own, so ids sort by the time the call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub Uuid);

/// The id of an attempt, written `<call id>-<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The call it serves.
    pub call: CallId,
    /// Its place among the call's attempts, from 1.
    pub n: u16,
}

impl CallId {
    /// A new id; it carries the current time, and later ids of this process are greater.
    pub fn now() -> CallId {
        CallId(Uuid::now_v7())
    }

    /// The id of a call that began at `unix_ms`, told apart by `random`.
    pub fn at(unix_ms: u64, random: &[u8; 10]) -> CallId {
        CallId(uuid::Builder::from_unix_timestamp_millis(unix_ms, random).into_uuid())
    }

    /// Its 128 bits.
    pub fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }

    /// The least id of a call that began at `unix_ms` or later; for ranges.
    pub fn least(unix_ms: u64) -> CallId {
        CallId(Uuid::from_u128(u128::from(unix_ms & 0xffff_ffff_ffff) << 80))
    }

    /// When the call began, in milliseconds since 1970, as the id says.
    pub fn unix_ms(self) -> u64 {
        (self.0.as_u128() >> 80) as u64
    }

    /// The day (UTC, counted from 1970-01-01) that the call's cost belongs to. Its attempts have the same.
    pub fn day(self) -> i64 {
        (self.unix_ms() / 86_400_000) as i64
    }

    /// As it is written; cheaper than by a formatter.
    pub fn to_text(self) -> String {
        let mut text = [0; Hyphenated::LENGTH];
        self.0.hyphenated().encode_lower(&mut text).to_owned()
    }

    /// The id of the call's attempt `n`, from 1.
    pub fn attempt(self, n: u16) -> AttemptId {
        AttemptId { call: self, n }
    }
}

impl AttemptId {
    /// As it is written; cheaper than by a formatter.
    pub fn to_text(self) -> String {
        let mut text = String::with_capacity(Hyphenated::LENGTH + 6);
        text.push_str(self.call.0.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]));
        text.push('-');
        match u8::try_from(self.n) {
            Ok(n @ 0..=9) => text.push(char::from(b'0' + n)),
            _ => text.push_str(&self.n.to_string()),
        }
        text
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.n)
    }
}

/// A string that is not an id of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the ledger")]
pub struct NotAnId;

impl FromStr for CallId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<CallId, NotAnId> {
        if text.len() != 36 {
            return Err(NotAnId);
        }
        Uuid::try_parse(text).map(CallId).map_err(|_| NotAnId)
    }
}

impl FromStr for AttemptId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<AttemptId, NotAnId> {
        let (call, n) = text.rsplit_once('-').ok_or(NotAnId)?;
        if n.starts_with('0') || !n.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAnId);
        }
        Ok(AttemptId { call: call.parse()?, n: n.parse().map_err(|_| NotAnId)? })
    }
}

impl Serialize for AttemptId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttemptId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttemptId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_sort_by_time() {
        let early = CallId::at(1_000, &[0xff; 10]);
        let late = CallId::at(1_001, &[0; 10]);
        assert!(early < late);
        assert!(CallId::least(1_000) <= early && early < CallId::least(1_001));
        assert_eq!((early.unix_ms(), CallId::at(86_400_000, &[1; 10]).day()), (1_000, 1));
        let attempt = early.attempt(12);
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
        assert_eq!((attempt.to_text(), early.to_text()), (attempt.to_string(), early.to_string()));
        assert_eq!(early.attempt(7).to_text(), early.attempt(7).to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
    }

    #[test]
    fn other_strings_are_no_ids() {
        let call = CallId::at(5, &[3; 10]);
        for text in [
            "",
            "x",
            "-1",
            &format!("{call}-"),
            &format!("{call}-01"),
            &format!("{call}-70000"),
            &format!("{call}-+1"),
        ] {
            assert_eq!(text.parse::<AttemptId>(), Err(NotAnId), "{text}");
        }
        assert_eq!(call.0.simple().to_string().parse::<CallId>(), Err(NotAnId));
    }
}
