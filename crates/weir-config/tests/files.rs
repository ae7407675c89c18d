//! The files in `config/` are what this crate says they are.

use std::path::{Path, PathBuf};

use weir_config::*;

fn config_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

/// Compares a generated file with what stands in the repository; `UPDATE=1` writes it.
#[track_caller]
fn current(name: &str, text: &str) {
    let file = config_folder().join(name);
    if Environment::from_process().get("UPDATE").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == text,
        "config/{name} is not current; run `UPDATE=1 cargo test -p weir-config` and read the diff"
    );
}

#[test]
fn the_schema_is_current() {
    current("schema.json", &schema_text());
}

fn example() -> Loaded {
    let environment = Environment::from_iter([
        ("WEIR_MASTER_KEY", "m"),
        ("OPENAI_API_KEY", "o"),
        ("ANTHROPIC_KEY_A", "a"),
        ("ANTHROPIC_KEY_B", "b"),
        ("AZURE_KEY", "z"),
        ("CI_KEY", "c"),
        ("WEIR_SNAPSHOT_KEY", "s"),
    ]);
    load(Some(&config_folder().join("weir.example.yaml")), Outside::of(&environment))
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_loads() {
    let loaded = example();
    assert!(loaded.warnings.is_empty());
    assert!(loaded.config.models.len() >= 3 && loaded.config.keys.len() >= 2);
}

/// Every setting of the schema that this version acts on stands in the example, and no other does.
#[test]
fn the_example_shows_every_setting() {
    let text = std::fs::read_to_string(config_folder().join("weir.example.yaml")).unwrap();
    let mut missing = Vec::new();
    let schema = schema();
    let mut check = |owner: &str, object: &serde_json::Value| {
        let properties = object.get("properties").and_then(|properties| properties.as_object());
        for (name, setting) in properties.into_iter().flatten() {
            let shown = text.lines().any(|line| line.contains(&format!("{name}:")));
            if setting.get("deprecated").is_none() && !shown {
                missing.push(format!("{owner}.{name}"));
            }
        }
    };
    check("", &schema);
    for owner in [
        "Server",
        "Tls",
        "Provider",
        "Model",
        "Retry",
        "Timeouts",
        "Key",
        "Team",
        "Prices",
        "Store",
        "Ledger",
        "Logging",
        "Telemetry",
    ] {
        let definition = &schema["$defs"][owner];
        let full = definition.get("anyOf").map_or(definition, |forms| &forms[1]);
        assert!(full.get("properties").is_some(), "{owner} is not in the schema");
        check(owner, full);
    }
    assert!(missing.is_empty(), "config/weir.example.yaml does not show {missing:?}");
}

/// What the comments of the example call the default is the default.
#[test]
fn the_example_tells_the_defaults() {
    let config = example().config;
    let defaults = Config::default();
    assert_eq!(
        (config.ledger, config.logging, config.telemetry),
        (defaults.ledger, defaults.logging, defaults.telemetry)
    );
    let explained = &config.models["explained"];
    let (model, usual) = (explained.clone(), Model::default());
    assert_eq!(
        (model.retry, model.timeouts, model.fallback_on),
        (usual.retry, usual.timeouts, usual.fallback_on)
    );
    let written = config.server.clone();
    let server = Server {
        master_key: written.master_key,
        // Their defaults depend on the machine.
        max_connections: written.max_connections,
        max_body_memory: written.max_body_memory,
        max_memory: written.max_memory,
        ..Server::default()
    };
    assert_eq!(config.server, server);
}

/// W-097 in small: a file cut anywhere, or with one character changed anywhere, is read or refused, never more.
#[test]
fn damaged_files_are_read_or_refused() {
    let text = std::fs::read_to_string(config_folder().join("weir.example.yaml")).unwrap();
    let environment = Environment::from_iter([("CI_KEY", "sk-canary-ci"), ("AZURE_KEY", "sk-canary-azure")]);
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let damage = ["", "{", "]", "&a ", "*a", "\t", "\0", "- ", ": ", "${", "'", "|\n"];
    for (turn, place) in places.into_iter().enumerate().step_by(13) {
        let (before, after) = text.split_at(place);
        let rest = after.chars().next().map_or("", |first| &after[first.len_utf8()..]);
        for damaged in [before.to_owned(), format!("{before}{}{rest}", damage[turn % damage.len()])] {
            if let Err(error) = load_text(&damaged, None, Outside::of(&environment)) {
                let message = error.to_string();
                assert!(!error.problems.is_empty() && !message.contains("sk-canary"), "{message}");
            }
        }
    }
}
