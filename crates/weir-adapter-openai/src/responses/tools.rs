//! Tools of the Responses API as chat functions, and calls back in their own form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{Function, Tool, ToolChoice};

use super::wrong;

/// What a function of the chat request is in the Responses API, where it isn't simply a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A custom tool: takes one text.
    Custom,
    /// A function of this namespace, and its name there.
    Namespaced(String, String),
}

/// The forms of a request's functions, by their names in the chat request.
pub(super) type Forms = BTreeMap<String, Form>;

/// Reads the list of tools. Those that run at OpenAI go to `extra` under their path.
pub(super) fn tools(
    list: Vec<Value>,
    forms: &mut Forms,
    extra: &mut Extra,
) -> Result<Vec<Tool>, InvalidRequest> {
    let mut out = Vec::with_capacity(list.len());
    for (at, tool) in list.into_iter().enumerate() {
        let path = format!("tools[{at}]");
        let Value::Object(tool) = tool else { return Err(wrong(&path, "an object")) };
        if tool.get("type").and_then(Value::as_str) == Some("namespace") {
            namespace(tool, &path, forms, &mut out, extra)?;
        } else {
            match one(tool, &path, forms)? {
                Ok(tool) => out.push(tool),
                Err(other) => drop(extra.insert(path, Value::Object(other))),
            }
        }
    }
    Ok(out)
}

/// The forms of the functions in this list; one that does not read has none.
pub(super) fn forms(list: &Value) -> Forms {
    let mut forms = Forms::new();
    // A list that does not read was refused before.
    let _ = tools(list.as_array().cloned().unwrap_or_default(), &mut forms, &mut Extra::new());
    forms
}

/// A namespace's function in the chat request.
pub(super) fn qualified(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

fn namespace(
    mut space: Map<String, Value>,
    path: &str,
    forms: &mut Forms,
    out: &mut Vec<Tool>,
    extra: &mut Extra,
) -> Result<(), InvalidRequest> {
    let name = name(&space, path)?;
    let Some(Value::Array(list)) = space.remove("tools") else {
        return Err(wrong(&format!("{path}.tools"), "a list"));
    };
    for (at, tool) in list.into_iter().enumerate() {
        let path = format!("{path}.tools[{at}]");
        let Value::Object(tool) = tool else { return Err(wrong(&path, "an object")) };
        let mut tool = match one(tool, &path, &mut Forms::new())? {
            Ok(tool) => tool,
            Err(other) => {
                extra.insert(path, Value::Object(other));
                continue;
            }
        };
        if let Some(function) = &mut tool.function {
            let own = std::mem::take(&mut function.name);
            function.name = qualified(&name, &own);
            forms.insert(function.name.clone(), Form::Namespaced(name.clone(), own));
        }
        out.push(tool);
    }
    Ok(())
}

/// One tool; comes back as it is where chat has no such.
fn one(
    mut tool: Map<String, Value>,
    path: &str,
    forms: &mut Forms,
) -> Result<Result<Tool, Map<String, Value>>, InvalidRequest> {
    let kind = tool.get("type").and_then(Value::as_str).map(str::to_owned);
    let kind = kind.ok_or_else(|| InvalidRequest::missing(&format!("{path}.type")))?;
    let text =
        |tool: &Map<String, Value>, name: &str| tool.get(name).and_then(Value::as_str).map(str::to_owned);
    let function = match kind.as_str() {
        "function" => Function {
            name: name(&tool, path)?,
            description: text(&tool, "description"),
            parameters: tool.remove("parameters").filter(|schema| !schema.is_null()),
            strict: tool.get("strict").and_then(Value::as_bool),
            ..Function::default()
        },
        "custom" => {
            let name = name(&tool, path)?;
            forms.insert(name.clone(), Form::Custom);
            custom(name, text(&tool, "description"), tool.get("format"))
        }
        _ => return Ok(Err(tool)),
    };
    Ok(Ok(Tool { kind: "function".to_owned(), function: Some(function), ..Tool::default() }))
}

fn name(tool: &Map<String, Value>, path: &str) -> Result<String, InvalidRequest> {
    let path = format!("{path}.name");
    match tool.get("name") {
        None | Some(Value::Null) => Err(InvalidRequest::missing(&path)),
        Some(Value::String(name)) => Ok(name.clone()),
        Some(_) => Err(wrong(&path, "a text")),
    }
}

/// A custom tool as a function: its text is the one argument, its grammar stands in the description.
fn custom(name: String, description: Option<String>, format: Option<&Value>) -> Function {
    let mut description = description.unwrap_or_default();
    if let Some(grammar) = format.filter(|format| format["type"] == "grammar") {
        let word = |name: &str| grammar[name].as_str().unwrap_or_default();
        description.push_str(&format!(
            "\n\n`input` must match this {} grammar:\n{}",
            word("syntax"),
            word("definition")
        ));
    }
    Function {
        name,
        description: Some(description).filter(|text| !text.is_empty()),
        parameters: Some(json!({
            "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"],
            "additionalProperties": false,
        })),
        ..Function::default()
    }
}

/// The arguments of a custom tool's function for this text.
pub(super) fn custom_arguments(input: &str) -> String {
    json!({ "input": input }).to_string()
}

/// The text of a custom tool's call; arguments that are no such object are the text themselves.
pub(super) fn custom_input(arguments: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(arguments).ok();
    let input = parsed.as_ref().and_then(|value| value["input"].as_str());
    input.unwrap_or(arguments).to_owned()
}

/// Whether and what must be called. What chat has no word for comes back as it is.
pub(super) fn choice(choice: Value) -> Result<ToolChoice, Value> {
    let object = |value: Value| ToolChoice::Object(value.as_object().cloned().unwrap_or_default());
    let function = |name: &str| json!({"type": "function", "function": {"name": name}});
    match &choice {
        Value::String(mode) => Ok(ToolChoice::Mode(mode.clone())),
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            match (text("type"), text("name")) {
                (Some("function" | "custom"), Some(name)) => Ok(object(function(name))),
                (Some("allowed_tools"), _) => Ok(object(allowed(members))),
                _ => Err(choice),
            }
        }
        _ => Err(choice),
    }
}

fn allowed(members: &Extra) -> Value {
    let list = members.get("tools").and_then(Value::as_array).into_iter().flatten();
    let tool = |tool: &Value| match (tool["type"].as_str(), tool["name"].as_str()) {
        (Some("function" | "custom"), Some(name)) => json!({"type": "function", "function": {"name": name}}),
        _ => tool.clone(),
    };
    json!({"type": "allowed_tools", "allowed_tools": {
        "mode": members.get("mode").cloned().unwrap_or_else(|| "auto".into()), "tools": list.map(tool).collect::<Vec<_>>(),
    }})
}
