//! `/passthrough/{provider}/…`: what of a request goes on to the provider's own API, and what must not.
//!
//! The path is appended to the provider's base URL and can't leave it: whatever a server could take for a step up, for
//! another host or for the end of the path is refused, not mended. Headers go by a list; the client's key is on none.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use weir_adapter::{Descriptor, InvalidRequest, Operation, Peek, Request, Verbatim};
use weir_gateway::GatewayError;
use weir_gateway::snapshot::Snapshot;
use weir_wire::peek::{Members, as_str};

use super::request;
use crate::routes::{InferenceRoute, Routes};

/// Where these requests begin.
pub const PREFIX: &str = "/passthrough/";
/// Client headers that go on.
const HEADERS: [&str; 10] = [
    "accept",
    "content-type",
    "anthropic-beta",
    "anthropic-version",
    "http-referer",
    "if-none-match",
    "openai-beta",
    "range",
    "x-goog-user-project",
    "x-title",
];
/// Members of a query that hold a key at some provider.
const KEYS: [&str; 6] = ["key", "api_key", "api-key", "apikey", "access_token", "token"];
/// The longest path, query included.
const MAX_PATH: usize = 4 << 10;

/// A request for a provider's own API.
pub struct Through {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The path behind its base URL, with what of the query goes on.
    pub path: String,
    /// Whether the body's dialect is known.
    known: bool,
}

/// The request that `uri` is, and the route that says how it is accounted; `None` where it is none of these.
///
/// # Errors
/// A provider that is not there, a path that could lead elsewhere.
pub fn find<'r>(
    routes: &'r Routes,
    snapshot: &Snapshot,
    method: &Method,
    uri: &Uri,
) -> Result<(Through, &'r InferenceRoute), GatewayError> {
    let rest = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let (provider, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some(found) = snapshot.providers.get(provider) else {
        let known: Vec<&str> = snapshot.providers.keys().map(|name| &**name).collect();
        let provider: String = provider.chars().take(100).collect();
        let message = format!("no provider `{provider}` is configured; there are {}", known.join(", "));
        return Err(GatewayError::NotFound(message));
    };
    let full = checked(path, uri.query())?;
    let route = routes.find(method, path).filter(|route| speaks(route, &found.descriptor));
    let own = routes.passthrough();
    let through = Through { provider: provider.to_owned(), path: full, known: route.is_some() };
    Ok((through, route.unwrap_or(own)))
}

/// Whether a provider's own API has this route.
fn speaks(route: &InferenceRoute, descriptor: &Descriptor) -> bool {
    let (dialect, operation) = (route.front.dialect(), route.operation);
    let family = dialect == descriptor.dialect
        || dialect == weir_adapter_openai::responses::DIALECT
            && descriptor.dialect == weir_adapter_openai::DIALECT
            && descriptor.operations.contains(&Operation::Responses)
        || operation == Operation::Rerank && descriptor.operations.contains(&operation);
    // Forms are not looked into here.
    family && !operation.takes_files()
}

/// The path, with the query that may go on.
///
/// # Errors
/// What could lead elsewhere.
fn checked(path: &str, query: Option<&str>) -> Result<String, InvalidRequest> {
    let refuse = |what: &str| InvalidRequest {
        message: format!("the path behind the provider's name {what}"),
        code: "invalid_value",
        param: Some("path".to_owned()),
    };
    if !path.starts_with('/') || path.len() < 2 {
        return Err(refuse("is empty; write what follows the provider's base URL"));
    }
    if path.len() + query.map_or(0, str::len) > MAX_PATH {
        return Err(refuse("is longer than 4 KiB"));
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~:@!$&'()*+,=%".contains(&byte);
    if !path.bytes().all(fine) {
        return Err(refuse("has a character that no path of an API has"));
    }
    let bytes = path.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .ok_or_else(|| refuse("has a broken escape"))?;
        if matches!(code, b'.' | b'/' | b'\\' | b'%' | b'?' | b'#' | b';' | b'@')
            || !(0x21..=0x7e).contains(&code)
        {
            return Err(refuse("has an escape that may mean something else; write it plainly"));
        }
    }
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if matches!(segment, "." | "..") || segment.starts_with("..") || segment.is_empty() && !last {
            return Err(refuse("has steps (`.`, `..`, `//`)"));
        }
    }
    if path.contains('@') {
        return Err(refuse("has an `@`"));
    }
    let Some(query) = query else { return Ok(path.to_owned()) };
    if !query.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return Err(refuse("has a query that is not visible ASCII"));
    }
    let plain = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        // A name with escapes could be one of these.
        !name.contains('%') && !KEYS.iter().any(|key| name.eq_ignore_ascii_case(key))
    };
    let kept: Vec<&str> = query.split('&').filter(plain).collect();
    Ok(if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) })
}

impl Through {
    /// The request as weir's own: what is known of it, and what goes on.
    ///
    /// # Errors
    /// A body that the provider's dialect, where it is known, does not allow.
    pub fn request(self, route: &InferenceRoute, head: &Parts, body: Bytes) -> Result<Request, GatewayError> {
        let mut headers = HeaderMap::new();
        for name in HEADERS {
            for value in head.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let verbatim = Verbatim {
            method: head.method.clone(),
            path: self.path,
            headers,
            body: body.clone(),
            known: self.known,
        };
        let mut request = match self.known {
            true => {
                let mut own = http::Request::new(()).into_parts().0;
                own.method = head.method.clone();
                own.headers.clone_from(&head.headers);
                own.uri = verbatim.path.parse().unwrap_or_default();
                request::peeked(route, &own, body)?
            }
            false => {
                let named = Members::read(&body).ok();
                let model = named.as_ref().and_then(|members| members.value(&body, "model")).and_then(as_str);
                let model = model.filter(|model| !model.is_empty() && model.len() <= 200);
                let model = model.map_or_else(|| "passthrough".to_owned(), std::borrow::Cow::into_owned);
                let peek = Peek { model, choices: 1, ..Peek::default() };
                Request::new(Operation::Passthrough, route.front.clone(), body, peek)
            }
        };
        request.serve_as(format!("{}/{}", self.provider, request.model()));
        request.verbatim = Some(Box::new(verbatim));
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_not_leave_the_base_url() {
        for (path, query, expected) in [
            ("/chat/completions", None, Some("/chat/completions")),
            (
                "/v1beta/models/gemini-x:generateContent",
                Some("alt=sse&key=sk-weir"),
                Some("/v1beta/models/gemini-x:generateContent?alt=sse"),
            ),
            ("/files/", Some("KEY=a"), Some("/files/")),
            ("/files", Some("ke%79=a&limit=2"), Some("/files?limit=2")),
            ("/a%20b", None, None),
            ("/a%41", None, Some("/a%41")),
            ("", None, None),
            ("/", None, None),
            ("//host", None, None),
            ("/a//b", None, None),
            ("/../admin", None, None),
            ("/a/..", None, None),
            ("/a/.", None, None),
            ("/..;/a", None, None),
            ("/%2e%2e/a", None, None),
            ("/%252e%252e/a", None, None),
            ("/a%2fb", None, None),
            ("/a%5cb", None, None),
            ("/a\\b", None, None),
            ("/@host", None, None),
            ("/a%0d%0ax", None, None),
            ("/a%", None, None),
            ("/a%zz", None, None),
            ("/\u{e9}", None, None),
        ] {
            assert_eq!(checked(path, query).ok().as_deref(), expected, "{path}?{query:?}");
        }
    }

    /// W-087: whatever is strung together of these, what passes has no step in it, also once decoded twice.
    #[test]
    fn two_thousand_paths_stay_where_they_are() {
        let parts = [
            "..",
            ".",
            "%2e%2e",
            "%2E.",
            "%252e%252e",
            "%25252e",
            "\\",
            "%5c",
            "%2f",
            "%252f",
            "//",
            "//host",
            "@host",
            "@",
            "#",
            "%23",
            "?",
            "%3f",
            "%0d%0a",
            "%00",
            "..;",
            "..%00",
            ";a=b",
            "a",
            "v1",
            "models:x",
            "%c0%ae",
            "%u002e",
            "..%c0%af",
            "\u{ff0e}\u{ff0e}",
            "http:",
            "https://host",
            ":80",
            "%09",
            " ",
            "...",
            "a..b",
            "%61",
        ];
        let (mut tried, mut passed) = (0, 0);
        for one in parts {
            for two in parts {
                for shape in [format!("/{one}/{two}"), format!("/v1/{one}{two}/x")] {
                    tried += 1;
                    let Ok(path) = checked(&shape, None) else { continue };
                    passed += 1;
                    assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
                    let mut text = path.clone();
                    for _ in 0..3 {
                        let steps = text.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
                        assert!(
                            !steps && !text.contains("//") && !text.contains(['\\', '#', '\r', '\n']),
                            "{shape}"
                        );
                        text = decoded(&text);
                    }
                }
            }
        }
        assert!(tried >= 2_000 && passed > 10, "{tried} tried, {passed} passed");
    }

    fn decoded(text: &str) -> String {
        let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
        while at < bytes.len() {
            let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
            let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%');
            out.push(code.unwrap_or(bytes[at]));
            at += if code.is_some() { 3 } else { 1 };
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
