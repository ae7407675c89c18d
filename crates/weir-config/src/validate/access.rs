//! Checks of `keys` and `teams`.

use std::collections::HashMap;

use super::Findings;
use crate::checksum::{KEY_PREFIX, is_sound_key};
use crate::config::Config;
use crate::nearest::nearest;
use crate::path::KeyPath;
use crate::scalar::Secret;
use crate::section::keys::Key;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    check_names("keys", config.keys.iter().map(|key| key.name.as_str()), findings);
    check_names("teams", config.teams.iter().map(|team| team.name.as_str()), findings);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, key) in config.keys.iter().enumerate() {
        let path = KeyPath::from(["keys"]).index(index);
        check_secret(&path, key, findings);
        check_team(config, &path, key, findings);
        let empty = |(_, name): &(usize, &String)| name.is_empty();
        for (position, _) in key.models.iter().flatten().enumerate().filter(empty) {
            findings
                .add(path.key("models").index(position), "is empty; write a public name or `provider/model`");
        }
        let Some(secret) = key.key.as_ref().map(Secret::expose).filter(|text| !text.is_empty()) else {
            continue;
        };
        if let Some(first) = seen.insert(secret, index) {
            findings.add(path.key("key"), format!("is the same key as that of keys[{first}]"));
        }
        if config.server.master_key.as_ref().is_some_and(|master| master.expose() == secret) {
            findings.add_resting_on(path.key("key"), "is the master key; use another", ["server"]);
        }
    }
}

fn check_names<'n>(section: &'static str, names: impl Iterator<Item = &'n str>, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for (index, name) in names.enumerate() {
        let path = KeyPath::from([section]).index(index).key("name");
        if name.trim().is_empty() {
            findings.add(path, "is empty");
        } else if let Some(first) = seen.insert(name, index) {
            findings.add(path, format!("`{name}` is also the name of {section}[{first}]"));
        }
    }
}

fn check_secret(path: &KeyPath, key: &Key, findings: &mut Findings) {
    match (&key.key, &key.sha256) {
        (None, None) => findings.add(path.clone(), format!("`{}` needs `key` or `sha256`", key.name)),
        (Some(_), Some(_)) => findings.add(path.key("sha256"), "there is `key` too; write one of them"),
        (Some(secret), None) => check_secret_key(path.key("key"), secret, findings),
        (None, Some(hash)) => {
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                findings.add(
                    path.key("sha256"),
                    "must be 64 hex digits, as `printf %s KEY | sha256sum` prints them",
                );
            }
        }
    }
}

/// Checks a key that clients send.
pub(super) fn check_secret_key(path: KeyPath, secret: &Secret, findings: &mut Findings) {
    let text = secret.expose();
    if text.is_empty() {
        findings.add(path, "is empty; remove it, or set the variable it comes from");
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        findings.add(path, "may hold only visible ASCII characters, no spaces");
    } else if text.starts_with(KEY_PREFIX) && !is_sound_key(text) {
        let message = "starts with `sk-weir-` but is no key that weir made (its checksum is wrong); copy it again, or \
                       choose a key that starts otherwise";
        findings.add(path, message);
    }
}

fn check_team(config: &Config, path: &KeyPath, key: &Key, findings: &mut Findings) {
    let Some(team) = &key.team else { return };
    if config.teams.iter().any(|known| known.name == *team) {
        return;
    }
    let message = match nearest(team, config.teams.iter().map(|team| team.name.as_str())) {
        Some(meant) => format!("there is no team `{team}`, did you mean `{meant}`?"),
        None => format!("there is no team `{team}`; add it under `teams`"),
    };
    findings.add_resting_on(path.key("team"), message, ["teams"]);
}
