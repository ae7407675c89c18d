//! Checks of `server`, `store`, `ledger` and `prices`.

use super::Findings;
use crate::config::Config;
use crate::path::KeyPath;
use crate::scalar::{Duration, OrOff, Size};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn check(config: &Config, findings: &mut Findings) {
    check_listeners(config, findings);
    check_server(config, findings);
    check_store(config, findings);
    check_prices(config, findings);
}

/// Nobody else's machine may call without a key.
fn check_listeners(config: &Config, findings: &mut Findings) {
    let server = &config.server;
    if server.admin_listen.is_some_and(|admin| admin == server.listen && admin.0.port() != 0) {
        let path = KeyPath::from(["server", "admin_listen"]);
        findings.add(path, "is the same address as `listen`; choose another port, or remove it");
    }
    if server.master_key.is_some() {
        return;
    }
    for (name, listen) in [("listen", Some(server.listen)), ("admin_listen", server.admin_listen)] {
        let Some(listen) = listen.filter(|listen| !listen.is_loopback()) else { continue };
        let message = format!(
            "{listen} can be reached from other machines and there is no master key; set `server.master_key` or \
             WEIR_MASTER_KEY, or listen on 127.0.0.1:{}",
            listen.0.port()
        );
        findings.add(KeyPath::from(["server", name]), message);
    }
}

fn check_server(config: &Config, findings: &mut Findings) {
    let server = &config.server;
    let path = |key| KeyPath::from(["server", key]);
    if server.max_body < Size(1024) {
        findings.add(path("max_body"), "less than 1KiB lets no call through");
    }
    if let OrOff::On(pause) = server.sse_keepalive
        && pause < SECOND
    {
        findings.add(path("sse_keepalive"), "shorter than 1s; write `off` for none");
    }
    if let Some(key) = &server.master_key {
        super::access::check_secret_key(path("master_key"), key, findings);
    }
    if config.data_dir.as_os_str().is_empty() {
        findings.add(KeyPath::from(["data_dir"]), "is empty; write `.` for the folder weir is started in");
    }
}

fn check_store(config: &Config, findings: &mut Findings) {
    let url = config.store.url.expose();
    let known = ["sqlite://", "postgres://", "postgresql://"];
    let rest = known.iter().find_map(|scheme| url.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) {
        // The URL may hold a password, so it is not shown.
        findings.add(
            KeyPath::from(["store", "url"]),
            "must be sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE",
        );
    }
    let ledger = &config.ledger;
    if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&ledger.sync_interval) {
        findings.add(KeyPath::from(["ledger", "sync_interval"]), "must be from 1ms to 1m");
    }
    if ledger.max_spool < Size(1 << 20) {
        findings.add(KeyPath::from(["ledger", "max_spool"]), "must be at least 1MiB");
    }
}

fn check_prices(config: &Config, findings: &mut Findings) {
    let mut seen = std::collections::HashMap::new();
    for (index, price) in config.prices.overrides.iter().enumerate() {
        let path = KeyPath::from(["prices", "overrides"]).index(index);
        if !price.model.contains('/') && !price.model.contains('*') {
            findings.add(path.key("model"), format!("`{}` is not `provider/model`", price.model));
        }
        if let (Some(from), Some(until)) = (price.from, price.until)
            && from >= until
        {
            findings.add(path.key("until"), "must be later than `from`");
        }
        let bare = weir_catalog::PriceFields {
            model: price.model.clone(),
            from: price.from,
            until: price.until,
            ..Default::default()
        };
        if bare == *price {
            findings.add(path.clone(), "sets no price; write `input` and `output`, \"0\" for free");
        }
        if let Some(first) = seen.insert((price.model.clone(), price.from), index) {
            findings.add(path, format!("sets the same model from the same day as prices.overrides[{first}]"));
        }
    }
}
