//! Checks of `alerts`, `telemetry` and `logging`.

use super::Findings;
use crate::config::Config;
use crate::nearest::nearest;
use crate::path::KeyPath;
use crate::scalar::{Duration, Size};
use crate::section::logging::LogContent;
use crate::section::telemetry::ALERTS_ON;

const KINDS: [&str; 2] = ["webhook", "slack"];

pub(super) fn check(config: &Config, findings: &mut Findings) {
    check_calls(config, findings);
    check_otlp(config, findings);
    if config.telemetry.max_series < 100 {
        findings.add(KeyPath::from(["telemetry", "max_series"]), "must be at least 100");
    }
    for (index, alert) in config.alerts.iter().enumerate() {
        let path = KeyPath::from(["alerts"]).index(index);
        if !KINDS.contains(&alert.kind.as_str()) {
            findings
                .add(path.key("kind"), format!("`{}` is not known; write `webhook` or `slack`", alert.kind));
        }
        let url = alert.url.expose();
        if !["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
            // It may hold a secret, so it is not shown.
            findings.add(path.key("url"), "must be an address that begins with https:// or http://");
        }
        for (position, on) in alert.on.iter().enumerate().filter(|(_, on)| !ALERTS_ON.contains(&on.as_str()))
        {
            let message = match nearest(on, ALERTS_ON) {
                Some(meant) => format!("`{on}` is not known, did you mean `{meant}`?"),
                None => format!("`{on}` is not known; write {}", ALERTS_ON.join(", ")),
            };
            findings.add(path.key("on").index(position), message);
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&alert.window) {
            findings.add(path.key("window"), "must be from 1s to 24h");
        }
    }
}

fn check_otlp(config: &Config, findings: &mut Findings) {
    let Some(otlp) = &config.telemetry.otlp else { return };
    let path = |key| KeyPath::from(["telemetry", "otlp"]).key(key);
    if otlp.interval < Duration::from_secs(1) {
        findings.add(path("interval"), "must be at least 1s");
    }
    for (name, value) in &otlp.headers {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let visible = value.expose().bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if name.is_empty() || !name.bytes().all(token) || !visible {
            findings.add(path("headers").key(name), "is no header; write letters, digits and dashes");
        }
    }
}

fn check_calls(config: &Config, findings: &mut Findings) {
    let path = |key| KeyPath::from(["logging", key]);
    if config.logging.content == LogContent::Metadata {
        findings.add(path("content"), "not supported by this version yet; write `full` or `off`");
        return;
    }
    let Some(calls) = &config.logging.calls else {
        if config.logging.content != LogContent::Off {
            findings.add(path("content"), "prompts and answers are written to `logging.calls`; say where to");
        }
        return;
    };
    let path = |key| path("calls").key(key);
    if calls.to.is_empty() {
        findings.add(path("to"), "is empty; write `stdout`, or a file");
    }
    if calls.max_size < Size(64 << 10) {
        findings.add(path("max_size"), "must be at least 64KiB");
    }
    if calls.keep_for.is_some_and(|time| time < Duration::from_secs(60)) {
        findings.add(path("keep_for"), "must be at least 1m");
    }
    if calls.content_max > Size(1 << 20) {
        findings.add(path("content_max"), "must be at most 1MiB");
    }
}
