//! What the model may call, and whether it must.

use serde_json::{Map, Value, json};
use weir_wire::openai::chat::{self, Function, Tool, ToolChoice};

use super::draft::Draft;

/// The tools that Anthropic takes.
pub(super) fn tools(chat: &chat::Request, draft: &mut Draft<'_>) -> Vec<Value> {
    let allowed = chat.tool_choice.as_ref().and_then(allowed);
    let mut out = Vec::new();
    for (at, tool) in chat.tools.iter().flatten().enumerate() {
        let path = format!("tools[{at}]");
        let name = tool.function.as_ref().map(|function| function.name.as_str());
        if let (Some((_, names)), Some(name)) = (&allowed, name)
            && !names.contains(&name)
        {
            continue;
        }
        match convert(tool, &path, draft) {
            Some(mut block) => {
                draft.mark(&mut block, tool.cache_control.as_ref(), &format!("{path}.cache_control"));
                out.push(Value::Object(block));
            }
            None => draft.drop(path),
        }
    }
    out
}

fn convert(tool: &Tool, path: &str, draft: &mut Draft<'_>) -> Option<Map<String, Value>> {
    if let Some(function) = &tool.function {
        return Some(convert_function(function, tool, path, draft));
    }
    // A tool of Anthropic's own has a date in its type; one with a schema is written as Anthropic writes it.
    let dated = tool
        .kind
        .rsplit('_')
        .next()
        .is_some_and(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()));
    let own = dated || tool.kind == "mcp_toolset" || tool.extra.contains_key("input_schema");
    own.then(|| {
        let kind = (!tool.kind.is_empty()).then(|| ("type".to_owned(), Value::from(tool.kind.as_str())));
        kind.into_iter().chain(tool.extra.clone()).collect()
    })
}

fn convert_function(
    function: &Function,
    tool: &Tool,
    path: &str,
    draft: &mut Draft<'_>,
) -> Map<String, Value> {
    let mut block = Map::from_iter([("name".to_owned(), function.name.as_str().into())]);
    if let Some(description) = &function.description {
        block.insert("description".to_owned(), description.as_str().into());
    }
    block.insert("input_schema".to_owned(), input_schema(function.parameters.as_ref()));
    match function.strict {
        Some(strict) if draft.rules.yes("strict_tools") => {
            block.insert("strict".to_owned(), strict.into());
        }
        Some(true) => draft.drop(format!("{path}.function.strict")),
        _ => {}
    }
    for (name, value) in &tool.extra {
        match name.as_str() {
            "eager_input_streaming" | "defer_loading" | "allowed_callers" | "input_examples" => {
                block.insert(name.clone(), value.clone());
            }
            _ => draft.drop(format!("{path}.{name}")),
        }
    }
    block
}

/// A schema that says `object`: Anthropic takes no other.
fn input_schema(parameters: Option<&Value>) -> Value {
    match parameters {
        Some(Value::Object(schema)) if schema.contains_key("type") => Value::Object(schema.clone()),
        Some(Value::Object(schema)) => {
            let mut typed = Map::from_iter([("type".to_owned(), "object".into())]);
            typed.extend(schema.clone());
            Value::Object(typed)
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

/// The choice, with weir's own tool where a JSON answer needs it. Without tools there is none.
pub(super) fn choice(
    chat: &chat::Request,
    tools: &mut Vec<Value>,
    output: Option<Value>,
    draft: &mut Draft<'_>,
) -> Option<Value> {
    let own = tools.len();
    let output_name = output.as_ref().map(|tool| tool["name"].clone());
    tools.extend(output);
    if tools.is_empty() {
        return None;
    }
    let asked = chat.tool_choice.as_ref().and_then(|choice| mode(choice, draft));
    let mut choice = match (output_name, asked) {
        (Some(name), None) if own == 0 => json!({"type": "tool", "name": name}),
        (Some(name), Some(asked)) if asked["type"] == "none" => json!({"type": "tool", "name": name}),
        (Some(_), Some(asked)) if asked["type"] == "tool" => asked,
        (Some(_), _) => json!({"type": "any"}),
        (None, asked) => match asked {
            Some(asked) => asked,
            None if chat.parallel_tool_calls == Some(false) => json!({"type": "auto"}),
            None => return None,
        },
    };
    if is_forced(&choice) && draft.rules.fact("forced_tools") == Some("no") {
        draft.drop("tool_choice");
        choice = json!({"type": "auto"});
    }
    if let Some(parallel) = chat.parallel_tool_calls.filter(|_| choice["type"] != "none") {
        choice["disable_parallel_tool_use"] = (!parallel).into();
    }
    Some(choice)
}

/// Whether a choice leaves the model no other way than to call.
pub(super) fn is_forced(choice: &Value) -> bool {
    matches!(choice["type"].as_str(), Some("any" | "tool"))
}

fn mode(choice: &ToolChoice, draft: &mut Draft<'_>) -> Option<Value> {
    if let Some(name) = choice.named() {
        return Some(json!({"type": "tool", "name": name}));
    }
    let word = match choice {
        ToolChoice::Mode(word) => word.as_str(),
        ToolChoice::Object(_) => allowed(choice).map_or("", |(word, _)| word),
    };
    match word {
        "auto" => Some(json!({"type": "auto"})),
        "none" => Some(json!({"type": "none"})),
        "required" | "any" => Some(json!({"type": "any"})),
        _ => {
            draft.drop("tool_choice");
            None
        }
    }
}

/// Mode and names of `{"type": "allowed_tools", …}`.
fn allowed(choice: &ToolChoice) -> Option<(&str, Vec<&str>)> {
    let ToolChoice::Object(object) = choice else { return None };
    let inner = match object.get("allowed_tools") {
        Some(Value::Object(inner)) => inner,
        _ if object.get("type")? == "allowed_tools" => object,
        _ => return None,
    };
    let names = inner.get("tools")?.as_array()?.iter();
    let name = |tool: &'_ Value| tool.get("function").unwrap_or(tool).get("name").is_some();
    let names = names.filter(|tool| name(tool));
    let names = names.filter_map(|tool| tool.get("function").unwrap_or(tool).get("name")?.as_str()).collect();
    Some((inner.get("mode").and_then(Value::as_str).unwrap_or("auto"), names))
}
