//! Brings files of older versions up to date.
//!
//! A step edits the text, not the tree, so comments, order and `${NAME}`s stay. `weir check --migrate` writes the
//! result; loading an older file does the same in memory and says so.

use std::ops::Range;

use crate::path::KeyPath;
use crate::problem::ConfigError;
use crate::unsupported::matches_path;
use crate::yaml::{Document, Form, Node, Scalar, Value};

/// The version that a file without `version` has, and that this program writes.
pub const CURRENT_VERSION: u32 = 1;

/// A change of the file's form from one version to the next.
struct Step {
    /// What it does, for the user.
    says: &'static str,
    /// The edits it needs.
    edits: fn(&Document) -> Vec<Edit>,
}

/// All steps; the one at index N leads from version N to N + 1.
const STEPS: [Step; CURRENT_VERSION as usize] = [
    // Version 0 is what was used before the interface was settled.
    Step {
        says: "`server.bind` is now `server.listen`",
        edits: |document| rename(document, "server.bind", "listen"),
    },
];

/// Replaces some bytes of the file.
struct Edit {
    bytes: Range<usize>,
    text: String,
}

/// A file brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The new text of the file.
    pub text: String,
    /// What was changed, one line each. Empty: the file was current, and `text` is what it was.
    pub changes: Vec<String>,
}

/// Brings the text of a file up to date. `file` is its name for messages.
///
/// # Errors
///
/// A file that can't be read, or whose version this program does not know.
pub fn migrate(text: &str, file: &str) -> Result<Migrated, ConfigError> {
    let mut text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    let mut changes = Vec::new();
    loop {
        let (document, _) = Document::read(&text, file)?;
        let Some((version, bytes)) = version_of(&document)? else { return Ok(Migrated { text, changes }) };
        let Some(step) = STEPS.get(version as usize) else { return Ok(Migrated { text, changes }) };
        let mut edits = (step.edits)(&document);
        if !edits.is_empty() {
            changes.push(step.says.to_owned());
        }
        edits.push(Edit { bytes, text: (version + 1).to_string() });
        changes.push(format!("version {version} is now version {}", version + 1));
        apply(&mut text, edits);
    }
}

/// The version that the file states, and where; `None` if it states none.
fn version_of(document: &Document) -> Result<Option<(u32, Range<usize>)>, ConfigError> {
    let Some(entry) = document.root.get("version") else { return Ok(None) };
    let refuse = |message: String| {
        let problem = document.problem(KeyPath::from(["version"]), Some(entry.node.location), message);
        ConfigError::one(problem)
    };
    let number = match &entry.node.value {
        Value::Scalar(Scalar { text, form: Form::Number, .. }) => text.parse::<u32>().ok(),
        _ => None,
    };
    match number {
        None => Err(refuse(format!("version: expected a number up to {CURRENT_VERSION}"))),
        Some(version) if version > CURRENT_VERSION => Err(refuse(format!(
            "version: the file has version {version}, this program knows versions up to {CURRENT_VERSION}; use a newer weir"
        ))),
        Some(version) => Ok(Some((version, entry.node.bytes.clone()))),
    }
}

/// The edits that give a new name to every key at a path.
fn rename(document: &Document, pattern: &str, to: &str) -> Vec<Edit> {
    fn visit(node: &Node, path: &KeyPath, pattern: &str, to: &str, edits: &mut Vec<Edit>) {
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    let path = path.key(&entry.key);
                    if matches_path(pattern, &path) {
                        edits.push(Edit { bytes: entry.bytes.clone(), text: to.to_owned() });
                    }
                    visit(&entry.node, &path, pattern, to, edits);
                }
            }
            Value::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    visit(node, &path.index(index), pattern, to, edits);
                }
            }
            Value::Null | Value::Scalar(_) => {}
        }
    }
    let mut edits = Vec::new();
    visit(&document.root, &KeyPath::root(), pattern, to, &mut edits);
    edits
}

/// Applies edits that do not overlap, last one first.
fn apply(text: &mut String, mut edits: Vec<Edit>) {
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.bytes.start));
    for edit in edits {
        if text.get(edit.bytes.clone()).is_some() {
            text.replace_range(edit.bytes, &edit.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
# my gateway
version: 0   # written long ago
server:
  # where clients connect
  bind: ${LISTEN:-127.0.0.1:4000}
  max_body: 1MiB
models:
  bind: openai/gpt-4o  # a public name may be called bind
";

    const NEW: &str = "\
# my gateway
version: 1   # written long ago
server:
  # where clients connect
  listen: ${LISTEN:-127.0.0.1:4000}
  max_body: 1MiB
models:
  bind: openai/gpt-4o  # a public name may be called bind
";

    #[test]
    fn keeps_everything_but_what_changed() {
        let migrated = migrate(OLD, "weir.yaml").unwrap();
        assert_eq!(migrated.text, NEW);
        assert_eq!(migrated.changes, ["`server.bind` is now `server.listen`", "version 0 is now version 1"]);
    }

    #[test]
    fn leaves_current_files_alone() {
        for text in [NEW, "server: {}\n", "", "{\"server\": {\"listen\": \"127.0.0.1:1\"}}"] {
            assert_eq!(migrate(text, "f").unwrap(), Migrated { text: text.to_owned(), changes: vec![] });
        }
    }

    #[test]
    fn edits_flow_style_and_umlauts() {
        let migrated = migrate("# ä\n{version: 0, server: {\"bind\": 127.0.0.1:1}}\n", "f").unwrap();
        assert_eq!(migrated.text, "# ä\n{version: 1, server: {listen: 127.0.0.1:1}}\n");
    }

    #[test]
    fn refuses_versions_it_does_not_know() {
        let error = migrate("version: 7\n", "weir.yaml").unwrap_err().to_string();
        assert!(error.starts_with("weir.yaml:1:10: version: the file has version 7"), "{error}");
        assert!(migrate("version: one\n", "weir.yaml").is_err());
    }
}
