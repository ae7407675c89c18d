//! A chat request in neutral form.

use std::time::Duration;

use serde_json::Value;

use super::models::Kind;
use crate::ask::{Ask, Choice, Tool, audio_tokens, document_tokens, image_tokens, json_tokens};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Prompts at least this long are cached by themselves…
const CACHED_FROM: u64 = 1024;
/// …in steps of this many tokens…
const CACHE_STEP: u64 = 128;
/// …for so long.
const CACHED_FOR: Duration = Duration::from_secs(600);

/// Reads a request that has been checked.
pub(super) fn read(call: &Call<'_>, kind: Kind) -> Ask {
    let body = call.body;
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    // OpenAI itself has no such member; DeepSeek, Mistral and others do.
    let start = messages.last().filter(|message| message["role"] == "assistant" && message["prefix"] == true);
    let messages = if start.is_some() { &messages[..messages.len() - 1] } else { messages };
    let answered = messages.iter().rposition(|message| message["role"] == "assistant");
    let after = answered.map_or(messages, |position| &messages[position + 1..]);
    let tool_results = after.iter().filter(|m| m["role"] == "tool").map(|m| text_of(&m["content"])).collect();
    let user = messages.iter().rev().find(|message| message["role"] == "user");
    let format = &body["response_format"];
    Ask {
        user_text: user.map_or_else(String::new, |message| text_of(&message["content"])),
        seed: hash((messages.len(), serde_json::json!(messages).to_string(), body["seed"].as_i64())),
        start: start.map_or_else(String::new, |message| text_of(&message["content"])),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: choice(&body["tool_choice"]),
        parallel: body["parallel_tool_calls"] != false,
        tool_results,
        schema: (format["type"] == "json_schema").then(|| format["json_schema"]["schema"].clone()),
        json: format["type"] == "json_object",
        max_tokens: body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()),
        stop: stops(&body["stop"]),
        reasoning: reasoning(call, kind),
        input: input(call),
    }
}

/// One stop sequence or several.
pub(super) fn stops(stop: &Value) -> Vec<String> {
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

fn choice(choice: &Value) -> Choice {
    let names = |tools: &Value| {
        let tools = tools.as_array().into_iter().flatten();
        tools.filter_map(|tool| tool["function"]["name"].as_str()).map(str::to_owned).collect()
    };
    match (choice.as_str(), choice["type"].as_str()) {
        (Some("none"), _) => Choice::None,
        (Some("required"), _) => Choice::Required,
        (_, Some("function")) => {
            Choice::Among(choice["function"]["name"].as_str().map(str::to_owned).into_iter().collect())
        }
        (_, Some("allowed_tools")) if choice["allowed_tools"]["mode"] == "required" => {
            Choice::Among(names(&choice["allowed_tools"]["tools"]))
        }
        _ => Choice::Auto,
    }
}

fn reasoning(call: &Call<'_>, kind: Kind) -> u64 {
    if kind != Kind::Reasoning {
        return if call.behaviour.has("reasoning") { 12 } else { 0 };
    }
    match call.body["reasoning_effort"].as_str() {
        Some("none") => 0,
        Some("minimal") => 4,
        Some("low") => 16,
        Some("high") => 96,
        Some("xhigh") => 192,
        _ => 48,
    }
}

/// All text of a content, joined.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// Three tokens for the reply, three a message, and what stands in each; tools and schema as written.
fn input(call: &Call<'_>) -> Tokens {
    let body = call.body;
    let mut tokens = Tokens { input: 3, ..Tokens::default() };
    tokens.input += json_tokens(&body["tools"]) + json_tokens(&body["response_format"]["json_schema"]);
    let mut prefix = hash((call.model, body["tools"].to_string()));
    let mut cached = 0;
    for message in body["messages"].as_array().into_iter().flatten() {
        tokens.input += 3 + json_tokens(&message["tool_calls"]);
        content_tokens(&message["content"], &mut tokens);
        prefix = hash((prefix, message.to_string()));
        let length = tokens.input + tokens.audio_in;
        if length >= CACHED_FROM && call.state.cache(prefix, CACHED_FOR) {
            cached = length / CACHE_STEP * CACHE_STEP;
        }
    }
    let cached = call.behaviour.cached.unwrap_or(cached).min(tokens.input);
    tokens.input -= cached;
    tokens.cache_read = cached;
    tokens
}

fn content_tokens(content: &Value, tokens: &mut Tokens) {
    match content {
        Value::String(text) => tokens.input += tokens::count(text),
        Value::Array(parts) => {
            for part in parts {
                let text = |value: &Value| value.as_str().map_or(0, tokens::count);
                tokens.input += text(&part["text"]) + text(&part["refusal"]);
                tokens.input += part["image_url"]["url"].as_str().map_or(0, image_tokens);
                tokens.input += part["file"]["file_data"].as_str().map_or(0, document_tokens);
                tokens.audio_in += part["input_audio"]["data"].as_str().map_or(0, audio_tokens);
            }
        }
        _ => {}
    }
}
