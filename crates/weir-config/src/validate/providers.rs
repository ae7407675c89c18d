//! Checks of `providers`.

use http::{HeaderName, HeaderValue};

use super::Findings;
use crate::config::Config;
use crate::path::KeyPath;
use crate::scalar::{BaseUrl, Secret};
use crate::section::providers::Provider;

/// Headers that weir sets itself, or that only the connection may set.
const RESERVED: [&str; 8] = [
    "host",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "upgrade",
    "x-weir-hop",
    "x-weir-attempt-id",
];

pub(super) fn check(config: &Config, findings: &mut Findings) {
    for (name, provider) in config.providers.iter().flatten() {
        let path = KeyPath::from(["providers"]).key(name);
        if let Some(why) = unfit_name(name) {
            findings.add(path.clone(), why);
        }
        check_keys(&path, provider, findings);
        check_headers(&path, provider, findings);
        check_connection(&path, provider, findings);
    }
}

/// Why a name can't stand before the `/` of `provider/model`.
fn unfit_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a provider needs a name")
    } else if name.contains(['/', '*']) || name.contains(char::is_whitespace) {
        Some("a provider's name can hold no `/`, no `*` and no space")
    } else if name == "agent" {
        Some("`agent/…` is for agents; give the provider another name")
    } else {
        None
    }
}

fn check_keys(path: &KeyPath, provider: &Provider, findings: &mut Findings) {
    if provider.api_key.is_some() && !provider.api_keys.is_empty() {
        findings.add(path.key("api_keys"), "there is `api_key` too; write all keys in `api_keys`");
    }
    if let Some(key) = &provider.api_key {
        check_header_value(path.key("api_key"), key, findings);
    }
    for (index, key) in provider.api_keys.iter().enumerate() {
        let path = path.key("api_keys").index(index);
        if provider.api_keys[..index].contains(key) {
            findings.add(path.clone(), "the same key stands above");
        }
        check_header_value(path, key, findings);
    }
}

fn check_headers(path: &KeyPath, provider: &Provider, findings: &mut Findings) {
    for (name, value) in &provider.headers {
        let path = path.key("headers").key(name);
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            findings.add(path.clone(), "is not the name of an HTTP header");
        } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            findings.add(path.clone(), "is set by weir itself; remove it");
        }
        check_header_value(path, value, findings);
    }
    let texts = [("organization", &provider.organization), ("project", &provider.project)];
    for (key, text) in texts {
        if let Some(text) = text {
            check_header_value(path.key(key), &Secret::new(text.as_str()), findings);
        }
    }
}

fn check_header_value(path: KeyPath, value: &Secret, findings: &mut Findings) {
    let text = value.expose();
    if text.trim().is_empty() {
        findings.add(path, "is empty; remove it, or set the variable it comes from");
    } else if text.trim() != text {
        findings.add(path, "has a space or line break at its start or end");
    } else if HeaderValue::from_str(text).is_err() || !text.is_ascii() {
        findings.add(path, "holds a character that no HTTP header can carry, such as a line break");
    }
}

fn check_connection(path: &KeyPath, provider: &Provider, findings: &mut Findings) {
    match (&provider.client_cert, &provider.client_key) {
        (Some(_), None) => findings.add(path.key("client_cert"), "needs `client_key` too"),
        (None, Some(_)) => findings.add(path.key("client_key"), "needs `client_cert` too"),
        _ => {}
    }
    if let Some(proxy) = &provider.proxy {
        let text = proxy.expose();
        let text = text.rsplit_once('@').map_or(text.to_owned(), |(_, host)| format!("http://{host}"));
        let sound = proxy.expose().starts_with("http://") && text.parse::<BaseUrl>().is_ok();
        if !sound {
            findings.add(path.key("proxy"), "must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT");
        }
    }
    let without_key = [&provider.kind, &provider.api_version, &provider.region];
    for (key, text) in ["kind", "api_version", "region"].into_iter().zip(without_key) {
        if text.as_ref().is_some_and(|text| text.is_empty()) {
            findings.add(path.key(key), "is empty; remove it");
        }
    }
}
