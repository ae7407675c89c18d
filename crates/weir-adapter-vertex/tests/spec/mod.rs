//! Bodies against Google's own description of the service (a discovery document): members, types, words.

use std::path::Path;

use serde_json::Value;

/// The forms of `vertexai.discovery.v1.json`.
pub(crate) struct Spec {
    schemas: Value,
}

impl Spec {
    /// The description beside the project, where it is.
    pub(crate) fn load() -> Option<Spec> {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs/vertexai.discovery.v1.json");
        let mut spec: Value =
            serde_json::from_slice(&std::fs::read(file).ok()?).expect("the description is JSON");
        Some(Spec { schemas: spec["schemas"].take() })
    }

    /// What is wrong with a body, as the description has this form.
    pub(crate) fn problems(&self, name: &str, body: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        assert!(self.schemas[name].is_object(), "no form {name}");
        self.check(&self.schemas[name], body, "$", &mut problems);
        problems
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            return self.check(&self.schemas[name], value, at, problems);
        }
        let kind = schema["type"].as_str().unwrap_or("any");
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            // 64-bit numbers are texts there.
            "string" => value.is_string() || schema["format"] == "int64" && value.is_i64(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => return,
        };
        if !fits {
            problems.push(format!("{at}: {value} is no {kind}"));
            return;
        }
        let words = schema["enum"].as_array();
        let said = value.as_str().unwrap_or_default();
        let among = |words: &Vec<Value>| {
            words.iter().any(|word| word.as_str().is_some_and(|word| word.eq_ignore_ascii_case(said)))
        };
        if words.is_some_and(|words| !among(words)) {
            problems.push(format!("{at}: {value} is none of its words"));
        }
        for (n, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{n}]"), problems);
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            match (&schema["properties"][camel(name)], &schema["additionalProperties"]) {
                (Value::Null, Value::Null) => problems.push(format!("{at} is not known")),
                (Value::Null, any) => self.check(any, member, &at, problems),
                (known, _) => self.check(known, member, &at, problems),
            }
        }
    }
}

/// Members may also be written with underscores.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, rest) = word.split_at(word.len().min(1));
        text + &head.to_ascii_uppercase() + rest
    })
}
