//! Tools in a request, and the pairing of their calls and results.

use serde_json::Value;

use super::check::{Check, Thinking};
use super::error;

/// Checks definitions and choice.
pub(super) fn check(body: &Value, thinking: Thinking) -> Check {
    let tools = match &body["tools"] {
        Value::Null => &[][..],
        Value::Array(tools) => tools.as_slice(),
        _ => return Err(error::invalid("tools: Input should be a valid list")),
    };
    let mut names: Vec<&str> = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        definition(tool, index)?;
        let name = tool["name"].as_str().unwrap_or("");
        if names.contains(&name) {
            return Err(error::invalid("tools: Tool names must be unique."));
        }
        names.push(name);
    }
    let choice = &body["tool_choice"];
    let forced = match choice["type"].as_str() {
        None if choice.is_null() => return Ok(()),
        Some("auto" | "none") => false,
        Some("any") => true,
        Some("tool") => {
            let name = choice["name"]
                .as_str()
                .ok_or_else(|| error::invalid("tool_choice.tool.name: Field required"))?;
            if !names.contains(&name) {
                return Err(error::invalid(&format!(
                    "tool_choice: Tool '{name}' not found in provided tools"
                )));
            }
            true
        }
        _ => return Err(error::invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")),
    };
    if tools.is_empty() {
        return Err(error::invalid("tool_choice: may only be specified while providing tools"));
    }
    if forced && matches!(thinking, Thinking::Budget(_)) {
        return Err(error::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(())
}

fn definition(tool: &Value, index: usize) -> Check {
    let at = format!("tools.{index}.custom");
    if tool["type"].as_str().is_some_and(|kind| kind != "custom") {
        return Ok(());
    }
    let name = tool["name"].as_str().ok_or_else(|| error::invalid(&format!("{at}.name: Field required")))?;
    let good = (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !good {
        return Err(error::invalid(&format!(
            "{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        )));
    }
    let known = [
        "type",
        "description",
        "name",
        "input_schema",
        "cache_control",
        "strict",
        "eager_input_streaming",
        "allowed_callers",
        "defer_loading",
        "input_examples",
    ];
    if let Some((name, _)) =
        tool.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()))
    {
        return Err(error::invalid(&format!("{at}.{name}: Extra inputs are not permitted")));
    }
    match tool["input_schema"]["type"].as_str() {
        Some("object") => Ok(()),
        None if tool["input_schema"].is_null() => {
            Err(error::invalid(&format!("{at}.input_schema: Field required")))
        }
        None => Err(error::invalid(&format!("{at}.input_schema.type: Field required"))),
        Some(_) => Err(error::invalid(&format!("{at}.input_schema.type: Input should be 'object'"))),
    }
}

/// Each call has its result in the next message, each result its call in the one before.
pub(super) fn pairs(messages: &[Value]) -> Check {
    for (index, message) in messages.iter().enumerate() {
        let calls = ids(message, "tool_use", "id");
        let results =
            messages.get(index + 1).map_or_else(Vec::new, |next| ids(next, "tool_result", "tool_use_id"));
        if index + 1 < messages.len() || !calls.is_empty() {
            let open: Vec<&str> = calls.iter().copied().filter(|id| !results.contains(id)).collect();
            if !open.is_empty() {
                return Err(error::invalid(&format!(
                    "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                    open.join(", ")
                )));
            }
        }
        if let Some(stray) = results.iter().find(|id| !calls.contains(id)) {
            return Err(stray_result(index + 1, stray));
        }
    }
    match messages.first().map(|first| ids(first, "tool_result", "tool_use_id")) {
        Some(results) if !results.is_empty() => Err(stray_result(0, results[0])),
        _ => Ok(()),
    }
}

fn stray_result(index: usize, id: &str) -> crate::reply::Refusal {
    error::invalid(&format!(
        "messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
    ))
}

fn ids<'a>(message: &'a Value, kind: &str, key: &str) -> Vec<&'a str> {
    let blocks = message["content"].as_array().into_iter().flatten();
    blocks.filter(|block| block["type"] == kind).filter_map(|block| block[key].as_str()).collect()
}
