//! The crate graph.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::source::root;

/// The only allowed dependencies. Those that follow from others (an adapter may use what `weir-adapter` uses) are spelt out.
const ALLOWED: &[(&str, &[&str])] = &[
    ("weir-wire", &[]),
    ("weir-catalog", &["weir-wire"]),
    ("weir-ledger", &["weir-wire", "weir-catalog"]),
    ("weir-store", &["weir-wire", "weir-catalog", "weir-ledger"]),
    ("weir-config", &["weir-wire", "weir-catalog"]),
    ("weir-adapter", &["weir-wire"]),
    ("weir-adapter-openai", &["weir-wire", "weir-adapter"]),
    ("weir-adapter-anthropic", &["weir-wire", "weir-adapter"]),
    ("weir-adapter-gemini", &["weir-wire", "weir-adapter"]),
    ("weir-adapter-cohere", &["weir-wire", "weir-adapter"]),
    ("weir-adapter-ollama", &["weir-wire", "weir-adapter"]),
    ("weir-adapter-bedrock", &["weir-wire", "weir-adapter"]),
    // Two dialects at one provider.
    ("weir-adapter-vertex", &["weir-wire", "weir-adapter", "weir-adapter-anthropic", "weir-adapter-gemini"]),
    ("weir-gateway", &["weir-wire", "weir-catalog", "weir-ledger", "weir-config", "weir-adapter"]),
    ("weir-redis", &["weir-gateway"]),
    ("weir-sim", &[]),
];

/// Crates that may use anything of ours: the process that wires all, and what only tests.
const FREE: &[&str] = &["weir", "weir-e2e", "weir-fuzz", "weir-tools"];

/// Libraries that one crate alone may use, because it alone does what they are for.
const ONLY: &[(&str, &[&str])] = &[
    // `audit` reads the store without weir's own code, so that it can't share a mistake with it.
    ("sqlx", &["weir-store", "weir-tools"]),
    ("rusqlite", &["weir-store"]),
    ("axum", &["weir"]),
    ("redis", &["weir-redis"]),
    ("clap", &["weir", "weir-tools"]),
    // It reads files and variables, and asks other hosts.
    ("reqsign-core", &["weir"]),
    ("reqsign-aws-v4", &["weir"]),
    ("reqsign-google", &["weir"]),
    ("reqwest", &["weir", "weir-tools", "weir-e2e"]),
];

/// Libraries that do I/O, tell the time or log: never in crates of pure functions.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "hyper-util",
    "reqwest",
    "sqlx",
    "rusqlite",
    "tracing",
    "jiff",
    "rand",
    "uuid",
    "notify",
    "tower",
];
const PURE: &[&str] = &[
    "weir-wire",
    "weir-adapter",
    "weir-adapter-openai",
    "weir-adapter-anthropic",
    "weir-adapter-gemini",
    "weir-adapter-cohere",
    "weir-adapter-ollama",
    "weir-adapter-bedrock",
    "weir-adapter-vertex",
];

/// Each crate of the workspace with the names of its dependencies, without those of its tests.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let name = |value: &Value| value["name"].as_str().expect("it has a name").to_owned();
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().expect("there is a list of dependencies");
            (name(package), all.iter().filter(|one| one["kind"] != "dev").map(name).collect())
        })
        .collect()
}

#[test]
fn dependencies_are_those_of_the_map() {
    let crates = crates();
    let mut wrong = Vec::new();
    for (name, uses) in &crates {
        if FREE.contains(&name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
            wrong.push(format!("{name} is not on the map; add it to ARCHITECTURE.md and here"));
            continue;
        };
        for other in
            uses.iter().filter(|other| crates.contains_key(*other) && !allowed.contains(&other.as_str()))
        {
            wrong.push(format!("{name} must not depend on {other}"));
        }
    }
    for (name, _) in ALLOWED {
        assert!(crates.contains_key(*name), "{name} is on the map and not in the workspace");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_library_stays_where_it_belongs() {
    let mut wrong = Vec::new();
    for (name, uses) in crates() {
        for (library, owners) in ONLY {
            if uses.contains(*library) && !owners.contains(&name.as_str()) {
                wrong.push(format!("{name} uses {library}; only {} may", owners.join(", ")));
            }
        }
        for library in IMPURE.iter().filter(|_| PURE.contains(&name.as_str())) {
            if uses.contains(*library) {
                wrong.push(format!("{name} holds pure functions and must not use {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_gateway_knows_no_adapter() {
    let crates = crates();
    let known: Vec<_> =
        crates["weir-gateway"].iter().filter(|name| name.starts_with("weir-adapter-")).collect();
    assert!(known.is_empty(), "weir-gateway depends on {known:?}");
}
