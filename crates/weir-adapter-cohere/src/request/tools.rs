//! Tools in Cohere's form: the same as OpenAI's, but no tool can be named, and strictness holds for all of them.

use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Request, Tool, ToolChoice};

/// Writes `tools`, `tool_choice` and `strict_tools`.
pub(super) fn write(
    request: &Request,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let (mode, only) = choice(request.tool_choice.as_ref())?;
    let mut written = Vec::new();
    let mut strict = 0;
    for (at, tool) in tools.iter().enumerate() {
        let Some(function) = function(at, tool)? else { continue };
        if only.as_ref().is_some_and(|names| !names.contains(&function.name)) {
            continue;
        }
        if tool.cache_control.is_some() {
            dropped.push(format!("tools[{at}].cache_control"));
        }
        strict += usize::from(function.strict == Some(true));
        let parameters =
            function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        let mut one = json!({"name": function.name, "parameters": parameters});
        if let Some(description) = &function.description {
            one["description"] = description.as_str().into();
        }
        written.push(json!({"type": "function", "function": one}));
    }
    if written.is_empty() {
        return match mode {
            Some("REQUIRED") => {
                Err(EncodeError::unsupported("tool_choice", "asks for a tool that is not in `tools`"))
            }
            _ => Ok(()),
        };
    }
    if strict == written.len() {
        body.insert("strict_tools".to_owned(), true.into());
    } else if strict > 0 {
        dropped.push("tools[].function.strict".to_owned());
    }
    body.insert("tools".to_owned(), Value::Array(written));
    if let Some(mode) = mode {
        body.insert("tool_choice".to_owned(), mode.into());
    }
    Ok(())
}

fn function(at: usize, tool: &Tool) -> Result<Option<&weir_wire::openai::chat::Function>, EncodeError> {
    match (tool.kind.as_str(), &tool.function) {
        ("function" | "", function) => Ok(function.as_ref()),
        (kind, _) => Err(EncodeError::unsupported(
            format!("tools[{at}].type"),
            format!("this provider has functions only, not `{kind}`"),
        )),
    }
}

/// Cohere's word, and the only tools that may be called.
type Choice = (Option<&'static str>, Option<Vec<String>>);

fn choice(choice: Option<&ToolChoice>) -> Result<Choice, EncodeError> {
    let unknown = |what: &str| {
        EncodeError::unsupported(
            "tool_choice",
            format!("`{what}` is none of auto, none, required, a function"),
        )
    };
    let mode = |word: &str| match word {
        "auto" => Ok(None),
        "none" => Ok(Some("NONE")),
        "required" | "any" => Ok(Some("REQUIRED")),
        other => Err(unknown(other)),
    };
    match choice {
        None => Ok((None, None)),
        Some(ToolChoice::Mode(word)) => Ok((mode(word)?, None)),
        Some(named) if named.named().is_some() => {
            Ok((Some("REQUIRED"), Some(named.named().into_iter().map(str::to_owned).collect())))
        }
        Some(ToolChoice::Object(object)) => {
            let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
            let allowed = object
                .get("allowed_tools")
                .filter(|_| kind == "allowed_tools")
                .ok_or_else(|| unknown(kind))?;
            let names = allowed["tools"].as_array().into_iter().flatten();
            let names =
                names.filter_map(|tool| Some(tool["function"]["name"].as_str()?.to_owned())).collect();
            Ok((mode(allowed["mode"].as_str().unwrap_or("auto"))?, Some(names)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(choice: Value, expected_choice: Option<&str>, names: &[&str]) {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
        let request: Request =
            serde_json::from_value(json!({"tools": [tool("a"), tool("b")], "tool_choice": choice})).unwrap();
        let mut body = Map::new();
        write(&request, &mut body, &mut Vec::new()).unwrap();
        assert_eq!(body.get("tool_choice").and_then(Value::as_str), expected_choice);
        let written: Vec<&str> = body["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["function"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(written, names);
    }

    #[test]
    fn choices() {
        check(json!("auto"), None, &["a", "b"]);
        check(json!("none"), Some("NONE"), &["a", "b"]);
        check(json!("required"), Some("REQUIRED"), &["a", "b"]);
        check(json!({"type": "function", "function": {"name": "b"}}), Some("REQUIRED"), &["b"]);
        let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "a"}}]}});
        check(allowed, None, &["a"]);
    }

    #[test]
    fn what_can_not_be_is_refused() {
        for choice in [json!("sometimes"), json!({"type": "function", "function": {"name": "c"}})] {
            let request: Request = serde_json::from_value(
                json!({"tools": [{"type": "function", "function": {"name": "a"}}], "tool_choice": choice}),
            )
            .unwrap();
            assert!(write(&request, &mut Map::new(), &mut Vec::new()).is_err());
        }
    }
}
