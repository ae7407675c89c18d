//! Tools in Ollama's form: functions only, and the model alone decides whether it calls one.

use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Function, Request, Tool, ToolChoice};

/// Writes `tools`. Ollama has no `tool_choice`: none are sent where none may be called, only the named one where one is
/// named, and a call that must be made is asked for in vain, which is reported.
pub(super) fn write(
    request: &Request,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let only = match &request.tool_choice {
        None => None,
        Some(ToolChoice::Mode(mode)) => match mode.as_str() {
            "auto" => None,
            "none" => return Ok(()),
            _ => {
                dropped.push("tool_choice".to_owned());
                None
            }
        },
        Some(choice) => {
            dropped.push("tool_choice".to_owned());
            Some(names(choice))
        }
    };
    let mut written = Vec::new();
    for (at, tool) in tools.iter().enumerate() {
        let function = function(at, tool)?;
        if only.as_ref().is_some_and(|names| !names.contains(&function.name.as_str())) {
            continue;
        }
        if tool.cache_control.is_some() {
            dropped.push(format!("tools[{at}].cache_control"));
        }
        if function.strict == Some(true) {
            dropped.push(format!("tools[{at}].function.strict"));
        }
        let parameters =
            function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        let mut one = json!({"name": function.name, "parameters": parameters});
        if let Some(description) = &function.description {
            one["description"] = description.as_str().into();
        }
        written.push(json!({"type": "function", "function": one}));
    }
    if !written.is_empty() {
        body.insert("tools".to_owned(), Value::Array(written));
    }
    Ok(())
}

/// The functions that a choice names.
fn names(choice: &ToolChoice) -> Vec<&str> {
    if let Some(name) = choice.named() {
        return vec![name];
    }
    let ToolChoice::Object(object) = choice else { return Vec::new() };
    let allowed = object.get("allowed_tools").and_then(|allowed| allowed["tools"].as_array());
    allowed.into_iter().flatten().filter_map(|tool| tool["function"]["name"].as_str()).collect()
}

fn function(at: usize, tool: &Tool) -> Result<&Function, EncodeError> {
    match (tool.kind.as_str(), &tool.function) {
        ("function" | "", Some(function)) => Ok(function),
        (kind, _) => Err(EncodeError::unsupported(
            format!("tools[{at}].type"),
            format!("this provider has functions only, not `{kind}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(choice: Value, names: &[&str], left_out: &[&str]) {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
        let request: Request =
            serde_json::from_value(json!({"tools": [tool("a"), tool("b")], "tool_choice": choice})).unwrap();
        let (mut body, mut dropped) = (Map::new(), Vec::new());
        write(&request, &mut body, &mut dropped).unwrap();
        let written = body.get("tools").and_then(Value::as_array).into_iter().flatten();
        let written: Vec<&str> = written.map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
        assert_eq!(
            (written.as_slice(), dropped.as_slice()),
            (names, &left_out.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..])
        );
    }

    #[test]
    fn choices() {
        check(json!("auto"), &["a", "b"], &[]);
        check(json!("none"), &[], &[]);
        check(json!("required"), &["a", "b"], &["tool_choice"]);
        check(json!({"type": "function", "function": {"name": "b"}}), &["b"], &["tool_choice"]);
        let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "a"}}]}});
        check(allowed, &["a"], &["tool_choice"]);
    }

    #[test]
    fn other_kinds_are_refused() {
        let request: Request = serde_json::from_value(json!({"tools": [{"type": "web_search"}]})).unwrap();
        assert!(write(&request, &mut Map::new(), &mut Vec::new()).is_err());
    }
}
