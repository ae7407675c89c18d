//! What stands in the source. Comments and tests are not counted, unless a rule says so.

use std::path::{Path, PathBuf};

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's folder is there")
}

/// A file, with its path from the project's folder.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The code: without comments, and without the test modules at the file's foot.
    fn code(&self) -> String {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }
}

/// The Rust files below `folder` that are no tests.
fn rust(folder: &str) -> Vec<File> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    let mut found: Vec<File> = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("source is text");
            File { path: path.strip_prefix(root()).expect("it lies below").display().to_string(), text }
        })
        .filter(|file| {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            !(name == "tests.rs"
                || name.ends_with("_tests.rs")
                || file.path.contains("/tests/")
                || file.path.contains("/testkit/"))
        })
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!found.is_empty(), "there is no source below {folder}");
    found
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let built = ["target", ".git", ".cache", "node_modules", "__pycache__", "fixtures"];
        // In a work tree `.git` is a file.
        if built.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// Whether `word` stands in `text` with no letter, digit or underscore around it.
fn has_word(text: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part)
            && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Panics with every place below the folders where the code holds one of the words.
fn never(folders: &[&str], words: &[&str], except: &[&str], why: &str) {
    let mut wrong = Vec::new();
    for file in
        folders.iter().flat_map(|folder| rust(folder)).filter(|file| !except.contains(&file.path.as_str()))
    {
        let code = file.code();
        for word in words.iter().filter(|word| has_word(&code, word)) {
            wrong.push(format!("{}: `{word}`: {why}", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const ADAPTERS: &[&str] = &[
    "crates/weir-adapter/src",
    "crates/weir-adapter-openai/src",
    "crates/weir-adapter-anthropic/src",
    "crates/weir-adapter-gemini/src",
    "crates/weir-adapter-cohere/src",
    "crates/weir-adapter-ollama/src",
    "crates/weir-adapter-bedrock/src",
    "crates/weir-adapter-vertex/src",
];

#[test]
fn adapters_are_pure() {
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::io",
        "env::var",
        "File::open",
        "TcpStream",
        "SystemTime::now",
        "Instant::now",
        "UNIX_EPOCH.elapsed",
        "println!",
        "eprintln!",
        "dbg!",
        "tracing::",
        "log::",
        "tokio::",
        "thread::",
    ];
    never(ADAPTERS, &words, &[], "adapters do no I/O, read no clock and no environment, and never log");
}

#[test]
fn the_wire_is_pure() {
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "SystemTime::now",
        "Instant::now",
        "println!",
        "tokio::",
        "tracing::",
    ];
    never(&["crates/weir-wire/src", "crates/weir-catalog/src"], &words, &[], "bytes and data do no I/O");
}

#[test]
fn money_has_no_floats() {
    let folders = ["crates/weir-ledger/src", "crates/weir-catalog/src", "crates/weir-store/src"];
    // Tests and comments count here: not even an expected value may be rounded.
    let mut wrong = Vec::new();
    for folder in folders {
        let mut files = Vec::new();
        walk(&root().join(folder), &mut files);
        assert!(!files.is_empty(), "there is no source below {folder}");
        for path in files {
            let text = std::fs::read_to_string(&path).expect("source is text");
            wrong.extend(
                ["f32", "f64"]
                    .iter()
                    .filter(|word| has_word(&text, word))
                    .map(|word| format!("{}: {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "money is integers:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_store_speaks_sql() {
    let others: Vec<String> = crates_but(&["weir-store"]);
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    never(&others, &["sqlx::", "SELECT", "INSERT INTO"], &[], "only weir-store speaks SQL");
}

#[test]
fn only_weir_speaks_axum() {
    let others: Vec<String> = crates_but(&["weir"]);
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    never(&others, &["axum::"], &[], "only weir speaks axum");
}

#[test]
fn only_the_configuration_reads_the_environment() {
    let others: Vec<String> = crates_but(&["weir-config", "weir-sim"]);
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    // A private Postgres for tests of stores asks where its programs are.
    let except = ["crates/weir-store/src/testing.rs"];
    never(
        &others,
        &["env::var", "env::var_os", "env::vars", "env::vars_os", "env::set_var"],
        &except,
        "only weir-config reads the environment",
    );
}

#[test]
fn the_gateway_names_no_provider() {
    // OpenAI's name stands for the common form, too, so only the others tell.
    let providers = [
        "anthropic",
        "gemini",
        "azure",
        "deepseek",
        "mistral",
        "groq",
        "together",
        "openrouter",
        "xai",
        "perplexity",
        "vllm",
        "lmstudio",
        "ollama",
        "cohere",
        "bedrock",
        "cerebras",
        "fireworks",
    ];
    let mut wrong = Vec::new();
    for file in rust("crates/weir-gateway/src") {
        let code = file.code().to_lowercase();
        wrong.extend(
            providers
                .iter()
                .filter(|name| has_word(&code, name))
                .map(|name| format!("{}: {name}", file.path)),
        );
    }
    assert!(wrong.is_empty(), "weir-gateway knows no provider by name:\n{}", wrong.join("\n"));
}

#[test]
fn one_file_lists_the_adapters() {
    let names = ["weir_adapter_openai", "weir_adapter_anthropic", "weir_adapter_gemini"];
    let all: Vec<String> = crates_but(&[])
        .iter()
        .flat_map(|folder| rust(folder))
        .filter(|file| names.iter().all(|name| has_word(&file.code(), name)))
        .map(|file| file.path)
        .collect();
    assert_eq!(all, ["crates/weir/src/adapters.rs"], "files that name all adapters");
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("there is a Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let mut checked = 0;
    for folder in crates_but(&[])
        .iter()
        .map(|folder| folder.trim_end_matches("/src").to_owned())
        .chain(["tests/e2e".into(), "tests/tools".into()])
    {
        let manifest = std::fs::read_to_string(root().join(&folder).join("Cargo.toml"))
            .expect("a crate has a Cargo.toml");
        let lints = manifest.split("[lints]").nth(1).unwrap_or_default();
        assert!(
            lints.trim_start().starts_with("workspace = true"),
            "{folder}/Cargo.toml does not take the workspace's lints"
        );
        checked += 1;
    }
    assert!(checked >= 13);
    // Written in two parts, so that this file does not hold it.
    let allowed = format!("allow({}_code)", "unsafe");
    for folder in crates_but(&[]) {
        assert!(
            rust(&folder).iter().all(|file| !file.text.contains(&allowed)),
            "{folder} allows unsafe code"
        );
    }
}

#[test]
fn files_are_short() {
    let long: Vec<String> = crates_but(&[])
        .iter()
        .flat_map(|folder| rust(folder))
        // One list of types, as long as OpenAI's chat is wide.
        .filter(|file| file.path != "crates/weir-wire/src/openai/chat.rs")
        .filter(|file| file.text.lines().count() > 500)
        .map(|file| format!("{}: {} lines", file.path, file.text.lines().count()))
        .collect();
    assert!(long.is_empty(), "files of more than 500 lines:\n{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = crates_but(&[])
        .iter()
        .flat_map(|folder| rust(folder))
        .filter(|file| !file.text.trim_start().starts_with("//!"))
        .map(|file| file.path)
        .collect();
    assert!(silent.is_empty(), "modules without a `//!` header:\n{}", silent.join("\n"));
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    // Written in parts, so that this file does not hold them.
    let words = [
        format!("#[{}]", "ignore"),
        format!("#[{} =", "ignore"),
        format!("{}!(", "todo"),
        format!("{}!(", "unimplemented"),
    ];
    let mut files = Vec::new();
    for folder in ["crates", "tests"] {
        walk(&root().join(folder), &mut files);
    }
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = std::fs::read_to_string(path).expect("source is text");
        wrong.extend(
            words
                .iter()
                .filter(|word| text.contains(*word))
                .map(|word| format!("{}: {word}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_path_of_a_machine_and_no_registry_stands_in_the_project() {
    // Written in parts, so that this file does not hold them.
    let words = [
        format!("/{}/main", "work"),
        format!("/{}/shared", "work"),
        format!("/{}/.cargo", "root"),
        format!("/{}/.pyenv", "root"),
        format!("registry.{}.org", "npmjs"),
        format!("{}.pythonhosted.org", "files"),
        format!("pypi.{}/simple", "org"),
        format!("static.{}.io", "crates"),
        format!("deb.{}.org", "debian"),
    ];
    let mut files = Vec::new();
    walk(&root(), &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let relative = path.strip_prefix(root()).expect("it lies below").display().to_string();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        // Of a lock file, the name of the index is Cargo's own word for the public registry.
        wrong.extend(
            words.iter().filter(|word| text.contains(*word)).map(|word| format!("{relative}: {word}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The source folders of the crates but these.
fn crates_but(names: &[&str]) -> Vec<String> {
    let entries = std::fs::read_dir(root().join("crates")).expect("there are crates");
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            !names.contains(&name.as_str()) && root().join("crates").join(name).join("Cargo.toml").exists()
        })
        .map(|name| format!("crates/{name}/src"))
        .collect();
    found.sort();
    assert!(found.len() >= 10, "{found:?}");
    found
}
