//! Checks of `models`.

use super::Findings;
use crate::config::Config;
use crate::nearest::nearest;
use crate::path::KeyPath;
use crate::scalar::{After, Duration, OrOff};
use crate::section::cache::CacheMode;
use crate::section::models::Model;

/// The provider that is built in.
const DEMO: &str = "demo";

/// Parts of a request that are the client's alone.
const NO_DEFAULTS: [&str; 5] = ["model", "messages", "input", "prompt", "stream"];

pub(super) fn check(config: &Config, findings: &mut Findings) {
    for (name, model) in &config.models {
        let path = KeyPath::from(["models"]).key(name);
        if name.is_empty() || name.matches('*').count() > 1 || name.contains(char::is_whitespace) {
            findings.add(path.clone(), "a public name can't be empty, hold a space or more than one `*`");
        }
        check_targets(config, name, model, &path, findings);
        check_fallbacks(config, name, model, &path, findings);
        check_degrade(config, name, model, &path, findings);
        check_numbers(model, &path, findings);
        for key in model.defaults.keys().filter(|key| NO_DEFAULTS.contains(&key.as_str())) {
            findings.add(path.key("defaults").key(key), "is the client's alone; remove it");
        }
    }
}

fn check_targets(config: &Config, name: &str, model: &Model, path: &KeyPath, findings: &mut Findings) {
    if model.targets.is_empty() {
        findings.add(
            path.key("targets"),
            format!("`{name}` has no targets; write at least one `provider/model`"),
        );
    }
    for (index, target) in model.targets.iter().enumerate() {
        let path = path.key("targets").index(index);
        let (provider, upstream) = target.model.split_once('/').unwrap_or((&target.model, ""));
        if provider.is_empty() || upstream.is_empty() {
            findings.add(path, format!("`{}` is not `provider/model`", target.model));
            continue;
        }
        if upstream.contains('*') && !name.contains('*') {
            findings.add(path.clone(), format!("`*` takes what matched, but the name `{name}` has no `*`"));
        }
        if let Some(providers) = config.providers.as_ref().filter(|known| !known.contains_key(provider)) {
            let meant = nearest(provider, providers.keys().map(String::as_str));
            let message = match meant {
                Some(meant) => format!("there is no provider `{provider}`, did you mean `{meant}`?"),
                None if provider == DEMO => {
                    "`demo` must stand under `providers` too, once that is written".to_owned()
                }
                None => format!("there is no provider `{provider}`; add it under `providers`"),
            };
            findings.add_resting_on(path, message, ["providers"]);
        }
    }
}

fn check_fallbacks(config: &Config, name: &str, model: &Model, path: &KeyPath, findings: &mut Findings) {
    for (index, fallback) in model.fallbacks.iter().enumerate() {
        let path = path.key("fallbacks").index(index);
        if fallback == name {
            findings.add(path, "a name can't fall back to itself");
        } else if !config.models.contains_key(fallback) {
            let meant = nearest(fallback, config.models.keys().map(String::as_str));
            let message = match meant {
                Some(meant) => format!("there is no public name `{fallback}`, did you mean `{meant}`?"),
                None if fallback.contains('/') => {
                    format!(
                        "`{fallback}` is no public name; add it to `targets`, or give it a name under `models`"
                    )
                }
                None => format!("there is no public name `{fallback}`; add it under `models`"),
            };
            findings.add_resting_on(path, message, ["models"]);
        } else if leads_to(config, fallback, name) {
            findings.add_resting_on(path, format!("`{fallback}` falls back to `{name}` again"), ["models"]);
        }
    }
}

/// Whether one public name's fallbacks lead to another.
fn leads_to(config: &Config, from: &str, to: &str) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(name) = reached.get(next) {
        next += 1;
        for fallback in config.models.get(*name).into_iter().flat_map(|model| &model.fallbacks) {
            if fallback == to {
                return true;
            }
            if !reached.contains(&fallback.as_str()) {
                reached.push(fallback);
            }
        }
    }
    false
}

fn check_degrade(config: &Config, name: &str, model: &Model, path: &KeyPath, findings: &mut Findings) {
    let Some(OrOff::On(degrade)) = &model.degrade else { return };
    let path = path.key("degrade");
    let stores = matches!(&model.cache, Some(OrOff::On(cache)) if cache.mode == CacheMode::Exact);
    if degrade.stale.is_some() && !stores {
        findings.add(path.key("stale"), "no answer is stored here; write `cache: { mode: exact }`, too");
    }
    if let Some(other) = &degrade.model {
        let path = path.key("model");
        if other == name {
            findings.add(path, "a name can't degrade to itself");
        } else if !config.models.contains_key(other) {
            let meant = nearest(other, config.models.keys().map(String::as_str));
            let meant = meant.map(|meant| format!(", did you mean `{meant}`?"));
            let meant = meant.unwrap_or_else(|| "; add it under `models`".to_owned());
            findings.add_resting_on(path, format!("there is no public name `{other}`{meant}"), ["models"]);
        }
    }
}

fn check_numbers(model: &Model, path: &KeyPath, findings: &mut Findings) {
    let retry = &model.retry;
    if !(1..=10).contains(&retry.attempts) {
        findings.add(path.key("retry").key("attempts"), "must be from 1 (no second try) to 10");
    }
    if retry.base > retry.max {
        findings.add(path.key("retry").key("base"), "is longer than `max`");
    }
    let timeouts = &model.timeouts;
    let waits = [
        ("connect", timeouts.connect),
        ("first_byte", timeouts.first_byte),
        ("first_token", timeouts.first_token),
        ("idle", timeouts.idle),
        ("total", timeouts.total),
        ("write", timeouts.write),
    ];
    for (key, wait) in waits {
        let path = path.key("timeouts").key(key);
        if wait < Duration::from_millis(1) {
            findings.add(path, "must be longer than 0s");
        }
    }
    if let Some(OrOff::On(breaker)) = &model.breaker {
        let path = path.key("breaker");
        if breaker.failures == 0 || breaker.min_requests == 0 {
            findings.add(
                path.clone(),
                "`failures` and `min_requests` must be at least 1; write `off` for no breaker",
            );
        }
        if breaker.window < Duration::from_millis(100) || breaker.cooldown < Duration::from_millis(10) {
            findings.add(path, "`window` must be at least 100ms, `cooldown` 10ms");
        }
    }
    if let Some(OrOff::On(hedge)) = &model.hedge {
        let path = path.key("hedge");
        if hedge.max_extra.millionths == 0 {
            findings
                .add(path.key("max_extra"), "must be more than 0; write `hedge: off` for no second attempt");
        }
        if hedge.after == After::Time(Duration::from_millis(0)) {
            findings.add(path.key("after"), "must be longer than 0s");
        }
    }
    for (index, target) in model.targets.iter().enumerate() {
        let path = path.key("targets").index(index);
        if target.weight.is_some_and(|weight| !(1..=1_000_000).contains(&weight)) {
            findings.add(path.key("weight"), "must be from 1 to 1000000; leave the target out for none");
        }
        let status = target.fault.as_ref().and_then(|fault| fault.status);
        if status.is_some_and(|status| !(400..=599).contains(&status)) {
            findings.add(path.key("fault").key("status"), "must be a failure: 400 to 599");
        }
    }
    if model.max_output_tokens == Some(0) {
        findings.add(path.key("max_output_tokens"), "must be at least 1");
    }
}
