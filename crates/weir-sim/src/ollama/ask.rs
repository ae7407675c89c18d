//! A chat or a prompt in neutral form.

use serde_json::Value;

use crate::ask::{Ask, Choice, Tool, image_tokens, json_tokens};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Whether a model can think.
pub(super) fn thinks(model: &str) -> bool {
    ["qwen3", "gpt-oss", "deepseek-r1", "sim-thinks"].iter().any(|family| model.starts_with(family))
}

/// Reads a request that has been checked.
pub(super) fn read(call: &Call<'_>) -> Ask {
    let body = call.body;
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let answered = messages.iter().rposition(|message| message["role"] == "assistant");
    let after = answered.map_or(messages, |position| &messages[position + 1..]);
    let text = |message: &Value| message["content"].as_str().unwrap_or_default().to_owned();
    let user = messages.iter().rev().find(|message| message["role"] == "user");
    let prompt = body["prompt"].as_str().unwrap_or_default();
    let options = &body["options"];
    Ask {
        start: String::new(),
        user_text: user.map_or_else(|| prompt.to_owned(), text),
        seed: hash((messages.len(), body["messages"].to_string(), prompt, options["seed"].as_i64())),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: Choice::Auto,
        parallel: true,
        tool_results: after.iter().filter(|message| message["role"] == "tool").map(text).collect(),
        schema: body["format"].is_object().then(|| body["format"].clone()),
        json: body["format"] == "json",
        max_tokens: options["num_predict"].as_u64(),
        stop: stops(&options["stop"]),
        reasoning: reasoning(call),
        input: input(body),
    }
}

fn stops(stop: &Value) -> Vec<String> {
    match stop {
        Value::String(stop) => vec![stop.clone()],
        Value::Array(stops) => stops.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = &tool["function"];
    Some(Tool { name: function["name"].as_str()?.to_owned(), schema: function["parameters"].clone() })
}

fn reasoning(call: &Call<'_>) -> u64 {
    match (&call.body["think"], thinks(call.model)) {
        (_, false) | (Value::Bool(false), _) => 0,
        (Value::String(level), _) if level == "low" => 8,
        (Value::String(level), _) if level == "high" => 48,
        _ => 16,
    }
}

/// Three tokens a message, and what stands in each; tools and schema as written.
fn input(body: &Value) -> Tokens {
    let mut input = json_tokens(&body["tools"]) + body["prompt"].as_str().map_or(0, tokens::count);
    if body["format"].is_object() {
        input += json_tokens(&body["format"]);
    }
    for message in body["messages"].as_array().into_iter().flatten() {
        input += 3 + json_tokens(&message["tool_calls"]);
        input += message["content"].as_str().map_or(0, tokens::count);
        let images = message["images"].as_array().into_iter().flatten();
        input += images.filter_map(Value::as_str).map(image_tokens).sum::<u64>();
    }
    Tokens { input, ..Tokens::default() }
}
