//! The description of the admin API, made from its table.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use weir_gateway::call::Role;

use super::api::{ENDPOINTS, Endpoint};
use super::audit::ChangeShown;
use super::budgets::BudgetAccount;
use super::groups::{GroupShown, NewGroup};
use super::keys::{KeyShown, NewKey, Rotation, change_schema};

/// The schema of a type, complete in itself.
fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn page_of(schema: Value) -> Value {
    json!({
        "type": "object",
        "required": ["data", "next_cursor"],
        "properties": {
            "data": { "type": "array", "items": schema },
            "next_cursor": { "type": ["string", "null"] },
        },
    })
}

/// A key.
pub fn key() -> Value {
    of::<KeyShown>()
}

/// A page of keys.
pub fn key_page() -> Value {
    page_of(key())
}

/// A key to be made.
pub fn new_key() -> Value {
    of::<NewKey>()
}

/// A change of a key.
pub fn key_change() -> Value {
    change_schema(new_key())
}

/// A rotation.
pub fn rotation() -> Value {
    of::<Rotation>()
}

/// A team or an end user.
pub fn group() -> Value {
    of::<GroupShown>()
}

/// A page of them.
pub fn group_page() -> Value {
    page_of(group())
}

/// A team or an end user to be made.
pub fn new_group() -> Value {
    of::<NewGroup>()
}

/// A change of it.
pub fn group_change() -> Value {
    change_schema(new_group())
}

/// A budget.
pub fn budget() -> Value {
    of::<BudgetAccount>()
}

/// A page of budgets.
pub fn budget_page() -> Value {
    page_of(budget())
}

/// A budget to be made.
pub fn new_budget() -> Value {
    of::<weir_config::Budget>()
}

/// A change of a budget.
pub fn budget_change() -> Value {
    change_schema(new_budget())
}

/// A page of the log of changes.
pub fn audit_page() -> Value {
    page_of(of::<ChangeShown>())
}

/// Any object.
pub fn any() -> Value {
    json!({ "type": "object" })
}

/// A page of any objects.
pub fn any_page() -> Value {
    page_of(any())
}

/// A request for chat completions, of which only the model is needed.
pub fn request() -> Value {
    json!({ "type": "object", "required": ["model"], "properties": { "model": { "type": "string" } } })
}

/// The paths of the admin API.
pub fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let entry = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        entry[endpoint.method.to_lowercase()] = operation(endpoint);
    }
    paths
}

fn operation(endpoint: &Endpoint) -> Value {
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let error = |description: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        json!({ "description": description, "content": { "application/json": { "schema": schema } } })
    };
    let mut answers = Map::new();
    let mut good = json!({ "description": "done", "content": content((endpoint.answer)()) });
    if endpoint.parameters.iter().any(|(name, _)| *name == "format") {
        good["content"]["text/csv"] = json!({ "schema": { "type": "string" } });
    }
    answers.insert(endpoint.status().to_string(), good);
    for (status, description) in [
        ("400", "something in it is wrong; the message says what to change"),
        ("401", "no key, or a wrong one"),
        ("403", "the key's role does not allow it"),
        ("429", "too many wrong keys came from this address"),
        ("503", "the store does not answer; nothing was changed, try again"),
    ] {
        answers.insert(status.to_owned(), error(description));
    }
    if endpoint.path.contains('{') || endpoint.body.is_some() {
        answers.insert("404".to_owned(), error("there is none"));
    }
    if endpoint.writes() {
        answers.insert(
            "409".to_owned(),
            error("the name is taken, the file owns it, or somebody changed it meanwhile"),
        );
    }
    if endpoint.body.is_some() {
        answers.insert("413".to_owned(), error("the body is too large"));
    }
    let mut operation = json!({
        "summary": endpoint.summary,
        "x-weir-role": if endpoint.role == Role::Admin { "admin" } else { "viewer" },
        "parameters": parameters(endpoint),
        "responses": answers,
        "security": [{ "bearer": [] }, { "key": [] }],
    });
    if let Some(body) = endpoint.body {
        let required = !endpoint.path.ends_with("/rotate");
        operation["requestBody"] = json!({ "required": required, "content": content(body()) });
    }
    operation
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let mut all = Vec::new();
    if endpoint.path.contains("{id}") {
        all.push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }));
    }
    for (name, description) in endpoint.parameters {
        let schema = match *name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 200 }),
            _ => json!({ "type": "string" }),
        };
        all.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
    }
    if endpoint.writes() {
        let description = "the same for 24 hours: a repeat answers the same and changes nothing";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$" });
        all.push(json!({ "name": "Idempotency-Key", "in": "header", "description": description, "schema": schema }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_described() {
        let paths = paths();
        for endpoint in ENDPOINTS {
            let operation = &paths[endpoint.path][endpoint.method.to_lowercase()];
            assert!(operation["responses"][endpoint.status().to_string()].is_object(), "{}", endpoint.path);
        }
        let key = new_key();
        assert_eq!(key["additionalProperties"], json!(false));
        assert_eq!(key["required"], json!(["name"]));
        assert!(key_change().get("required").is_none());
    }
}
