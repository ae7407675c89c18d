//! The blocks of messages that are sent back: their fields, their contents, and the signatures of thinking.

use serde_json::Value;

use super::check::Check;
use super::error;
use crate::service::Call;

/// Purpose of the signatures of thinking blocks.
pub(super) const THINKING: &str = "anthropic thinking";
/// Purpose of the seal of redacted thinking.
pub(super) const REDACTED: &str = "anthropic redacted";

/// Fields of each kind of block that is known.
const KEYS: [(&str, &[&str]); 7] = [
    ("text", &["type", "text", "cache_control", "citations"]),
    ("image", &["type", "source", "cache_control"]),
    ("document", &["type", "source", "cache_control", "citations", "context", "title"]),
    ("tool_use", &["type", "id", "name", "input", "cache_control", "caller"]),
    ("tool_result", &["type", "tool_use_id", "content", "is_error", "cache_control"]),
    ("thinking", &["type", "thinking", "signature"]),
    ("redacted_thinking", &["type", "data"]),
];

/// Refuses fields that the block does not have.
pub(super) fn keys(block: &Value, at: &str) -> Check {
    let kind = block["type"].as_str().unwrap_or("");
    let Some((_, known)) = KEYS.iter().find(|(name, _)| *name == kind) else { return Ok(()) };
    let extra = block.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
    extra.map_or(Ok(()), |(name, _)| {
        Err(error::invalid(&format!("{at}.{kind}.{name}: Extra inputs are not permitted")))
    })
}

/// Checks the content of the message at `index`.
pub(super) fn blocks(call: &Call<'_>, messages: &[Value], index: usize, last: bool) -> Check {
    let message = &messages[index];
    let role = message["role"].as_str().unwrap_or("");
    let at = format!("messages.{index}");
    if call.state.config.strict_fields
        && let Some((name, _)) =
            message.as_object().into_iter().flatten().find(|(name, _)| *name != "role" && *name != "content")
    {
        return Err(error::invalid(&format!("{at}.{name}: Extra inputs are not permitted")));
    }
    let final_assistant = last && role == "assistant";
    match &message["content"] {
        Value::String(text) => text_content(text, &at, final_assistant),
        Value::Array(blocks) if blocks.is_empty() && !final_assistant => Err(error::invalid(&format!(
            "{at}: all messages must have non-empty content except for the optional final assistant message"
        ))),
        Value::Array(blocks) => {
            for (position, block) in blocks.iter().enumerate() {
                self::block(call, block, role, &format!("{at}.content.{position}"))?;
            }
            results_first(blocks, &at)?;
            match blocks.last() {
                Some(block) if block["type"] == "text" => {
                    text_content(block["text"].as_str().unwrap_or(""), &at, final_assistant)
                }
                _ => Ok(()),
            }
        }
        _ => Err(error::invalid(&format!("{at}.content: Input should be a valid list"))),
    }
}

fn text_content(text: &str, at: &str, final_assistant: bool) -> Check {
    if text.is_empty() && !final_assistant {
        return Err(error::invalid(&format!("{at}: text content blocks must be non-empty")));
    }
    if final_assistant && text.ends_with(char::is_whitespace) {
        let message = "messages: final assistant content cannot end with trailing whitespace";
        return Err(error::invalid(message));
    }
    Ok(())
}

/// Tool results come before anything else in their message.
fn results_first(blocks: &[Value], at: &str) -> Check {
    let other = blocks.iter().position(|block| block["type"] != "tool_result");
    let result = blocks.iter().rposition(|block| block["type"] == "tool_result");
    match (other, result) {
        (Some(other), Some(result)) if other < result => {
            Err(error::invalid(&format!("{at}: `tool_result` blocks must come first in the content")))
        }
        _ => Ok(()),
    }
}

fn block(call: &Call<'_>, block: &Value, role: &str, at: &str) -> Check {
    let kind = block["type"].as_str().ok_or_else(|| error::invalid(&format!("{at}.type: Field required")))?;
    if call.state.config.strict_fields {
        keys(block, at)?;
    }
    let needs = |name: &str| error::invalid(&format!("{at}.{kind}.{name}: Field required"));
    match (kind, role) {
        ("text", _) => match block["text"].as_str() {
            None => Err(needs("text")),
            Some("") => Err(error::invalid(&format!("{at}: text content blocks must be non-empty"))),
            Some(_) => Ok(()),
        },
        ("image", "user") => source(&block["source"], at, "image", true),
        ("document", "user") => source(&block["source"], at, "document", false),
        ("tool_use", "assistant") => {
            if block["id"].as_str().is_none_or(|id| !identifier(id)) {
                let message = format!("{at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
                return Err(error::invalid(&message));
            }
            if block["name"].as_str().is_none_or(str::is_empty) {
                return Err(needs("name"));
            }
            if !block["input"].is_object() {
                return Err(error::invalid(&format!(
                    "{at}.tool_use.input: Input should be a valid dictionary"
                )));
            }
            Ok(())
        }
        ("tool_result", "user") => match &block["content"] {
            _ if !block["tool_use_id"].is_string() => Err(needs("tool_use_id")),
            Value::Null | Value::String(_) => Ok(()),
            Value::Array(parts) => parts.iter().enumerate().try_for_each(|(index, part)| {
                self::block(call, part, "user", &format!("{at}.tool_result.content.{index}"))
            }),
            _ => Err(error::invalid(&format!("{at}.tool_result.content: Input should be a valid list"))),
        },
        ("thinking", "assistant") => signed(call, block, at),
        ("redacted_thinking", "assistant") => {
            let data = block["data"].as_str().ok_or_else(|| needs("data"))?;
            match call.state.signer.open(REDACTED, data) {
                Some(_) => Ok(()),
                None => Err(error::invalid(&format!("{at}: Invalid `data` in `redacted_thinking` block"))),
            }
        }
        ("image" | "document" | "tool_use" | "tool_result" | "thinking" | "redacted_thinking", _) => {
            Err(error::invalid(&format!("{at}: `{kind}` blocks are not allowed in `{role}` messages")))
        }
        _ if kind.starts_with("server_") || kind.ends_with("_tool_result") || kind == "search_result" => {
            Ok(())
        }
        _ => {
            Err(error::invalid(&format!("{at}: Input tag '{kind}' does not match any of the expected tags")))
        }
    }
}

/// A thinking block's signature seals its visible text and a number.
fn signed(call: &Call<'_>, block: &Value, at: &str) -> Check {
    let required = |name: &str| error::invalid(&format!("{at}.thinking.{name}: Field required"));
    let text = block["thinking"].as_str().ok_or_else(|| required("thinking"))?;
    let signature = block["signature"].as_str().ok_or_else(|| required("signature"))?;
    let sealed = call.state.signer.open(THINKING, signature);
    match sealed.as_deref().and_then(|sealed| sealed.rsplit_once('\0')) {
        Some((signed, _)) if signed == text => Ok(()),
        _ => Err(error::invalid(&format!("{at}: Invalid `signature` in `thinking` block"))),
    }
}

fn identifier(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn source(source: &Value, at: &str, kind: &str, image: bool) -> Check {
    let field = |name: &str| error::invalid(&format!("{at}.{kind}.source.{name}: Field required"));
    match source["type"].as_str() {
        Some("base64") => {
            let media = source["media_type"].as_str().ok_or_else(|| field("media_type"))?;
            let good = if image {
                ["image/jpeg", "image/png", "image/gif", "image/webp"].contains(&media)
            } else {
                media == "application/pdf"
            };
            if !good {
                let message =
                    format!("{at}.{kind}.source.base64.media_type: Input should be a supported media type");
                return Err(error::invalid(&message));
            }
            source["data"].as_str().filter(|data| !data.is_empty()).map(|_| ()).ok_or_else(|| field("data"))
        }
        Some("url") => source["url"].as_str().map(|_| ()).ok_or_else(|| field("url")),
        Some("file") => source["file_id"].as_str().map(|_| ()).ok_or_else(|| field("file_id")),
        Some("text" | "content") if !image => Ok(()),
        _ => Err(error::invalid(&format!(
            "{at}.{kind}.source: Input tag does not match any of the expected tags"
        ))),
    }
}

/// With thinking on, an assistant turn that ends in tool calls whose results follow must begin with its thinking.
pub(super) fn thinking_stands(messages: &[Value]) -> Check {
    let Some(index) = messages.iter().rposition(|message| message["role"] == "assistant") else {
        return Ok(());
    };
    let blocks = messages[index]["content"].as_array().map_or(&[][..], Vec::as_slice);
    if !blocks.iter().any(|block| block["type"] == "tool_use") {
        return Ok(());
    }
    match blocks.first().and_then(|block| block["type"].as_str()) {
        Some("thinking" | "redacted_thinking") => Ok(()),
        found => Err(error::invalid(&format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
            found.unwrap_or("nothing")
        ))),
    }
}
