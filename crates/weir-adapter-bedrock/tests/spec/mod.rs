//! Bodies against AWS's own description of the service: members, types, unions, patterns and bounds.

use std::path::Path;

use serde_json::Value;

/// `service-2.json`.
pub(crate) struct Spec {
    shapes: Value,
}

impl Spec {
    /// The description beside the project, where it is.
    pub(crate) fn load() -> Option<Spec> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/specs/bedrock-runtime.service-2.json");
        let mut spec: Value =
            serde_json::from_slice(&std::fs::read(file).ok()?).expect("the description is JSON");
        Some(Spec { shapes: spec["shapes"].take() })
    }

    /// What is wrong with a body, as the description has this shape.
    pub(crate) fn problems(&self, shape: &str, body: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        self.check(shape, body, "$", &mut problems);
        problems
    }

    fn check(&self, name: &str, value: &Value, at: &str, problems: &mut Vec<String>) {
        let shape = &self.shapes[name];
        let kind = shape["type"].as_str().unwrap_or_else(|| panic!("no shape {name}"));
        let fits = match kind {
            // A document is any JSON.
            "structure" if shape["document"] == true => return,
            "structure" | "map" => value.is_object(),
            "list" => value.is_array(),
            "string" | "blob" | "timestamp" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" | "long" => value.is_i64() || value.is_u64(),
            _ => value.is_number(),
        };
        if !fits {
            problems.push(format!("{at}: {value} is no {kind}"));
            return;
        }
        self.bounds(shape, value, at, problems);
        if let Value::Array(list) = value {
            let member = shape["member"]["shape"].as_str().expect("a list has members");
            for (n, item) in list.iter().enumerate() {
                self.check(member, item, &format!("{at}[{n}]"), problems);
            }
        }
        let Value::Object(members) = value else { return };
        if kind == "map" {
            let inner = shape["value"]["shape"].as_str().expect("a map has values");
            members
                .iter()
                .for_each(|(key, value)| self.check(inner, value, &format!("{at}.{key}"), problems));
            return;
        }
        if shape["union"] == true && members.len() != 1 {
            problems.push(format!("{at}: a union has one member, not {}", members.len()));
        }
        for required in shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // What stands in the path is not in the body.
            let elsewhere = shape["members"][required].get("location").is_some();
            if !elsewhere && !members.contains_key(required) {
                problems.push(format!("{at}: {required} is missing"));
            }
        }
        for (key, value) in members {
            match shape["members"][key]["shape"].as_str() {
                Some(inner) => self.check(inner, value, &format!("{at}.{key}"), problems),
                None => problems.push(format!("{at}: no member {key}")),
            }
        }
    }

    fn bounds(&self, shape: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
        let size = match value {
            Value::String(text) => text.chars().count() as f64,
            Value::Array(list) => list.len() as f64,
            Value::Number(number) => number.as_f64().expect("a number"),
            _ => return,
        };
        let within = |name: &str, fits: &dyn Fn(f64) -> bool| shape[name].as_f64().is_none_or(fits);
        if !within("min", &|least| size >= least) || !within("max", &|most| size <= most) {
            problems.push(format!("{at}: {size} is out of bounds"));
        }
        let listed = |list: &Vec<Value>| list.contains(value);
        if shape["enum"].as_array().is_some_and(|list| !listed(list)) {
            problems.push(format!("{at}: {value} is none of {}", shape["enum"]));
        }
    }
}
