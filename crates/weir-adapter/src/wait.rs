//! How long a provider asks to wait, in all the forms in which providers say so. Pure: the time of day comes in.
//!
//! `retry-after-ms` and `retry-after` (seconds, or a date) say it outright. Where neither does, a 429 may still say when
//! its limits reset: `x-ratelimit-reset-requests` and the like, `anthropic-ratelimit-requests-reset`, as a span (`6m0s`),
//! seconds, a time since 1970 or a date. What says nothing (0, a time that is over, a negative one, nonsense) counts as
//! not said: who came at once would only be sent away again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

/// The longest wait that is believed.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// From here on a number is a time since 1970 in seconds, and from the second on in milliseconds.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e12;

/// What `retry-after-ms`, else `retry-after` asks for; at most [`LONGEST`].
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = said("retry-after-ms").and_then(number).and_then(|ms| seconds(ms / 1000.0));
    let wait = millis.or_else(|| {
        let text = said("retry-after")?;
        number(text).and_then(seconds).or_else(|| date(text, now))
    });
    believed(wait)
}

/// When the limit that has least left is full again; at most [`LONGEST`]. Of equal ones the last to be.
pub fn limits_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut found: Option<(f64, Duration)> = None;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.contains("ratelimit") || !name.contains("reset") {
            continue;
        }
        let Some(wait) = value.to_str().ok().and_then(|text| reset(text.trim(), now)) else { continue };
        let left = share_left(headers, name);
        if found.is_none_or(|(least, longest)| left < least || (left <= least && wait > longest)) {
            found = Some((left, wait));
        }
    }
    believed(found.map(|(_, wait)| wait))
}

/// How much of a limit is left, 0 where nothing is said.
fn share_left(headers: &HeaderMap, reset: &str) -> f64 {
    let read = |word: &str| number(headers.get(reset.replacen("reset", word, 1))?.to_str().ok()?.trim());
    match (read("remaining"), read("limit")) {
        (Some(left), Some(limit)) if limit > 0.0 => left / limit,
        _ => 0.0,
    }
}

/// A span, seconds, a time since 1970, or a date.
fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    match number(text) {
        Some(number) if number >= EPOCH_MILLIS => until(UNIX_EPOCH + seconds(number / 1000.0)?, now),
        Some(number) if number >= EPOCH_SECONDS => until(UNIX_EPOCH + seconds(number)?, now),
        Some(number) => seconds(number),
        None => span(text).or_else(|| date(text, now)),
    }
}

/// `1s`, `6m0s`, `20ms`, `1h2m3.5s`: whole or with a fraction, each unit once, the larger first.
pub fn span(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("d", 86_400.0), ("h", 3600.0), ("ms", 1e-3), ("m", 60.0), ("s", 1.0), ("us", 1e-6), ("ns", 1e-9)];
    let (mut rest, mut all, mut last) = (text, 0.0, f64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count = number(&rest[..digits])?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &letters[..end])?;
        if *unit >= last {
            return None;
        }
        (last, all, rest) = (*unit, all + count * unit, &letters[end..]);
    }
    (last < f64::MAX).then(|| seconds(all)).flatten()
}

/// A date of HTTP's, or one as RFC 3339 writes it.
fn date(text: &str, now: SystemTime) -> Option<Duration> {
    let at = httpdate::parse_http_date(text).ok().or_else(|| rfc3339(text))?;
    until(at, now)
}

/// `2026-11-30T12:00:30.25Z`, `2026-11-30T13:00:00+01:00`. A time before 1970 is none.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (day, rest) = text.split_once(['T', 't', ' '])?;
    let (clock, offset) = match rest.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0.0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let (hours, minutes) = rest[at + 1..].split_once(':')?;
            let minutes = number(hours)? * 60.0 + number(minutes)?;
            (&rest[..at], if rest[at..].starts_with('-') { -minutes } else { minutes })
        }
    };
    let three = |text: &str, between: char| {
        let mut parts = text.split(between).map(number);
        let all = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(all)
    };
    let ([year, month, day], [hours, minutes, second]) = (three(day, '-')?, three(clock, ':')?);
    let fits = (1.0..=12.0).contains(&month)
        && (1.0..=31.0).contains(&day)
        && hours < 24.0
        && minutes < 60.0
        && second < 61.0;
    // Days since 0000-03-01, so that a leap day is the last of its year.
    let (year, month) = if month > 2.0 { (year, month - 3.0) } else { (year - 1.0, month + 9.0) };
    let leaps = (year / 4.0).floor() - (year / 100.0).floor() + (year / 400.0).floor();
    let days = year * 365.0 + leaps + ((153.0 * month + 2.0) / 5.0).floor() + day - 1.0 - 719_468.0;
    let since = days * 86_400.0 + hours * 3600.0 + (minutes - offset) * 60.0 + second;
    fits.then(|| Duration::try_from_secs_f64(since).ok()).flatten().map(|since| UNIX_EPOCH + since)
}

fn until(at: SystemTime, now: SystemTime) -> Option<Duration> {
    at.duration_since(now).ok()
}

/// Digits, with a fraction perhaps; nothing that a float could be called besides.
fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

fn seconds(count: f64) -> Option<Duration> {
    // More than any date of theirs would overflow the clock.
    Duration::try_from_secs_f64(count.min(1e11)).ok()
}

fn believed(wait: Option<Duration>) -> Option<Duration> {
    wait.filter(|wait| !wait.is_zero()).map(|wait| wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// 2026-11-30T12:00:00Z.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_796_040_000)
    }

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(header).collect()
    }

    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn w052_retry_after_in_every_form() {
        let cases: &[(Headers, Option<u64>)] = &[
            (&[("retry-after", "2")], Some(2_000)),
            (&[("retry-after", "0.25")], Some(250)),
            (&[("retry-after", "Mon, 30 Nov 2026 12:00:30 GMT")], Some(30_000)),
            (&[("retry-after", "Monday, 30-Nov-26 12:00:30 GMT")], Some(30_000)),
            (&[("retry-after", "Mon Nov 30 12:00:30 2026")], Some(30_000)),
            (&[("retry-after", "2026-11-30T13:00:00+00:00")], Some(3_600_000)),
            (&[("retry-after", "Mon, 30 Nov 2026 11:59:59 GMT")], None),
            (&[("retry-after-ms", "150")], Some(150)),
            (&[("retry-after-ms", "150.5"), ("retry-after", "9")], Some(150)),
            (&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(9_000)),
            (&[("retry-after", "0")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "315360000")], Some(86_400_000)),
            (&[("retry-after", "Sun, 30 Nov 2036 12:00:00 GMT")], Some(86_400_000)),
            (&[("retry-after", "99999999999999999999999999999999999999999999999")], Some(86_400_000)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "")], None),
            (&[("retry-after", "1e3")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "0x10")], None),
            (&[], None),
        ];
        for (list, want) in cases {
            let wait = retry_after(&headers(list), now());
            assert_eq!(wait.map(|wait| wait.as_millis() as u64), *want, "{list:?}");
        }
    }

    #[test]
    fn w052_the_limit_that_is_used_up_says_when_it_resets() {
        let cases: &[(Headers, Option<u64>)] = &[
            // OpenAI's.
            (&[("x-ratelimit-reset-requests", "1s")], Some(1_000)),
            (&[("x-ratelimit-reset-requests", "6m0s")], Some(360_000)),
            (&[("x-ratelimit-reset-tokens", "20ms")], Some(20)),
            (&[("x-ratelimit-reset-tokens", "1h2m3.5s")], Some(3_723_500)),
            (&[("x-ratelimit-reset-tokens", "1d")], Some(86_400_000)),
            // Requests are used up, tokens are not.
            (
                &[
                    ("x-ratelimit-limit-requests", "60"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-limit-tokens", "150000"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                Some(1_000),
            ),
            // Nothing is used up: what has least left.
            (
                &[
                    ("x-ratelimit-limit-requests", "60"),
                    ("x-ratelimit-remaining-requests", "59"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-limit-tokens", "1000"),
                    ("x-ratelimit-remaining-tokens", "10"),
                    ("x-ratelimit-reset-tokens", "30s"),
                ],
                Some(30_000),
            ),
            // Both, and nothing about what is left: the later one.
            (&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "2s")], Some(2_000)),
            // Anthropic's.
            (
                &[
                    ("anthropic-ratelimit-requests-limit", "50"),
                    ("anthropic-ratelimit-requests-remaining", "49"),
                    ("anthropic-ratelimit-requests-reset", "2026-11-30T12:00:02Z"),
                    ("anthropic-ratelimit-input-tokens-limit", "40000"),
                    ("anthropic-ratelimit-input-tokens-remaining", "0"),
                    ("anthropic-ratelimit-input-tokens-reset", "2026-11-30T12:00:45Z"),
                ],
                Some(45_000),
            ),
            // Seconds, times since 1970, dates.
            (&[("x-ratelimit-reset", "30")], Some(30_000)),
            (&[("x-ratelimit-reset", "1796040030")], Some(30_000)),
            (&[("x-ratelimit-reset", "1796040030500")], Some(30_500)),
            (&[("ratelimit-reset", "7")], Some(7_000)),
            (&[("x-ratelimit-reset", "2026-11-30T12:00:30.250Z")], Some(30_250)),
            // What is over, and what nobody can read.
            (&[("x-ratelimit-reset", "1796039999")], None),
            (&[("x-ratelimit-reset-requests", "0s")], None),
            (&[("x-ratelimit-reset-requests", "-1s")], None),
            (&[("x-ratelimit-reset-requests", "1s1m")], None),
            (&[("x-ratelimit-reset-requests", "later")], None),
            (&[("x-ratelimit-reset-requests", "s")], None),
            (&[("x-ratelimit-remaining-requests", "0")], None),
        ];
        for (list, want) in cases {
            let wait = limits_reset(&headers(list), now());
            assert_eq!(wait.map(|wait| wait.as_millis() as u64), *want, "{list:?}");
        }
    }
}
