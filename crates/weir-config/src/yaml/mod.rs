//! YAML, read strictly. The only file set that knows the YAML library.
//!
//! [`parse`] reads a file into a type; provider descriptors and model files use it too. All problems are reported
//! at once: after each one the offending value is taken out and the rest is read again.

mod error;
mod node;
mod reader;

use serde::de::DeserializeOwned;

use crate::path::KeyPath;
use crate::problem::{ConfigError, Location, Problem};
pub(crate) use node::{Entry, Form, Node, Scalar, Value};
use reader::Reader;

/// A file longer than this is refused, in bytes.
pub const MAX_FILE: usize = 16 * 1024 * 1024;

/// More problems than this are not looked for.
const MAX_PROBLEMS: usize = 50;

/// Reads YAML into a type. `file` is the name for messages.
///
/// # Errors
///
/// Everything that is wrong, each with line, column and key path. An unknown key names the nearest known one.
pub fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    let (mut document, mut problems) = Document::read(text, file)?;
    let value = document.build(&mut problems);
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(ConfigError::new(problems)),
    }
}

/// A file, parsed but not yet understood.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) root: Node,
}

impl Document {
    /// Parses YAML. Doubled keys are problems; the first of them stays.
    pub(crate) fn read(text: &str, file: &str) -> Result<(Self, Vec<Problem>), ConfigError> {
        if text.len() > MAX_FILE {
            let message = format!("the file is larger than {MAX_FILE} bytes");
            return Err(ConfigError::one(Problem {
                file: file.to_owned(),
                ..Problem::at(KeyPath::root(), message)
            }));
        }
        // Spans count from after a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = serde_saphyr::from_str_with_options(text, options());
        let root: Node = root.map_err(|error| ConfigError::one(syntax_problem(&error, file)))?;
        let mut document = Self { file: file.to_owned(), root };
        document.root.fill(text);
        let mut problems = Vec::new();
        document.refuse_doubled_keys(&mut problems);
        Ok((document, problems))
    }

    /// Reads the tree into a type, adding what does not fit to `problems` and leaving it out.
    ///
    /// `None` if so much is wrong that nothing is left.
    pub(crate) fn build<T: DeserializeOwned>(&mut self, problems: &mut Vec<Problem>) -> Option<T> {
        while problems.len() < MAX_PROBLEMS {
            let error = match T::deserialize(Reader(&self.root)) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let path = error.path();
            // What is missing because it was taken out is no second problem.
            let known = error.is_missing_key() && self.root.find(&path.0).is_some_and(Node::has_gaps);
            if !known {
                problems.push(self.problem(path.clone(), error.location, error.message()));
            }
            if path.is_root() || !self.remove(&path) {
                return None;
            }
        }
        None
    }

    /// A problem with the value at `path`, at its place in this file unless another is given.
    pub(crate) fn problem(
        &self,
        path: KeyPath,
        location: Option<Location>,
        message: impl Into<String>,
    ) -> Problem {
        let location = location.or_else(|| self.locate(&path));
        Problem { file: self.file.clone(), location, path, message: message.into() }
    }

    /// Where the value stands, or the closest value above it that the file has.
    pub(crate) fn locate(&self, path: &KeyPath) -> Option<Location> {
        let mut path = path.clone();
        while !path.is_root() {
            if let Some(node) = self.root.find(&path.0) {
                return Some(node.location);
            }
            path = path.parent()?;
        }
        None
    }

    /// Takes a value out. Tells whether it was still there.
    pub(crate) fn remove(&mut self, path: &KeyPath) -> bool {
        match self.root.find_mut(&path.0) {
            Some(node) => !std::mem::replace(&mut node.removed, true),
            None => false,
        }
    }

    fn refuse_doubled_keys(&mut self, problems: &mut Vec<Problem>) {
        let file = self.file.clone();
        drop_doubled_keys(&mut self.root, &KeyPath::root(), &mut |path, first, again| {
            let message = format!("{path}: doubled key, first written on line {}", first.line);
            problems.push(Problem { file: file.clone(), location: Some(again), path, message });
        });
    }
}

fn drop_doubled_keys(node: &mut Node, path: &KeyPath, report: &mut impl FnMut(KeyPath, Location, Location)) {
    match &mut node.value {
        Value::List(nodes) => {
            for (index, node) in nodes.iter_mut().enumerate() {
                drop_doubled_keys(node, &path.index(index), report);
            }
        }
        Value::Map(entries) => {
            let mut seen = std::collections::HashMap::<String, Location>::new();
            entries.retain(|entry| match seen.get(&entry.key) {
                Some(first) => {
                    report(path.key(&entry.key), *first, entry.location);
                    false
                }
                None => seen.insert(entry.key.clone(), entry.location).is_none(),
            });
            for Entry { key, node, .. } in entries {
                drop_doubled_keys(node, &path.key(key.as_str()), report);
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

/// Limits far above any configuration, far below what would hurt.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 40,
            max_nodes: 500_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        // `.nan` stays text, to be refused by whatever wants a number.
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// The library's error in our words: its place in front, not repeated at the end.
fn syntax_problem(error: &serde_saphyr::Error, file: &str) -> Problem {
    let location = error.location().filter(|at| at.line() > 0).map(|at| {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Location { line: short(at.line()), column: short(at.column()) }
    });
    let text = error.without_snippet().to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let text = text.rsplit_once("error: ").map_or(text, |(_, rest)| rest).trim();
    let message = if text.starts_with("multiple YAML documents") {
        "not readable as YAML: there is a second document (after `---`); only one is read".to_owned()
    } else if text.starts_with("budget breached") || text.contains("alias") && text.contains("limit") {
        "not read: nested too deep, or grown too large by aliases".to_owned()
    } else {
        format!("not readable as YAML: {text}")
    };
    Problem { file: file.to_owned(), location, path: KeyPath::root(), message }
}

#[cfg(test)]
mod tests;
