//! Tools in Bedrock's form.

use serde_json::{Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Request, Tool, ToolChoice};

use crate::blocks::cache_point;

/// What is said of tools.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// `toolConfig`.
    pub(super) config: Option<Value>,
    /// Whether a call must be made.
    pub(super) forced: bool,
}

/// `toolConfig`. `called` are the functions of the history: Bedrock refuses it where they are not described.
pub(super) fn write(
    request: &Request,
    called: &[String],
    dropped: &mut Vec<String>,
) -> Result<Tools, EncodeError> {
    let Choice { mode, only, named } = choice(request.tool_choice.as_ref())?;
    let mut written = Vec::new();
    for (at, tool) in request.tools.iter().flatten().enumerate() {
        let Some((name, one)) = one(at, tool)? else { continue };
        let used = called.contains(&name);
        if mode == Mode::None && !used || only.as_ref().is_some_and(|names| !names.contains(&name) && !used) {
            continue;
        }
        written.push(one);
        written.extend(tool.cache_control.as_ref().map(cache_point));
    }
    let described = |name: &String| written.iter().any(|tool| tool["toolSpec"]["name"] == **name);
    let missing: Vec<Value> = called.iter().filter(|name| !described(name)).map(|name| empty(name)).collect();
    written.extend(missing);
    if written.is_empty() {
        return match mode {
            Mode::Any => {
                Err(EncodeError::unsupported("tool_choice", "asks for a tool that is not in `tools`"))
            }
            _ => Ok(Tools::default()),
        };
    }
    let mut config = json!({"tools": written});
    match (mode, named) {
        (Mode::Unsaid, _) => {}
        // Nothing forbids a call here: the tools stand only where the history needs them.
        (Mode::None, _) => dropped.push("tool_choice".to_owned()),
        (Mode::Any, Some(name)) => config["toolChoice"] = json!({"tool": {"name": name}}),
        (Mode::Any, None) => config["toolChoice"] = json!({"any": {}}),
        (Mode::Auto, _) => config["toolChoice"] = json!({"auto": {}}),
    }
    Ok(Tools { config: Some(config), forced: mode == Mode::Any })
}

/// A tool of which only the name is known.
fn empty(name: &str) -> Value {
    json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object", "properties": {}}}}})
}

/// A tool with its name: a function, or Bedrock's own (`{"systemTool": {"name"}}`).
fn one(at: usize, tool: &Tool) -> Result<Option<(String, Value)>, EncodeError> {
    if let Some(own) = tool.extra.get("systemTool") {
        let name = own["name"].as_str().unwrap_or_default().to_owned();
        return Ok(Some((name, json!({"systemTool": own}))));
    }
    let function = match (tool.kind.as_str(), &tool.function) {
        ("function" | "", Some(function)) => function,
        (kind, _) => {
            return Err(EncodeError::unsupported(
                format!("tools[{at}].type"),
                format!("this provider has functions and `systemTool`, not `{kind}`"),
            ));
        }
    };
    let schema = function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut spec = json!({"name": function.name});
    if let Some(description) = function.description.as_deref().filter(|text| !text.is_empty()) {
        spec["description"] = description.into();
    }
    spec["inputSchema"] = json!({"json": schema});
    if function.strict == Some(true) {
        spec["strict"] = true.into();
    }
    Ok(Some((function.name.clone(), json!({"toolSpec": spec}))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Unsaid,
    Auto,
    None,
    Any,
}

/// What the client says of calls.
struct Choice {
    mode: Mode,
    /// The only tools that may be called.
    only: Option<Vec<String>>,
    /// The one that must be.
    named: Option<String>,
}

fn choice(choice: Option<&ToolChoice>) -> Result<Choice, EncodeError> {
    let unknown = |what: &str| {
        EncodeError::unsupported(
            "tool_choice",
            format!("`{what}` is none of auto, none, required, a function"),
        )
    };
    let mode = |word: &str| match word {
        "auto" => Ok(Mode::Auto),
        "none" => Ok(Mode::None),
        "required" | "any" => Ok(Mode::Any),
        other => Err(unknown(other)),
    };
    let plain = |mode: Mode| Choice { mode, only: None, named: None };
    match choice {
        None => Ok(plain(Mode::Unsaid)),
        Some(ToolChoice::Mode(word)) => Ok(plain(mode(word)?)),
        Some(named) if named.named().is_some() => {
            Ok(Choice { named: named.named().map(str::to_owned), ..plain(Mode::Any) })
        }
        Some(ToolChoice::Object(object)) => {
            let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
            let allowed = object.get("allowed_tools").ok_or_else(|| unknown(kind))?;
            let names = allowed["tools"].as_array().into_iter().flatten();
            let names = names.filter_map(|tool| Some(tool["function"]["name"].as_str()?.to_owned()));
            let mode = mode(allowed["mode"].as_str().unwrap_or("auto"))?;
            Ok(Choice { only: Some(names.collect()), ..plain(mode) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: Value, called: &[&str], expected: Value, left_out: &[&str]) {
        let request: Request = serde_json::from_value(request).unwrap();
        let called: Vec<String> = called.iter().map(|name| (*name).to_owned()).collect();
        let mut dropped = Vec::new();
        let tools = write(&request, &called, &mut dropped).unwrap();
        assert_eq!(tools.config.unwrap_or_default(), expected);
        assert_eq!(dropped, left_out);
    }

    fn function(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
    }

    fn spec(name: &str) -> Value {
        json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})
    }

    #[test]
    fn choices() {
        let tools = json!([function("a"), function("b")]);
        let both = json!([spec("a"), spec("b")]);
        check(json!({"tools": tools}), &[], json!({"tools": both}), &[]);
        for (choice, written) in [
            (json!("auto"), json!({"auto": {}})),
            (json!("required"), json!({"any": {}})),
            (
                json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function("a"), function("b")]}}),
                json!({"any": {}}),
            ),
        ] {
            let asked = json!({"tools": tools, "tool_choice": choice});
            check(asked, &[], json!({"tools": both, "toolChoice": written}), &[]);
        }
        let named = json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "b"}}});
        check(named, &[], json!({"tools": both, "toolChoice": {"tool": {"name": "b"}}}), &[]);
        let one = json!({"tools": tools, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("a")]}}});
        check(one, &[], json!({"tools": [spec("a")], "toolChoice": {"auto": {}}}), &[]);
        check(json!({"tools": tools, "tool_choice": "none"}), &[], Value::Null, &[]);
        check(
            json!({"tools": tools, "tool_choice": "none"}),
            &["a"],
            json!({"tools": [spec("a")]}),
            &["tool_choice"],
        );
    }

    #[test]
    fn a_history_with_calls_needs_their_tools() {
        let made =
            json!({"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}});
        check(json!({}), &["f"], json!({"tools": [made]}), &[]);
    }

    #[test]
    fn own_tools_strictness_and_markers() {
        let strict = json!({"type": "function", "cache_control": {"type": "ephemeral"}, "function": {"name": "s", "description": "d", "strict": true}});
        check(
            json!({"tools": [strict, {"systemTool": {"name": "nova_code_interpreter"}}]}),
            &[],
            json!({"tools": [
                {"toolSpec": {"name": "s", "description": "d", "inputSchema": {"json": {"type": "object", "properties": {}}}, "strict": true}},
                {"cachePoint": {"type": "default"}},
                {"systemTool": {"name": "nova_code_interpreter"}}]}),
            &[],
        );
    }

    #[test]
    fn what_can_not_be_is_refused() {
        for request in [
            json!({"tools": [{"type": "web_search"}]}),
            json!({"tools": [function("a")], "tool_choice": "sometimes"}),
            json!({"tools": [], "tool_choice": "required"}),
        ] {
            let request: Request = serde_json::from_value(request).unwrap();
            assert!(write(&request, &[], &mut Vec::new()).is_err());
        }
    }
}
