//! Where two JSON values differ, and which differences are allowed.

use std::cell::RefCell;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::descriptor::matches;

/// One place in which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The place: `messages[0].content`; empty for the whole.
    pub path: String,
    /// What should stand there; `None`: nothing.
    pub expected: Option<Value>,
    /// What stands there; `None`: nothing.
    pub actual: Option<Value>,
}

/// Every place in which `actual` is not `expected`. Numbers are equal where their values are (`1` and `1.0`).
pub fn diff(expected: &Value, actual: &Value) -> Vec<Difference> {
    let mut out = Vec::new();
    walk(String::new(), expected, actual, &mut out);
    out
}

fn walk(path: String, expected: &Value, actual: &Value, out: &mut Vec<Difference>) {
    match (expected, actual) {
        (Value::Object(left), Value::Object(right)) => {
            let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            for (name, value) in left {
                match right.get(name) {
                    Some(other) => walk(inner(name), value, other, out),
                    None => out.push(Difference {
                        path: inner(name),
                        expected: Some(value.clone()),
                        actual: None,
                    }),
                }
            }
            for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                out.push(Difference { path: inner(name), expected: None, actual: Some(value.clone()) });
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for at in 0..left.len().max(right.len()) {
                let path = format!("{path}[{at}]");
                match (left.get(at), right.get(at)) {
                    (Some(value), Some(other)) => walk(path, value, other, out),
                    (expected, actual) => {
                        out.push(Difference { path, expected: expected.cloned(), actual: actual.cloned() });
                    }
                }
            }
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {}
        (left, right) if left == right => {}
        _ => out.push(Difference { path, expected: Some(expected.clone()), actual: Some(actual.clone()) }),
    }
}

/// A committed list of differences that are allowed.
#[derive(Debug, Default)]
pub struct Exceptions {
    list: Vec<Exception>,
    used: RefCell<Vec<bool>>,
}

/// One allowed difference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// `provider/case`, `*` for any text.
    pub case: String,
    /// The path, `*` for any text.
    pub path: String,
    /// Only where neither side says anything: absent, `null`, `[]`, `{}` or an empty text.
    #[serde(default)]
    pub nothing: bool,
    /// Why.
    pub reason: String,
}

impl Exception {
    fn allows(&self, case: &str, difference: &Difference) -> bool {
        matches(&self.case, case)
            && matches(&self.path, &difference.path)
            && (!self.nothing || (says_nothing(&difference.expected) && says_nothing(&difference.actual)))
    }
}

fn says_nothing(value: &Option<Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(object)) => object.is_empty(),
        Some(_) => false,
    }
}

impl Exceptions {
    /// Reads the list: JSON, `[{"case", "path", "reason"}]`.
    pub fn read(path: &Path) -> Exceptions {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let list: Vec<Exception> =
            serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Exceptions::new(list)
    }

    /// A list.
    pub fn new(list: Vec<Exception>) -> Exceptions {
        assert!(list.iter().all(|exception| !exception.reason.is_empty()), "each exception has its reason");
        let used = RefCell::new(vec![false; list.len()]);
        Exceptions { list, used }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The differences of one case that are not allowed.
    pub fn filter(&self, case: &str, differences: Vec<Difference>) -> Vec<Difference> {
        differences.into_iter().filter(|difference| !self.allows(case, difference)).collect()
    }

    /// Whether this difference of this case is allowed.
    pub fn allows(&self, case: &str, difference: &Difference) -> bool {
        let found = self.list.iter().position(|exception| exception.allows(case, difference));
        found.inspect(|at| self.used.borrow_mut()[*at] = true).is_some()
    }

    /// Whether something wrong at this place of this case is allowed.
    pub fn allows_path(&self, case: &str, path: &str) -> bool {
        self.allows(case, &Difference { path: path.to_owned(), expected: None, actual: None })
    }

    /// The exceptions that allowed nothing so far: a list that only grows is no list of reasons.
    pub fn unused(&self) -> Vec<&Exception> {
        let used = self.used.borrow();
        self.list
            .iter()
            .zip(used.iter())
            .filter(|(_, used)| !**used)
            .map(|(exception, _)| exception)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_each_place() {
        let expected = json!({"a": 1, "b": [1, {"c": "x"}], "d": null, "n": 0});
        let actual = json!({"a": 1.0, "b": [1, {"c": "y"}, 3], "e": 2, "n": 0});
        let paths: Vec<String> = diff(&expected, &actual).into_iter().map(|found| found.path).collect();
        assert_eq!(paths, ["b[1].c", "b[2]", "d", "e"]);
        assert_eq!(diff(&expected, &expected), []);
    }

    #[test]
    fn exceptions_are_used_or_named() {
        let list = json!([
            {"case": "p/*", "path": "messages[*].name", "reason": "r"},
            {"case": "q/x", "path": "seed", "reason": "r"},
            {"case": "q/x", "path": "*", "nothing": true, "reason": "r"}
        ]);
        let exceptions = Exceptions::new(serde_json::from_value(list).unwrap());
        let found = diff(&json!({"messages": [{"name": "n"}]}), &json!({"messages": [{}]}));
        assert_eq!(exceptions.filter("p/1", found.clone()), []);
        assert_eq!(exceptions.filter("q/x", found.clone()), found);
        assert_eq!(exceptions.unused().len(), 2);
        let nothing = diff(&json!({"a": null, "b": [], "c": ""}), &json!({"b": {}}));
        assert_eq!((nothing.len(), exceptions.filter("q/x", nothing)), (3, Vec::new()));
        assert_eq!(exceptions.unused().len(), 1);
        assert_eq!((exceptions.len(), exceptions.is_empty()), (3, false));
    }
}
