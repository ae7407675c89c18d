//! The JSON schema of `weir.yaml`, for editors: `config/schema.json`.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::unsupported::{UNSUPPORTED, Unsupported};

/// The JSON schema, made from the types and their doc comments.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    schema["title"] = json!("weir.yaml");
    for entry in UNSUPPORTED {
        mark(&mut schema, entry);
    }
    schema
}

/// The JSON schema as `config/schema.json` has it.
pub fn schema_text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// Says at a setting that nothing acts on it yet.
fn mark(schema: &mut Value, entry: &Unsupported) {
    let mut at = String::new();
    for part in entry.path.split('.') {
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        at = target(schema, &at);
        at.push_str(&if name == "*" {
            "/additionalProperties".to_owned()
        } else {
            format!("/properties/{name}")
        });
        if list {
            at = target(schema, &at) + "/items";
        }
    }
    if let Some(Value::Object(setting)) = schema.pointer_mut(&at) {
        note(setting, entry.harmless);
    }
}

fn note(setting: &mut Map<String, Value>, harmless: &[&str]) {
    // Where one of several values works, editors should go on offering the setting.
    let only = harmless.first().filter(|value| **value != "off");
    let what = match only {
        Some(value) => format!("Only `{value}` is supported by this version yet."),
        None => "Not supported by this version yet.".to_owned(),
    };
    let text = setting.get("description").and_then(Value::as_str).unwrap_or_default();
    let text = format!("{what} {text}");
    setting.insert("description".to_owned(), json!(text.trim_end()));
    if only.is_none() {
        setting.insert("deprecated".to_owned(), json!(true));
    }
}

/// Follows references, and of alternatives takes the mapping.
fn target(schema: &Value, at: &str) -> String {
    let Some(here) = schema.pointer(at) else { return at.to_owned() };
    if let Some(reference) = here.get("$ref").and_then(Value::as_str) {
        return target(schema, reference.trim_start_matches('#'));
    }
    let Some(choices) = here.get("anyOf").and_then(Value::as_array) else { return at.to_owned() };
    let places = (0..choices.len()).map(|index| target(schema, &format!("{at}/anyOf/{index}")));
    let is_mapping = |place: &String| {
        schema.pointer(place).is_some_and(|choice| {
            choice.get("properties").is_some()
                || choice.get("additionalProperties").is_some_and(Value::is_object)
        })
    };
    places.into_iter().find(is_mapping).unwrap_or_else(|| at.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unsupported_setting_is_one_of_the_types() {
        let marked = |schema: &Value| schema.to_string().matches("supported by this version yet").count();
        let mut schema =
            SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>().to_value();
        for (done, entry) in UNSUPPORTED.iter().enumerate() {
            mark(&mut schema, entry);
            assert_eq!(marked(&schema), done + 1, "{} names no setting", entry.path);
        }
    }
}
