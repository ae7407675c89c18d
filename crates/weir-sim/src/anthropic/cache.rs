//! Input tokens, and which of them are read from the cache or written to it.
//!
//! A prefix is everything up to a block with `cache_control`: tools, system, messages, in that order. The simulator
//! caches prefixes of any length, where the vendor asks for a thousand tokens and more.

use std::time::Duration;

use serde_json::Value;

use super::check::Check;
use super::error;
use crate::ask::{document_tokens, image_tokens, json_tokens};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Most blocks with `cache_control`.
const MOST_MARKERS: usize = 4;
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const ONE_HOUR: Duration = Duration::from_secs(3600);

/// One block of the input, in cache order.
struct Block<'a> {
    content: &'a Value,
    tokens: u64,
}

impl Block<'_> {
    fn marker(&self) -> &Value {
        &self.content["cache_control"]
    }
}

/// Checks the number, the kind and the order of the markers.
pub(super) fn check(body: &Value) -> Check {
    let blocks = blocks(body);
    let markers: Vec<&Block<'_>> = blocks.iter().filter(|block| !block.marker().is_null()).collect();
    let found = markers.len() + usize::from(!body["cache_control"].is_null());
    if found > MOST_MARKERS {
        let message = format!("A maximum of 4 blocks with cache_control may be provided. Found {found}.");
        return Err(error::invalid(&message));
    }
    let mut short_seen = false;
    for block in markers {
        let marker = block.marker();
        if marker["type"] != "ephemeral" {
            return Err(error::invalid("cache_control.type: Input should be 'ephemeral'"));
        }
        if matches!(block.content["type"].as_str(), Some("thinking" | "redacted_thinking")) {
            return Err(error::invalid("cache_control: Extra inputs are not permitted on thinking blocks"));
        }
        let long = match marker["ttl"].as_str() {
            None if marker["ttl"].is_null() => false,
            Some("5m") => false,
            Some("1h") => true,
            _ => return Err(error::invalid("cache_control.ephemeral.ttl: Input should be '5m' or '1h'")),
        };
        if long && short_seen {
            let message =
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.";
            return Err(error::invalid(message));
        }
        short_seen |= !long;
    }
    Ok(())
}

/// All input tokens.
pub(super) fn total(body: &Value) -> u64 {
    blocks(body).iter().map(|block| block.tokens).sum::<u64>() + overhead(body)
}

/// Ten tokens, and three a message.
fn overhead(body: &Value) -> u64 {
    10 + 3 * body["messages"].as_array().map_or(0, |messages| messages.len() as u64)
}

/// The input in its classes; marks the prefixes as cached.
pub(super) fn input(call: &Call<'_>) -> Tokens {
    let body = call.body;
    let blocks = blocks(body);
    let mut prefix = hash(call.model);
    let mut sum = 0;
    let mut read = 0;
    // Where each marker stands, and whether it is for an hour.
    let mut markers: Vec<(u64, bool)> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        prefix = hash((prefix, without_marker(block.content)));
        sum += block.tokens;
        let last = index + 1 == blocks.len();
        let marker = if last && block.marker().is_null() { &body["cache_control"] } else { block.marker() };
        if marker.is_null() {
            continue;
        }
        let long = marker["ttl"] == "1h";
        if call.state.cache(prefix, if long { ONE_HOUR } else { FIVE_MINUTES }) {
            read = sum;
            markers.clear();
        } else {
            markers.push((sum, long));
        }
    }
    let mut tokens = Tokens { cache_read: read, ..Tokens::default() };
    let mut from = read;
    for (to, long) in markers {
        *(if long { &mut tokens.cache_write_1h } else { &mut tokens.cache_write_5m }) += to - from;
        from = to;
    }
    tokens.input = sum - from + overhead(body);
    if let Some(cached) = call.behaviour.cached {
        let cached = cached.min(tokens.input);
        tokens.input -= cached;
        tokens.cache_read += cached;
    }
    tokens
}

fn without_marker(content: &Value) -> String {
    let mut content = content.clone();
    if let Some(object) = content.as_object_mut() {
        object.remove("cache_control");
    }
    content.to_string()
}

fn blocks(body: &Value) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    for tool in body["tools"].as_array().into_iter().flatten() {
        blocks.push(Block {
            content: tool,
            tokens: json_tokens(&tool["input_schema"]) + json_tokens(&tool["name"]) + 8,
        });
    }
    add(&body["system"], &mut blocks);
    for message in body["messages"].as_array().into_iter().flatten() {
        add(&message["content"], &mut blocks);
    }
    blocks
}

fn add<'a>(content: &'a Value, blocks: &mut Vec<Block<'a>>) {
    match content {
        Value::String(text) => blocks.push(Block { content, tokens: tokens::count(text) }),
        Value::Array(list) => {
            blocks.extend(list.iter().map(|block| Block { content: block, tokens: block_tokens(block) }));
        }
        _ => {}
    }
}

fn block_tokens(block: &Value) -> u64 {
    let source = &block["source"];
    let data = source["data"].as_str().or(source["url"].as_str()).unwrap_or("");
    match block["type"].as_str() {
        Some("text") => block["text"].as_str().map_or(0, tokens::count),
        Some("image") => image_tokens(data),
        Some("document") if source["type"] == "text" => tokens::count(data),
        Some("document") => document_tokens(data),
        Some("thinking") => block["thinking"].as_str().map_or(0, tokens::count),
        Some("tool_use") => json_tokens(&block["input"]) + 8,
        Some("tool_result") => match &block["content"] {
            Value::String(text) => tokens::count(text) + 4,
            Value::Array(parts) => parts.iter().map(block_tokens).sum::<u64>() + 4,
            _ => 4,
        },
        _ => json_tokens(block),
    }
}
