//! Counts of tokens that pass: a small object, which costs nothing.

use bytes::Bytes;
use serde_json::Value;
use weir_wire::Usage;
use weir_wire::framing::Framing;

use crate::adapter::{Glance, Reader};
use crate::error::ProviderError;

/// Reads a count under this member.
#[derive(Debug)]
pub struct CountReader {
    member: &'static str,
    /// Counting uses nothing.
    usage: Usage,
}

impl CountReader {
    /// Of replies that have the count in `member`.
    pub fn new(member: &'static str) -> CountReader {
        CountReader { member, usage: Usage::new() }
    }
}

impl Reader for CountReader {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        let reply: Value = serde_json::from_slice(body).unwrap_or_default();
        match reply[self.member].as_u64() {
            Some(_) => Ok(Glance { semantic: true, ..Glance::default() }),
            None => Err(ProviderError::nonsense(format!("the provider's answer has no `{}`", self.member))),
        }
    }

    fn frame(&mut self, _frame: &[u8]) -> Result<Glance, ProviderError> {
        Err(ProviderError::nonsense("a count does not stream"))
    }

    fn done(&self) -> bool {
        false
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        Ok(Bytes::new())
    }

    fn usage(&self) -> Option<&Usage> {
        Some(&self.usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_free_and_must_be_there() {
        let mut reader = CountReader::new("input_tokens");
        assert!(reader.whole(br#"{"input_tokens":14}"#).unwrap().semantic);
        assert!(reader.usage().unwrap().is_empty());
        assert!(reader.whole(br#"{"error":{}}"#).is_err());
        assert!(reader.whole(b"<html>").is_err());
    }
}
