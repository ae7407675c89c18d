//! What the model may call, and whether it must.

use serde_json::{Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Function, Request, Tool, ToolChoice};

use super::media::{camel, camel_members};
use crate::facts::{Facts, SchemaForm};
use crate::schema::{self, Use};
use crate::wire::GenerateContent;

/// Tools that Google runs, in the names that clients use.
const OWN: &[&str] = &[
    "google_search",
    "google_search_retrieval",
    "code_execution",
    "url_context",
    "google_maps",
    "file_search",
    "computer_use",
    "mcp_servers",
];

/// Writes `tools` and `toolConfig`.
pub(super) fn write(
    settings: &Request,
    facts: Facts<'_>,
    body: &mut GenerateContent,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    let mut functions = Vec::new();
    let mut own = Vec::new();
    for (at, tool) in settings.tools.iter().flatten().enumerate() {
        let path = format!("tools[{at}]");
        if tool.cache_control.is_some() {
            dropped.push(format!("{path}.cache_control"));
        }
        match (&tool.function, own_tool(tool)) {
            (Some(function), _) => functions.push(declaration(function, &path, facts, dropped)?),
            (None, Some(tool)) => own.push((path, tool)),
            (None, None) => {
                let message = format!("this provider has no tools of type `{}`", tool.kind);
                return Err(EncodeError::unsupported(path, message));
            }
        }
    }
    if let Some(options) = settings.extra.get("web_search_options") {
        own.push(("web_search_options".to_owned(), json!({"googleSearch": {}})));
        let options = options.as_object().into_iter().flatten();
        dropped.extend(options.map(|(name, _)| format!("web_search_options.{name}")));
    }
    if !functions.is_empty() && !own.is_empty() {
        if !facts.holds("tool_mix") {
            dropped.extend(own.drain(..).map(|(path, _)| path));
        } else if facts.holds("server_tool_flag") {
            body.tool_config.insert("includeServerSideToolInvocations".to_owned(), true.into());
        }
    }
    choice(settings, &functions, facts, body, dropped);
    body.tools.extend(own.into_iter().map(|(_, tool)| tool));
    if !functions.is_empty() {
        body.tools.push(json!({ "functionDeclarations": functions }));
    }
    if settings.parallel_tool_calls == Some(false) {
        dropped.push("parallel_tool_calls".to_owned());
    }
    Ok(())
}

/// `{"type": "google_search", …}` or `{"google_search": {…}}`.
fn own_tool(tool: &Tool) -> Option<Value> {
    let is_own = |name: &str| OWN.iter().any(|own| *own == name || camel(own) == name);
    let name = if is_own(&tool.kind) { &tool.kind } else { tool.extra.keys().find(|name| is_own(name))? };
    let settings = match tool.extra.get(name) {
        Some(settings) => camel_members(settings),
        None => camel_members(&Value::Object(tool.extra.clone())),
    };
    Some(json!({ camel(name): settings }))
}

fn declaration(
    function: &Function,
    path: &str,
    facts: Facts<'_>,
    dropped: &mut Vec<String>,
) -> Result<Value, EncodeError> {
    let description = function.description.as_deref().unwrap_or_default();
    let mut declaration = json!({ "name": function.name, "description": description });
    let path = format!("{path}.function.parameters");
    let usage = Use { path: &path, ordered: false };
    let Some(parameters) = function.parameters.as_ref().filter(|parameters| !parameters.is_null()) else {
        return Ok(declaration);
    };
    if facts.tool_schema() == SchemaForm::Json {
        declaration["parametersJsonSchema"] = schema::json(parameters, usage, dropped)?;
    } else if let Some(parameters) = schema::openapi(parameters, usage, dropped)? {
        declaration["parameters"] = parameters;
    }
    Ok(declaration)
}

/// `functionCallingConfig`, which Gemini refuses where no function is declared.
fn choice(
    settings: &Request,
    functions: &[Value],
    facts: Facts<'_>,
    body: &mut GenerateContent,
    dropped: &mut Vec<String>,
) {
    if functions.is_empty() {
        if matches!(&settings.tool_choice, Some(choice) if !is_mode(choice, &["auto", "none"])) {
            dropped.push("tool_choice".to_owned());
        }
        return;
    }
    let mut strict = settings.tools.iter().flatten().filter_map(|tool| tool.function.as_ref()?.strict);
    let validated = facts.holds("validated");
    let config = match &settings.tool_choice {
        Some(choice) if is_mode(choice, &["none"]) => json!({"mode": "NONE"}),
        Some(choice) if is_mode(choice, &["required", "any"]) => json!({"mode": "ANY"}),
        Some(ToolChoice::Object(object)) => {
            let (names, must) = allowed(object);
            match (names.is_empty(), must) {
                (false, true) => json!({"mode": "ANY", "allowedFunctionNames": names}),
                (false, false) if validated => json!({"mode": "VALIDATED", "allowedFunctionNames": names}),
                _ => return dropped.push("tool_choice".to_owned()),
            }
        }
        // Arguments that must follow their schema.
        _ if validated && strict.any(|strict| strict) => json!({"mode": "VALIDATED"}),
        Some(_) => json!({"mode": "AUTO"}),
        None => return,
    };
    body.tool_config.insert("functionCallingConfig".to_owned(), config);
}

fn is_mode(choice: &ToolChoice, modes: &[&str]) -> bool {
    matches!(choice, ToolChoice::Mode(mode) if modes.contains(&mode.as_str()))
}

/// The functions that an object allows, and whether one must be called.
fn allowed(object: &weir_wire::openai::Extra) -> (Vec<&str>, bool) {
    if let Some(name) =
        object.get("function").and_then(|function| function.get("name")).and_then(Value::as_str)
    {
        return (vec![name], true);
    }
    let Some(allowed) = object.get("allowed_tools") else { return (Vec::new(), false) };
    let tools = allowed.get("tools").and_then(Value::as_array).into_iter().flatten();
    let names = tools.filter_map(|tool| tool.get("function")?.get("name")?.as_str()).collect();
    (names, allowed.get("mode").is_some_and(|mode| mode == "required"))
}
