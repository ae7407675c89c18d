//! The few lines that the first start prints: where it listens, what it found, how to send the first request, where
//! the data lies.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::app::{Found, Resolved};

/// The lines, made before the start and printed after it.
pub struct Banner {
    text: String,
}

impl Banner {
    /// What is to be said of this configuration.
    pub fn new(resolved: &Resolved, address: SocketAddr, tls: bool) -> Banner {
        let mut text = String::new();
        let config = &resolved.loaded.config;
        let file = resolved
            .loaded
            .file
            .as_ref()
            .map_or_else(|| "none (built-in defaults)".to_owned(), |file| file.display().to_string());
        let _ = writeln!(text, "  weir {}  ·  configuration: {file}", env!("CARGO_PKG_VERSION"));
        for (name, (_, found)) in &resolved.providers {
            let _ = writeln!(text, "  ✓ {name:<12} {}", origin(name, found));
        }
        if resolved.loaded.config.providers.is_none() {
            let missing: Vec<&str> = ["openai", "anthropic", "gemini"]
                .into_iter()
                .filter(|name| !resolved.providers.contains_key(*name))
                .collect();
            for name in missing {
                let variable = resolved
                    .registry
                    .descriptors
                    .get(name)
                    .and_then(|descriptor| descriptor.environment.first());
                let _ = writeln!(
                    text,
                    "  – {name:<12} set {} to use it",
                    variable.map_or("its key", String::as_str)
                );
            }
        }
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://{address}");
        let open = config.server.master_key.is_none() && config.keys.is_empty();
        let key =
            if open { "none needed on this machine" } else { "one of yours, as `Authorization: Bearer KEY`" };
        let _ = writeln!(text, "  API      {url}/v1    key: {key}");
        if let Some(admin) = config.server.admin_listen {
            let _ = writeln!(text, "  Admin    {scheme}://{admin}/admin/v1, /metrics");
        }
        let _ = writeln!(text, "  Data     {}", data(config));
        let model = resolved.loaded.config.models.keys().find(|name| !name.contains('*')).cloned();
        let model = model
            .or_else(|| resolved.providers.contains_key("demo").then(|| "demo/echo".to_owned()))
            .unwrap_or_else(|| "PROVIDER/MODEL".to_owned());
        let auth = if open { "" } else { " -H \"authorization: Bearer $KEY\"" };
        let body =
            format!("{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}");
        let _ = writeln!(
            text,
            "  Try      curl {url}/v1/chat/completions{auth} -H 'content-type: application/json' -d '{body}'"
        );
        let _ = writeln!(text, "           weir spend   ·   weir models   ·   weir env claude");
        Banner { text }
    }

    /// Says it.
    pub fn print(&mut self) {
        eprint!("{}", self.text);
    }
}

fn origin(name: &str, found: &Found) -> String {
    match found {
        Found::Written => format!("{name}/*"),
        Found::Variable(variable) => format!("{name}/*  (found {variable})"),
        Found::Local => format!("{name}/*  (answers on this machine)"),
        Found::BuiltIn => {
            "demo/echo, demo/story, demo/tools, demo/flaky, demo/embed  (built in, needs no key)".to_owned()
        }
    }
}

fn data(config: &weir_config::Config) -> String {
    let folder = config.data_dir.display();
    match config.store.url.expose().strip_prefix("sqlite://") {
        Some(path) => format!("{folder}/{path}  (SQLite)"),
        None => format!("PostgreSQL; spool in {folder}/weir.spool"),
    }
}
