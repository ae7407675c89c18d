//! What is sent to the admin API, read strictly: nothing unknown is taken, and amounts never pass through a float.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;
use weir_adapter::InvalidRequest;
use weir_gateway::GatewayError;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 256 << 10;

/// Fields whose numbers are amounts or shares: their text counts.
const DECIMALS: [&str; 2] = ["limit", "alert_at"];

/// A body of this form.
///
/// # Errors
/// What is wrong with it, and what was probably meant.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, GatewayError> {
    serde_json::from_str(&quoted(text(bytes)?)).map_err(|error| refused(&error))
}

/// A body as it came, for a change to be merged.
///
/// # Errors
/// A body that is no JSON object.
pub fn object(bytes: &[u8]) -> Result<Value, GatewayError> {
    let value: Value = serde_json::from_str(&quoted(text(bytes)?)).map_err(|error| refused(&error))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(invalid("write a JSON object with the fields to change")),
    }
}

/// A value of this form.
///
/// # Errors
/// What is wrong with it.
pub fn of_value<T: DeserializeOwned>(value: Value) -> Result<T, GatewayError> {
    serde_json::from_value(value).map_err(|error| refused(&error))
}

/// Changes as RFC 7396 merges them: `null` takes away, objects are merged, all else replaces.
pub fn merge(into: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = into.as_object_mut() else { return };
    for (name, value) in change {
        match value {
            Value::Null => drop(fields.shift_remove(&name)),
            value => merge(fields.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// A body that can't be taken.
pub fn invalid(message: impl Into<String>) -> GatewayError {
    InvalidRequest { message: message.into(), code: "invalid_value", param: None }.into()
}

fn text(bytes: &[u8]) -> Result<&str, GatewayError> {
    std::str::from_utf8(bytes).map_err(|_| invalid("the body is not UTF-8"))
}

/// What serde says, with the nearest name where a field is not known.
fn refused(error: &serde_json::Error) -> GatewayError {
    let message = error.to_string();
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(unknown) = names.next()
    {
        let known: Vec<&str> = names.collect();
        return unknown_name("field", unknown, &known);
    }
    invalid(message)
}

/// A name that nobody knows, with the nearest one.
pub fn unknown_name(what: &str, unknown: &str, known: &[&str]) -> GatewayError {
    let shown: String = unknown.chars().take(100).collect();
    let hint = match weir_config::nearest(unknown, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    InvalidRequest::value(&shown, format!("the {what} `{shown}` is not known; {hint}")).into()
}

/// The same JSON with the numbers of amounts as texts, so that each digit is kept.
fn quoted(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut out = String::with_capacity(json.len() + 16);
    let (mut at, mut last, mut key, mut depth) = (0, "", "", 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at);
                last = json.get(at + 1..end.saturating_sub(1)).unwrap_or("");
                out.push_str(&json[at..end]);
                at = end;
                continue;
            }
            b':' => (key, depth) = (last, 0),
            b'[' => depth += 1,
            b']' | b'{' | b'}' => key = "",
            b',' if depth == 0 => key = "",
            b'-' | b'0'..=b'9' if DECIMALS.contains(&key) => {
                let number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let end = at + bytes[at..].iter().take_while(|byte| number(byte)).count();
                out.extend(["\"", &json[at..end], "\""]);
                at = end;
                continue;
            }
            _ => {}
        }
        let next = json[at..].chars().next().map_or(1, char::len_utf8);
        out.push_str(&json[at..at + next]);
        at += next;
    }
    Cow::Owned(out)
}

/// Behind the closing quote of the string that begins here.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_keep_each_digit() {
        for (json, expected) in [
            (r#"{"limit":5.10,"x":1.5}"#, r#"{"limit":"5.10","x":1.5}"#),
            (r#"{"alert_at":[0.5, 1],"n":2}"#, r#"{"alert_at":["0.5", "1"],"n":2}"#),
            (r#"{"a":"limit","b":3,"limit":"4"}"#, r#"{"a":"limit","b":3,"limit":"4"}"#),
            (r#"{"limit":{"n":1}}"#, r#"{"limit":{"n":1}}"#),
            (r#"{"limit" : 0.000000001}"#, r#"{"limit" : "0.000000001"}"#),
            ("{\"name\":\"ü\\\"limit\",\"limit\":7", "{\"name\":\"ü\\\"limit\",\"limit\":\"7\""),
            ("\"open", "\"open"),
        ] {
            assert_eq!(quoted(json), expected);
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            #[allow(dead_code)]
            models: u8,
        }
        let error = body::<Form>(br#"{"modles":1}"#).unwrap_err();
        assert!(error.to_string().contains("did you mean `models`?"), "{error}");
        assert_eq!(error.status(), 400);
    }

    #[test]
    fn changes_are_merged() {
        let mut value = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": 4});
        merge(&mut value, json!({"b": {"c": null, "x": 5}, "e": null, "f": [6]}));
        assert_eq!(value, json!({"a": 1, "b": {"d": 3, "x": 5}, "f": [6]}));
    }
}
