//! A conversation in neutral form, and its input tokens.

use std::time::Duration;

use serde_json::Value;

use crate::ask::{Ask, Choice, Tool, document_tokens, image_tokens, json_tokens};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// How long a cache point keeps.
const CACHED_FOR: Duration = Duration::from_secs(300);

/// Reads a request that has been checked.
pub(super) fn read(call: &Call<'_>) -> Ask {
    let body = call.body;
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let config = &body["inferenceConfig"];
    let last = messages.last().and_then(|message| message["content"].as_array()).into_iter().flatten();
    let schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"].as_str();
    let stops = config["stopSequences"].as_array().into_iter().flatten();
    let user = messages.iter().rev().filter(|message| message["role"] == "user").map(text);
    Ask {
        user_text: user.into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
        seed: hash((messages.len(), body["messages"].to_string())),
        tools: tools(body),
        choice: choice(&body["toolConfig"]["toolChoice"]),
        parallel: true,
        tool_results: last
            .filter(|block| block["toolResult"].is_object())
            .map(|block| result(&block["toolResult"]))
            .collect(),
        schema: schema.and_then(|schema| serde_json::from_str(schema).ok()),
        json: false,
        max_tokens: config["maxTokens"].as_u64(),
        stop: stops.filter_map(Value::as_str).map(str::to_owned).collect(),
        reasoning: reasoning(call),
        input: input(call),
        start: String::new(),
    }
}

fn text(message: &Value) -> String {
    message["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect()
}

fn result(result: &Value) -> String {
    let content = result["content"].as_array().into_iter().flatten();
    content
        .map(|block| block["text"].as_str().map_or_else(|| block["json"].to_string(), str::to_owned))
        .collect()
}

fn tools(body: &Value) -> Vec<Tool> {
    let tools = body["toolConfig"]["tools"].as_array().into_iter().flatten();
    tools
        .filter_map(|tool| {
            let spec = &tool["toolSpec"];
            Some(Tool {
                name: spec["name"].as_str()?.to_owned(),
                schema: spec["inputSchema"]["json"].clone(),
            })
        })
        .collect()
}

fn choice(choice: &Value) -> Choice {
    match choice["tool"]["name"].as_str() {
        Some(name) => Choice::Among(vec![name.to_owned()]),
        None if choice["any"].is_object() => Choice::Required,
        None => Choice::Auto,
    }
}

fn reasoning(call: &Call<'_>) -> u64 {
    let fields = &call.body["additionalModelRequestFields"];
    let asked = matches!(fields["thinking"]["type"].as_str(), Some("enabled" | "adaptive"))
        || fields["reasoningConfig"]["type"] == "enabled"
        || fields["reasoning_effort"].is_string();
    if asked || call.behaviour.has("reasoning") { 24 } else { 0 }
}

/// The input in its classes: what stands before the last cache point is read from the cache, or written to it.
fn input(call: &Call<'_>) -> Tokens {
    let body = call.body;
    let (mut sum, mut marked, mut prefix) = (4_u64, 0, hash(call.model));
    let mut marked_prefix = prefix;
    let lists = [&body["toolConfig"]["tools"], &body["system"]];
    let messages = body["messages"].as_array().into_iter().flatten().map(|message| &message["content"]);
    for block in lists.into_iter().chain(messages).flat_map(|list| list.as_array().into_iter().flatten()) {
        if block["cachePoint"].is_object() {
            (marked, marked_prefix) = (sum, prefix);
            continue;
        }
        sum += block_tokens(block);
        prefix = hash((prefix, block.to_string()));
    }
    let mut tokens = Tokens { input: sum - marked, ..Tokens::default() };
    if marked > 0 {
        match call.state.cache(marked_prefix, CACHED_FOR) {
            true => tokens.cache_read = marked,
            false => tokens.cache_write_5m = marked,
        }
    }
    tokens
}

fn block_tokens(block: &Value) -> u64 {
    let data = |media: &Value| media["source"]["bytes"].as_str().unwrap_or_default().to_owned();
    if let Some(text) = block["text"].as_str() {
        return tokens::count(text) + 1;
    }
    if block["image"].is_object() {
        return image_tokens(&data(&block["image"]));
    }
    if block["document"].is_object() {
        return document_tokens(&data(&block["document"]));
    }
    json_tokens(block)
}
