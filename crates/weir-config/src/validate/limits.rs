//! Checks of `limits`, wherever they stand, and of `coordination`.

use super::Findings;
use crate::config::Config;
use crate::path::KeyPath;
use crate::scalar::OrOff;
use crate::section::cache::{Cache, CacheBackend};
use crate::section::keys::Limits;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    for (index, key) in config.keys.iter().enumerate() {
        check_one(KeyPath::from(["keys"]).index(index).key("limits"), key.limits.as_ref(), findings);
    }
    for (index, team) in config.teams.iter().enumerate() {
        check_one(KeyPath::from(["teams"]).index(index).key("limits"), team.limits.as_ref(), findings);
    }
    for (name, model) in &config.models {
        check_one(KeyPath::from(["models", name, "limits"]), model.limits.as_ref(), findings);
    }
    check_one(KeyPath::from(["limits", "user"]), config.limits.user.as_ref(), findings);
    let in_redis =
        |cache: &Cache| cache.exact.as_ref().is_some_and(|exact| exact.backend == CacheBackend::Redis);
    if config.coordination.is_none() && config.cache.as_ref().and_then(OrOff::value).is_some_and(in_redis) {
        let path = KeyPath::from(["cache", "exact", "backend"]);
        findings.add_resting_on(
            path,
            "Redis has no address; write `coordination: { url: redis://HOST:PORT }`",
            ["coordination"],
        );
    }
    if let Some(coordination) = &config.coordination {
        let url = coordination.url.expose();
        if !["redis://", "rediss://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
        {
            // The URL may hold a password, so it is not shown.
            let message = "must be redis://HOST:PORT, or rediss://HOST:PORT for TLS";
            findings.add(KeyPath::from(["coordination", "url"]), message);
        }
    }
}

fn check_one(path: KeyPath, limits: Option<&Limits>, findings: &mut Findings) {
    let Some(limits) = limits else { return };
    let all = [
        ("requests_per_minute", limits.requests_per_minute),
        ("requests_per_day", limits.requests_per_day),
        ("tokens_per_minute", limits.tokens_per_minute),
        ("tokens_per_day", limits.tokens_per_day),
        ("concurrency", limits.concurrency),
    ];
    for (name, _) in all.into_iter().filter(|(_, limit)| *limit == Some(0)) {
        findings.add(path.key(name), "0 lets no call through; write 1 or more, or remove it");
    }
    if all.iter().all(|(_, limit)| limit.is_none()) {
        findings.add(path, "limits nothing; write `requests_per_minute: 60`, or remove it");
    }
}
