//! The codes of errors: the document and the source say the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use weir_gateway::error::codes::{CODES, Code};

const BEGIN: &str = "<!-- codes: begin -->\n";
const END: &str = "<!-- codes: end -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `UPDATE=1 cargo test -p weir-gateway` writes it.
#[test]
fn the_document_says_what_the_code_says() {
    let mut table = "| `error.code` | status | means |\n| --- | --- | --- |\n".to_owned();
    for Code { code, status, means } in CODES {
        let status = status.map_or("–".to_owned(), |status| status.to_string());
        writeln!(table, "| `{code}` | {status} | {means} |").unwrap();
    }
    let path = root().join("docs/errors.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/errors.md marks where codes begin");
    let (is, after) = rest.split_once(END).expect("docs/errors.md marks where codes end");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(is, table, "run `UPDATE=1 cargo test -p weir-gateway`");
    }
}

/// What stands as a code anywhere in the source is listed, and what is listed stands somewhere.
#[test]
fn every_code_in_the_source_is_listed() {
    let mut sources = Vec::new();
    for crate_ in ["weir", "weir-gateway", "weir-adapter"] {
        collect(&root().join("crates").join(crate_).join("src"), &mut sources);
    }
    // What stands before a code.
    let marks = [
        "code: \"",
        "new(invalid, \"",
        "new(\"server_error\", \"",
        "new(\"rate_limit_error\", \"",
        "_error\", \"",
    ];
    let (mut used, mut all) = (BTreeSet::new(), String::new());
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
        for mark in marks {
            let found = text.match_indices(mark).map(|(at, _)| &text[at + mark.len()..]);
            let words = found.filter_map(|rest| rest.split('"').next());
            used.extend(words.filter(|word| !word.contains(' ')).map(str::to_owned));
        }
        all += text;
    }
    let listed: BTreeSet<String> = CODES.iter().map(|code| code.code.to_owned()).collect();
    assert_eq!(listed.len(), CODES.len(), "each once");
    let unlisted: Vec<_> = used.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in CODES: {unlisted:?}");
    let unused: Vec<_> = listed.iter().filter(|code| !all.contains(&format!("\"{code}\""))).collect();
    assert!(unused.is_empty(), "nobody says {unused:?}");
    assert!(used.len() > 30, "{used:?}");
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, into);
        } else if name.ends_with(".rs") && !name.contains("test") && name != "codes.rs" {
            into.push(path);
        }
    }
}
