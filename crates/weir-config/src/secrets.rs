//! All secrets of a configuration, and those that stand in files.

use std::path::Path;

use crate::config::Config;
use crate::path::KeyPath;
use crate::problem::Problem;
use crate::scalar::Secret;

/// A secret's file longer than this is refused, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Every secret that this version reads, with its path.
pub(crate) fn secrets_mut(config: &mut Config) -> Vec<(KeyPath, &mut Secret)> {
    let mut secrets = Vec::new();
    if let Some(key) = &mut config.server.master_key {
        secrets.push((KeyPath::from(["server", "master_key"]), key));
    }
    secrets.push((KeyPath::from(["store", "url"]), &mut config.store.url));
    for (name, provider) in config.providers.iter_mut().flatten() {
        let path = KeyPath::from(["providers"]).key(name);
        secrets.extend(provider.api_key.as_mut().map(|key| (path.key("api_key"), key)));
        let keys = path.key("api_keys");
        secrets.extend(provider.api_keys.iter_mut().enumerate().map(|(i, key)| (keys.index(i), key)));
        let headers = path.key("headers");
        secrets.extend(provider.headers.iter_mut().map(|(name, value)| (headers.key(name), value)));
        secrets.extend(provider.proxy.as_mut().map(|proxy| (path.key("proxy"), proxy)));
    }
    if let Some(otlp) = &mut config.telemetry.otlp {
        let path = KeyPath::from(["telemetry", "otlp", "headers"]);
        secrets.extend(otlp.headers.iter_mut().map(|(name, value)| (path.key(name), value)));
    }
    for (index, key) in config.keys.iter_mut().enumerate() {
        let path = KeyPath::from(["keys"]).index(index).key("key");
        secrets.extend(key.key.as_mut().map(|secret| (path, secret)));
    }
    secrets
}

/// Reads the files of secrets that stand in files. Relative paths start at `folder`.
pub(crate) fn resolve_secrets(config: &mut Config, folder: &Path, problems: &mut Vec<Problem>) {
    for (path, secret) in secrets_mut(config) {
        let Some(file) = secret.file().map(|file| folder.join(file)) else { continue };
        match read_secret(&file) {
            Ok(text) => secret.resolve(file, &text),
            Err(why) => {
                let message = format!("{path}: the secret's file {} can't be read: {why}", file.display());
                problems.push(Problem::at(path, message));
            }
        }
    }
}

fn read_secret(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
}
