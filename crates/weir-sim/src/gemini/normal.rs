//! One spelling for both that Gemini takes: `response_mime_type` becomes `responseMimeType`.

use serde_json::{Map, Value};

/// Keys below which all is the caller's own.
const OPAQUE: [&str; 8] = [
    "args",
    "parametersJsonSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "partMetadata",
    "default",
    "example",
    "enum",
];

/// The request with its field names in camel case.
pub(super) fn request(value: &Value) -> Value {
    walk(value, "")
}

fn walk(value: &Value, parent: &str) -> Value {
    match value {
        Value::Object(object) => Value::Object(fields(object, parent)),
        Value::Array(list) => list.iter().map(|item| walk(item, parent)).collect(),
        other => other.clone(),
    }
}

fn fields(object: &Map<String, Value>, parent: &str) -> Map<String, Value> {
    object
        .iter()
        .map(|(key, value)| {
            if parent == "properties" {
                return (key.clone(), walk(value, "schema"));
            }
            let key = camel(key);
            let opaque =
                OPAQUE.contains(&key.as_str()) || (parent == "functionResponse" && key == "response");
            let value = if opaque { value.clone() } else { walk(value, &key) };
            (key, value)
        })
        .collect()
}

fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut upper = false;
    for (at, c) in key.char_indices() {
        match c {
            '_' if at > 0 => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn field_names_change_and_the_callers_own_do_not() {
        let given = json!({"generation_config": {"response_schema": {"properties": {"first_name": {"min_items": 1}}}},
            "contents": [{"parts": [{"function_call": {"name": "f", "args": {"a_b": 1}}},
                {"function_response": {"name": "f", "response": {"c_d": 1}}}]}]});
        let expected = json!({"generationConfig": {"responseSchema": {"properties": {"first_name": {"minItems": 1}}}},
            "contents": [{"parts": [{"functionCall": {"name": "f", "args": {"a_b": 1}}},
                {"functionResponse": {"name": "f", "response": {"c_d": 1}}}]}]});
        assert_eq!(request(&given), expected);
    }
}
