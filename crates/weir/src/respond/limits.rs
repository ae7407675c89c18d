//! `x-ratelimit-*`, as OpenAI writes them.

use std::cell::RefCell;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_gateway::limits::{RateView, Standing};

static REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
static TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Writes how the tightest limits stand.
pub(super) fn headers(headers: &mut HeaderMap, rate: &RateView) {
    let mut write = |names: &[HeaderName; 3], standing: &Standing| {
        let [limit, remaining, reset] = names;
        headers.insert(limit, usual(standing.limit));
        let mut written = Written::new();
        written.number(standing.remaining);
        headers.insert(remaining, written.value());
        let mut written = Written::new();
        written.duration(standing.reset);
        headers.insert(reset, written.value());
    };
    if let Some(standing) = &rate.requests {
        write(&REQUESTS, standing);
    }
    if let Some(standing) = &rate.tokens {
        write(&TOKENS, standing);
    }
}

/// A limit as a value. There are few, and each call has two.
fn usual(limit: u64) -> HeaderValue {
    const KEPT: usize = 16;
    thread_local! {
        static LIMITS: RefCell<Vec<(u64, HeaderValue)>> = const { RefCell::new(Vec::new()) };
    }
    LIMITS.with_borrow_mut(|limits| {
        if let Some((_, value)) = limits.iter().find(|(known, _)| *known == limit) {
            return value.clone();
        }
        limits.truncate(KEPT - 1);
        limits.insert(0, (limit, limit.into()));
        limits[0].1.clone()
    })
}

/// Numbers and durations as OpenAI writes them: `12ms`, `1.5s`, `6m0s`, `1h2m3s`. Each limited call has six, so they are
/// written in one piece, from behind.
struct Written {
    text: [u8; 40],
    from: usize,
}

impl Written {
    fn new() -> Written {
        Written { text: [0; 40], from: 40 }
    }

    fn bytes(&self) -> &[u8] {
        &self.text[self.from..]
    }

    fn value(&self) -> HeaderValue {
        // Digits, letters and points are a value.
        HeaderValue::from_bytes(self.bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn put(&mut self, bytes: &[u8]) {
        self.from -= bytes.len();
        self.text[self.from..][..bytes.len()].copy_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }

    fn duration(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if millis < 1000 {
            self.put(b"ms");
            return self.number(millis);
        }
        let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        self.put(b"s");
        self.fraction(millis % 1000);
        self.number(seconds);
        if hours > 0 || minutes > 0 {
            self.put(b"m");
            self.number(minutes);
        }
        if hours > 0 {
            self.put(b"h");
            self.number(hours);
        }
    }

    /// `.5` of 500 milliseconds; nothing of none.
    fn fraction(&mut self, millis: u64) {
        let digits = [millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8);
        let used = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        if used > 0 {
            self.put(&digits[..used]);
            self.put(b".");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_value_however_many_there_are() {
        for round in 0..3 {
            for limit in (0..40).chain([u64::MAX, 60_000]) {
                assert_eq!(usual(limit), limit.to_string(), "{round}");
            }
        }
    }

    #[test]
    fn durations_are_written_as_openai_does() {
        for (millis, expected) in [
            (0, "0ms"),
            (12, "12ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (59_950, "59.95s"),
            (86_400_000, "24h0m0s"),
            (3_723_004, "1h2m3.004s"),
            (u64::MAX, "5124095576030h25m51.615s"),
        ] {
            let mut written = Written::new();
            written.duration(Duration::from_millis(millis));
            assert_eq!(std::str::from_utf8(written.bytes()), Ok(expected));
        }
    }
}
