//! References resolved and `allOf` merged, one node at a time.

use serde_json::{Map, Value};

/// The node that a reference within the schema names: `#`, `#/$defs/NAME`, any JSON pointer.
pub(crate) fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// Adds what `from` demands to `into`: both shall hold, as in `allOf`. Where both say something that can't be joined,
/// what stands in `into` already stays.
pub(crate) fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (name.as_str(), into.get_mut(&name)) {
            (_, None) => {
                into.insert(name, value);
            }
            ("properties", Some(Value::Object(known))) => {
                if let Value::Object(more) = value {
                    more.into_iter().for_each(|(name, value)| {
                        known.entry(name).or_insert(value);
                    });
                }
            }
            ("required", Some(Value::Array(known))) => {
                for item in value.as_array().into_iter().flatten() {
                    if !known.contains(item) {
                        known.push(item.clone());
                    }
                }
            }
            ("enum", Some(Value::Array(known))) => {
                if let Some(also) = value.as_array() {
                    known.retain(|item| also.contains(item));
                }
            }
            _ => {}
        }
    }
}
