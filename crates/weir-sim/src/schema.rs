//! A small instance of a JSON schema (or of Gemini's subset), for structured answers and tool arguments.

use serde_json::{Map, Number, Value, json};

use crate::state::hash;

/// How deep optional properties are filled in; below, only required ones.
const FULL_DEPTH: usize = 2;
/// How deep anything is followed, so that a recursive schema ends.
const LAST_DEPTH: usize = 12;

/// What fills the free places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filler {
    /// Differs between requests that differ.
    pub(crate) seed: u64,
    /// Whether strings hold quotes, escapes, and characters of two UTF-16 units.
    pub(crate) hard: bool,
}

/// An instance of the schema.
pub(crate) fn instance(schema: &Value, filler: &Filler) -> Value {
    build(schema, schema, "value", filler, 0)
}

fn build(schema: &Value, root: &Value, name: &str, filler: &Filler, depth: usize) -> Value {
    if depth > LAST_DEPTH {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|pointer| root.pointer(pointer.strip_prefix('#')?))
    {
        return build(target, root, name, filler, depth + 1);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema[key].as_array() {
            let option = options.iter().find(|option| kind(option) != "null").or(options.first());
            return option.map_or(Value::Null, |option| build(option, root, name, filler, depth + 1));
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return merged(all, schema, root, name, filler, depth);
    }
    match kind(schema).as_str() {
        "object" => object(schema, root, filler, depth),
        "array" => array(schema, root, name, filler, depth),
        "integer" => integer(schema, filler.seed),
        "number" => number(schema, filler.seed),
        "boolean" => Value::Bool(filler.seed.is_multiple_of(2)),
        "null" => Value::Null,
        _ => Value::String(string(schema, name, filler)),
    }
}

/// The type in lower case; the first that is not null of a list; `object` where properties stand without one.
fn kind(schema: &Value) -> String {
    let named = match &schema["type"] {
        Value::String(kind) => Some(kind.as_str()),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            kinds.clone().find(|kind| *kind != "null").or_else(|| kinds.clone().next())
        }
        _ => None,
    };
    match named {
        Some(kind) => kind.to_ascii_lowercase(),
        None if schema.get("properties").is_some() => "object".to_owned(),
        None => "string".to_owned(),
    }
}

fn merged(all: &[Value], schema: &Value, root: &Value, name: &str, filler: &Filler, depth: usize) -> Value {
    let mut merged = Map::new();
    for part in all {
        match build(part, root, name, filler, depth + 1) {
            Value::Object(part) => merged.extend(part),
            other => return other,
        }
    }
    if let Value::Object(own) = object(schema, root, filler, depth) {
        merged.extend(own);
    }
    Value::Object(merged)
}

fn object(schema: &Value, root: &Value, filler: &Filler, depth: usize) -> Value {
    let mut object = Map::new();
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if required(name) || depth < FULL_DEPTH {
            let filler = Filler { seed: hash((filler.seed, name)), ..*filler };
            object.insert(name.clone(), build(property, root, name, &filler, depth + 1));
        }
    }
    Value::Object(object)
}

fn array(schema: &Value, root: &Value, name: &str, filler: &Filler, depth: usize) -> Value {
    let least =
        schema["minItems"].as_u64().or_else(|| schema["minItems"].as_str()?.parse().ok()).unwrap_or(1);
    let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
    let prefix = schema["prefixItems"].as_array();
    let count = least.clamp(1, 32).max(prefix.map_or(0, |items| items.len() as u64)).min(most);
    (0..count)
        .map(|index| {
            let at = usize::try_from(index).unwrap_or(0);
            let item = prefix.and_then(|items| items.get(at)).unwrap_or(&schema["items"]);
            let filler = Filler { seed: hash((filler.seed, index)), ..*filler };
            build(item, root, name, &filler, depth + 1)
        })
        .collect()
}

fn integer(schema: &Value, seed: u64) -> Value {
    let small = i64::try_from(seed % 90).unwrap_or(0) + 1;
    let least = schema["minimum"].as_i64().or_else(|| Some(schema["exclusiveMinimum"].as_i64()? + 1));
    let most = schema["maximum"].as_i64().or_else(|| Some(schema["exclusiveMaximum"].as_i64()? - 1));
    let value = least.map_or(small, |least| small.max(least));
    let value = most.map_or(value, |most| value.min(most));
    match schema["multipleOf"].as_i64().filter(|step| *step > 0) {
        Some(step) => {
            json!(value.div_euclid(step) * step + if value.rem_euclid(step) == 0 { 0 } else { step })
        }
        None => json!(value),
    }
}

fn number(schema: &Value, seed: u64) -> Value {
    let value = f64::from(u32::try_from(seed % 100).unwrap_or(0)) + 0.5;
    let value = schema["minimum"].as_f64().map_or(value, |least| value.max(least));
    let value = schema["maximum"].as_f64().map_or(value, |most| value.min(most));
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn string(schema: &Value, name: &str, filler: &Filler) -> String {
    let by_format = match schema["format"].as_str() {
        Some("date-time") => Some("2026-01-02T03:04:05Z"),
        Some("date") => Some("2026-01-02"),
        Some("time") => Some("03:04:05Z"),
        Some("email") => Some("someone@example.com"),
        Some("uri" | "url") => Some("https://example.com/"),
        Some("uuid") => Some("0190163d-8694-739b-aea5-966c26f8ad91"),
        Some("ipv4") => Some("192.0.2.1"),
        _ => None,
    };
    let mut text = match by_format {
        Some(text) => text.to_owned(),
        None if filler.hard => "say \"hi\" \\ back\nnew — ü 雨 🚣 \u{7f}".to_owned(),
        None if name.contains("city") || name.contains("location") => "Zürich".to_owned(),
        None => format!("{name} {}", filler.seed % 1000),
    };
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0).min(10_000)).unwrap_or(0);
    while text.chars().count() < least {
        text.push('x');
    }
    if let Some(most) = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()) {
        text = text.chars().take(most).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: Value, good: fn(&Value) -> bool) {
        let value = instance(&schema, &Filler { seed: 41, hard: false });
        assert!(good(&value), "{schema} gave {value}");
    }

    #[test]
    fn instances_follow_their_schema() {
        check(json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}), |v| v["n"].is_i64());
        check(json!({"type": ["null", "number"], "minimum": 200}), |v| v.as_f64() >= Some(200.0));
        check(json!({"enum": ["a", "b"]}), |v| v == "a");
        check(json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), Value::is_boolean);
        check(json!({"type": "array", "items": {"type": "integer", "maximum": 3}, "minItems": 2}), |v| {
            v.as_array().is_some_and(|a| a.len() == 2 && a.iter().all(|n| n.as_i64() <= Some(3)))
        });
        check(json!({"type": "string", "minLength": 30}), |v| v.as_str().is_some_and(|s| s.len() >= 30));
        check(json!({"type": "integer", "multipleOf": 7, "minimum": 1}), |v| {
            v.as_i64().is_some_and(|n| n % 7 == 0)
        });
    }

    #[test]
    fn references_resolve_and_recursion_ends() {
        let schema = json!({
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "required": ["next"],
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}, "v": {"type": "string"}}}}
        });
        check(schema, |v| v["next"].is_object());
    }
}
