//! Checks of `alerts`.

use super::Findings;
use crate::config::Config;
use crate::nearest::nearest;
use crate::path::KeyPath;
use crate::scalar::Duration;
use crate::section::telemetry::ALERTS_ON;

const KINDS: [&str; 2] = ["webhook", "slack"];

pub(super) fn check(config: &Config, findings: &mut Findings) {
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
