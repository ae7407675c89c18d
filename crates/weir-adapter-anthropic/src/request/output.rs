//! JSON answers: the model's own format where it has one, else a tool that it must call.

use serde_json::{Map, Value, json};
use weir_wire::openai::chat;

use super::draft::Draft;
use super::schema;
use crate::OUTPUT_TOOL;

/// How a JSON answer is asked for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    format: Option<Value>,
    tool: Option<Value>,
}

impl Plan {
    /// By the request and what the model can do.
    pub(super) fn of(chat: &chat::Request, draft: &mut Draft<'_>) -> Plan {
        let Some(format) = &chat.response_format else { return Plan::default() };
        let (schema, description) = match (format.kind.as_str(), &format.json_schema) {
            ("text", _) => return Plan::default(),
            ("json_schema", Some(json)) => (json.schema.clone(), json.description.as_deref()),
            ("json_object", _) => (None, None),
            _ => {
                draft.drop("response_format");
                return Plan::default();
            }
        };
        if let Some(schema) = schema.as_ref().filter(|_| draft.rules.fact("json_schema") == Some("native")) {
            let schema = schema::strict(schema, "response_format.json_schema.schema", draft);
            return Plan { format: Some(json!({"type": "json_schema", "schema": schema})), tool: None };
        }
        if draft.rules.fact("forced_tools") == Some("no") {
            draft.drop("response_format");
            return Plan::default();
        }
        let schema = schema.filter(Value::is_object).unwrap_or_else(|| json!({"type": "object"}));
        let description =
            description.unwrap_or("Gives the answer. Call this to answer, with all of the answer as input.");
        Plan {
            format: None,
            tool: Some(
                json!({"name": OUTPUT_TOOL, "description": description, "input_schema": object(schema)}),
            ),
        }
    }

    /// The tool that the model must call, where it has no format.
    pub(super) fn tool(&self) -> Option<Value> {
        self.tool.clone()
    }

    /// The format.
    pub(super) fn format(&self) -> Option<Value> {
        self.format.clone()
    }
}

/// A tool's input is an object: a schema that says nothing about its type is taken for one.
fn object(schema: Value) -> Value {
    let Value::Object(mut members) = schema else { return schema };
    members.entry("type").or_insert_with(|| "object".into());
    Value::Object(members)
}

/// The `output_config` member: the client's own, with what follows from OpenAI's parameters.
pub(super) fn config(chat: &chat::Request, effort: Option<&str>, format: Option<Value>) -> Option<Value> {
    let mut config = match chat.extra.get("output_config") {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::new(),
    };
    if let Some(effort) = effort {
        config.entry("effort").or_insert_with(|| effort.into());
    }
    if let Some(format) = format {
        config.entry("format").or_insert(format);
    }
    (!config.is_empty()).then_some(Value::Object(config))
}
