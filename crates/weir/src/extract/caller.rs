//! Who calls: the key, from any of the headers that clients put it in.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use weir_gateway::snapshot::{Ended, Keys, Verdict};
use weir_gateway::{Caller, GatewayError};
use weir_ledger::key::KeyHash;

/// Headers that carry a key, beside `authorization`.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// The caller.
///
/// # Errors
/// No key where one is needed, a wrong one, or a browser's request to an open listener from elsewhere.
pub fn caller(keys: &Keys, headers: &HeaderMap) -> Result<Arc<Caller>, GatewayError> {
    caller_by(keys, headers, KeyHash::of)
}

/// The caller, on a connection that has brought `last` before.
///
/// # Errors
/// As [`caller`].
pub fn caller_again(keys: &Keys, headers: &HeaderMap, last: &LastKey) -> Result<Arc<Caller>, GatewayError> {
    caller_by(keys, headers, |key| last.hash(key))
}

fn caller_by(
    keys: &Keys,
    headers: &HeaderMap,
    hash: impl FnOnce(&str) -> KeyHash,
) -> Result<Arc<Caller>, GatewayError> {
    let needed = keys.needed();
    if !needed {
        refuse_strangers(headers)?;
    }
    // Where no key is needed, any is accepted.
    let key = if needed { key(headers)? } else { None };
    match keys.verify_by(key, crate::clock::unix_micros(), hash) {
        Verdict::Is(caller) => Ok(caller),
        Verdict::Missing => Err(GatewayError::Unauthenticated(
            "no API key; send one as `Authorization: Bearer KEY` (or in `x-api-key`, `api-key`, `x-goog-api-key`)",
        )),
        Verdict::Ended(Ended::Expired) => Err(GatewayError::Unauthenticated(
            "the API key has expired; ask whoever gave it to you for another, or to extend it (`weir keys update`)",
        )),
        Verdict::Ended(Ended::Rotated) => Err(GatewayError::Unauthenticated(
            "the API key was rotated and no longer holds; use the one that took its place",
        )),
        Verdict::Unknown => Err(GatewayError::Overloaded {
            code: "not_ready",
            message: "weir does not know its keys yet: its store can't be reached; try again",
            retry_after: Duration::from_secs(1),
        }),
        Verdict::Wrong { mistyped: true } => Err(GatewayError::Unauthenticated(
            "the API key is mistyped: its checksum does not fit; copy it again, whole",
        )),
        Verdict::Wrong { mistyped: false } => Err(GatewayError::Unauthenticated(
            "the API key is not known here; it may have been revoked: ask for another (`weir keys create`)",
        )),
    }
}

/// The key that a connection brought last, and its hash: nearly all bring the same again and again, and comparing is
/// cheaper than hashing. Whether it is a good key is asked anew for each call.
#[derive(Default)]
pub struct LastKey(Mutex<Option<(Box<str>, KeyHash)>>);

impl LastKey {
    fn hash(&self, key: &str) -> KeyHash {
        let mut last = self.0.lock();
        if let Some((known, hash)) = &*last
            && verify_slices_are_equal(known.as_bytes(), key.as_bytes()).is_ok()
        {
            return *hash;
        }
        let hash = KeyHash::of(key);
        *last = Some((key.into(), hash));
        hash
    }
}

/// The key as sent; `None` where there is none.
fn key(headers: &HeaderMap) -> Result<Option<&str>, GatewayError> {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(GatewayError::Unauthenticated("the key's header stands twice")),
            (Some(value), None) => {
                value.to_str().map(Some).map_err(|_| GatewayError::Unauthenticated("the key is not ASCII"))
            }
            (None, None) => Ok(None),
        }
    };
    if let Some(value) = one(AUTHORIZATION)? {
        let key =
            value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer ")).map(|_| value[7..].trim());
        return key.map(Some).ok_or(GatewayError::Unauthenticated("write `Authorization: Bearer KEY`"));
    }
    for name in KEY_HEADERS {
        if let Some(value) = one(HeaderName::from_static(name))? {
            return Ok(Some(value.trim()));
        }
    }
    Ok(None)
}

/// The key as sent, whatever it is worth; nothing where none came, or several did.
pub fn shown_key(headers: &HeaderMap) -> Option<&str> {
    key(headers).ok().flatten()
}

/// An open listener answers programs of this machine, not web pages that a browser here has loaded: a page's own
/// `Origin`, or a name that was bent to loopback in `Host`, gives it away.
///
/// # Errors
/// A `Host` or `Origin` that is not loopback.
pub fn refuse_strangers(headers: &HeaderMap) -> Result<(), GatewayError> {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    let host_is_loopback = text(HOST).is_none_or(is_loopback);
    let origin_is_loopback =
        text(ORIGIN).is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_loopback(host)));
    if host_is_loopback && origin_is_loopback {
        return Ok(());
    }
    let message =
        "without a master key weir answers programs on this machine only; set `server.master_key`".to_owned();
    Err(GatewayError::Forbidden { code: "permission_denied", message })
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::HeaderValue;
    use weir_gateway::call::Role;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], expected: bool) {
        let ci = Arc::new(Caller::named("ci", Role::Caller));
        let keys = Keys::new(None, HashMap::from([(KeyHash::of("k"), ci)]));
        assert_eq!(caller(&keys, &headers(pairs)).is_ok(), expected, "{pairs:?}");
    }

    #[test]
    fn a_key_comes_in_any_of_four_headers() {
        check(&[("authorization", "Bearer k")], true);
        check(&[("authorization", "bearer  k ")], true);
        check(&[("x-api-key", "k")], true);
        check(&[("api-key", "k")], true);
        check(&[("x-goog-api-key", "k")], true);
    }

    #[test]
    fn a_connection_may_change_its_key() {
        let caller = |name: &str| Arc::new(Caller::named(name, Role::Caller));
        let keys = Keys::new(
            None,
            HashMap::from([(KeyHash::of("a"), caller("a")), (KeyHash::of("b"), caller("b"))]),
        );
        let last = LastKey::default();
        for (key, expected) in
            [("a", Some("a")), ("a", Some("a")), ("b", Some("b")), ("c", None), ("c", None), ("a", Some("a"))]
        {
            let found = caller_again(&keys, &headers(&[("x-api-key", key)]), &last);
            assert_eq!(found.as_ref().ok().map(|caller| &*caller.name), expected);
        }
        let none = Keys::new(Some(KeyHash::of("m")), HashMap::new());
        assert!(
            caller_again(&none, &headers(&[("x-api-key", "a")]), &last).is_err(),
            "a key that was revoked"
        );
    }

    #[test]
    fn nothing_else_is_a_key() {
        check(&[], false);
        check(&[("authorization", "k")], false);
        check(&[("authorization", "Basic k")], false);
        check(&[("authorization", "Bearer ")], false);
        check(&[("authorization", "Bearer K")], false);
        check(&[("x-api-key", "k' OR 1=1")], false);
    }

    #[test]
    fn an_open_listener_knows_web_pages_by_their_names() {
        let open = Keys::new(None, HashMap::new());
        for (pairs, expected) in [
            (&[("host", "127.0.0.1:4000")][..], true),
            (&[("host", "localhost")], true),
            (&[("host", "[::1]:4000")], true),
            (&[("host", "evil.example")], false),
            (&[("host", "localhost:4000"), ("origin", "https://evil.example")], false),
            (&[("host", "localhost:4000"), ("origin", "http://localhost:3000")], true),
            (&[("host", "localhost:4000"), ("origin", "null")], false),
        ] {
            assert_eq!(caller(&open, &headers(pairs)).is_ok(), expected, "{pairs:?}");
        }
    }
}
