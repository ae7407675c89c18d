//! A JSON schema as Anthropic's output format takes it: closed objects, no bounds.

use serde_json::{Map, Value};

use super::draft::Draft;

/// The schema without what the descriptor's fact `schema_drop` lists; each place is reported.
pub(super) fn strict(schema: &Value, path: &str, draft: &mut Draft<'_>) -> Value {
    let dropped: Vec<&str> =
        draft.rules.fact("schema_drop").unwrap_or_default().split(',').map(str::trim).collect();
    walk(schema, path, &dropped, draft)
}

fn walk(schema: &Value, path: &str, dropped: &[&str], draft: &mut Draft<'_>) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut out = Map::with_capacity(members.len() + 1);
    for (name, value) in members {
        let inner = format!("{path}.{name}");
        let many_items = name == "minItems" && value.as_u64().is_some_and(|least| least > 1);
        if many_items || dropped.contains(&name.as_str()) {
            draft.drop(inner);
            continue;
        }
        let value = match (name.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                let each = |(name, value): (&String, &Value)| {
                    (name.clone(), walk(value, &format!("{inner}.{name}"), dropped, draft))
                };
                Value::Object(schemas.iter().map(each).collect())
            }
            ("anyOf" | "allOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                let each =
                    |(at, value): (usize, &Value)| walk(value, &format!("{inner}[{at}]"), dropped, draft);
                schemas.iter().enumerate().map(each).collect()
            }
            ("items" | "not", value) => walk(value, &inner, dropped, draft),
            ("additionalProperties", Value::Bool(false)) => Value::Bool(false),
            ("additionalProperties", _) => {
                draft.drop(inner);
                Value::Bool(false)
            }
            _ => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    let object = out.get("type").is_some_and(|kind| kind == "object") || out.contains_key("properties");
    if object {
        out.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    Value::Object(out)
}
