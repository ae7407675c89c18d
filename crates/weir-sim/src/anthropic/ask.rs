//! A messages request in neutral form.

use serde_json::Value;

use super::cache;
use super::check::{self, Thinking};
use crate::ask::{Ask, Choice, Tool};
use crate::service::Call;
use crate::state::hash;

/// Reads a request that has been checked.
pub(super) fn read(call: &Call<'_>, thinking: Thinking) -> Ask {
    let body = call.body;
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let start = messages.last().filter(|message| message["role"] == "assistant");
    let messages = if start.is_some() { &messages[..messages.len() - 1] } else { messages };
    let last = messages.last().filter(|message| message["role"] == "user");
    let results = last.and_then(|message| message["content"].as_array()).into_iter().flatten();
    let format = check::output_format(body);
    Ask {
        user_text: last_user_text(messages),
        seed: hash((messages.len(), serde_json::json!(messages).to_string())),
        start: start.map_or_else(String::new, |message| text_of(&message["content"])),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: choice(&body["tool_choice"]),
        parallel: body["tool_choice"]["disable_parallel_tool_use"] != true,
        tool_results: results
            .filter(|block| block["type"] == "tool_result")
            .map(|block| text_of(&block["content"]))
            .collect(),
        schema: (format["type"] == "json_schema").then(|| format["schema"].clone()),
        json: false,
        max_tokens: body["max_tokens"].as_u64(),
        stop: strings(&body["stop_sequences"]),
        reasoning: reasoning(call, thinking),
        input: cache::input(call),
    }
}

fn reasoning(call: &Call<'_>, thinking: Thinking) -> u64 {
    let by_effort = match call.body["output_config"]["effort"].as_str() {
        Some("low") => 8,
        Some("medium") => 24,
        Some("xhigh") => 96,
        Some("max") => 128,
        _ => 48,
    };
    match thinking {
        Thinking::Off if call.behaviour.has("reasoning") || call.behaviour.has("redacted") => 12,
        Thinking::Off => 0,
        Thinking::Budget(budget) => by_effort.min(budget / 32),
        Thinking::Adaptive => by_effort,
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn tool(tool: &Value) -> Option<Tool> {
    // Server tools have no schema; the simulated model does not use them.
    let schema = tool.get("input_schema")?.clone();
    Some(Tool { name: tool["name"].as_str()?.to_owned(), schema })
}

fn choice(choice: &Value) -> Choice {
    match choice["type"].as_str() {
        Some("none") => Choice::None,
        Some("any") => Choice::Required,
        Some("tool") => Choice::Among(choice["name"].as_str().map(str::to_owned).into_iter().collect()),
        _ => Choice::Auto,
    }
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The text of the last user message that has some.
fn last_user_text(messages: &[Value]) -> String {
    let user = messages.iter().rev().filter(|message| message["role"] == "user");
    user.map(|message| text_of(&message["content"])).find(|text| !text.is_empty()).unwrap_or_default()
}
