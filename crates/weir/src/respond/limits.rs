//! `x-ratelimit-*`, as OpenAI writes them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_gateway::limits::{RateView, Standing};

/// Writes how the tightest limits stand.
pub(super) fn headers(headers: &mut HeaderMap, rate: &RateView) {
    const REQUESTS: [&str; 3] =
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    const TOKENS: [&str; 3] =
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    let mut write = |names: [&'static str; 3], standing: &Standing| {
        headers.insert(HeaderName::from_static(names[0]), HeaderValue::from(standing.limit));
        headers.insert(HeaderName::from_static(names[1]), HeaderValue::from(standing.remaining));
        if let Ok(value) = HeaderValue::try_from(written(standing.reset)) {
            headers.insert(HeaderName::from_static(names[2]), value);
        }
    };
    if let Some(standing) = &rate.requests {
        write(REQUESTS, standing);
    }
    if let Some(standing) = &rate.tokens {
        write(TOKENS, standing);
    }
}

/// A duration as OpenAI writes it: `12ms`, `1.5s`, `6m0s`, `1h2m3s`.
fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, rest) = (millis / 1000 % 60, millis % 1000);
    let seconds = match format!("{seconds}.{rest:03}") {
        text if rest == 0 => text[..text.len() - 4].to_owned(),
        text => text.trim_end_matches('0').to_owned(),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(written(Duration::from_millis(millis)), expected);
        }
    }
}
