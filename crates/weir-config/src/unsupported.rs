//! What the file may say by its contract, but this version does not act on yet.
//!
//! Such a setting is refused, never ignored. Who builds one deletes its line here.

use crate::path::{KeyPath, Segment};
use crate::problem::Problem;
use crate::yaml::{Document, Node, Value};

/// A setting that nothing acts on yet.
#[derive(Debug, Clone, Copy)]
pub struct Unsupported {
    /// Where it stands: `*` for any name, `[]` for any list entry.
    pub path: &'static str,
    /// Values that ask for nothing and are therefore taken.
    pub harmless: &'static [&'static str],
    /// What to do instead.
    pub hint: &'static str,
}

const fn unsupported(
    path: &'static str,
    harmless: &'static [&'static str],
    hint: &'static str,
) -> Unsupported {
    Unsupported { path, harmless, hint }
}

const REMOVE: &str = "remove it";
const OTHERS: &str = "write `ordered`, `weighted`, `cheapest`, `fastest` or `least-busy`";

/// Everything that nothing acts on yet.
pub const UNSUPPORTED: &[Unsupported] = &[
    unsupported("backends", &[], REMOVE),
    unsupported("agents", &[], REMOVE),
    unsupported("models.*.strategy", &["ordered", "weighted", "cheapest", "fastest", "least-busy"], OTHERS),
    unsupported("models.*.auto", &[], REMOVE),
    unsupported("models.*.cache.mode", &["off", "false", "exact"], "write `exact`, or remove it"),
    unsupported("cache.semantic", &[], REMOVE),
];

/// Reports and takes out what nothing acts on.
pub(crate) fn refuse_unsupported(document: &mut Document, problems: &mut Vec<Problem>) {
    let mut found = Vec::new();
    document.root.walk(&KeyPath::root(), &mut |path, node| {
        let entry = UNSUPPORTED.iter().find(|entry| matches_path(entry.path, path));
        if let Some(entry) = entry.filter(|entry| !asks_for_nothing(node, entry.harmless)) {
            found.push((path.clone(), entry));
        }
    });
    for (path, entry) in found {
        let message = format!("{path}: not supported by this version yet; {}", entry.hint);
        problems.push(document.problem(path.clone(), None, message));
        document.remove(&path);
    }
}

fn asks_for_nothing(node: &Node, harmless: &[&str]) -> bool {
    match &node.value {
        Value::Null => true,
        Value::List(nodes) => nodes.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Scalar(scalar) => harmless.contains(&scalar.text.as_str()),
    }
}

/// Whether a pattern such as `keys[].budgets` or `models.*.cache` means this path.
pub(crate) fn matches_path(pattern: &str, path: &KeyPath) -> bool {
    let mut segments = path.0.iter();
    for part in pattern.split('.') {
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let Some(Segment::Key(key)) = segments.next() else { return false };
        if name != "*" && name != key {
            return false;
        }
        if list && !matches!(segments.next(), Some(Segment::Index(_))) {
            return false;
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        let check =
            |pattern, path: KeyPath, want| assert_eq!(matches_path(pattern, &path), want, "{pattern} {path}");
        check("budgets", KeyPath::from(["budgets"]), true);
        check("budgets", KeyPath::from(["budgets"]).index(0), false);
        check("keys[].budgets", KeyPath::from(["keys"]).index(3).key("budgets"), true);
        check("keys[].budgets", KeyPath::from(["keys", "budgets"]), false);
        check("models.*.cache", KeyPath::from(["models", "a.b", "cache"]), true);
        check("models.*.cache", KeyPath::from(["models", "cache"]), false);
    }
}
