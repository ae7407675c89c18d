//! What Bedrock refuses in a conversation.

use std::collections::HashSet;

use base64::Engine as _;
use serde_json::Value;

use super::error::invalid;
use crate::reply::Refusal;
use crate::service::Call;

type Check = Result<(), Refusal>;

/// Members of the body.
const FIELDS: [&str; 11] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "serviceTier",
    "outputConfig",
];
/// Members of a content block, of which it has one.
const BLOCKS: [&str; 10] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
];
/// What a signature is over.
pub(super) const REASONING: &str = "bedrock-reasoning";

/// Refuses what Bedrock would refuse.
pub(super) fn request(call: &Call<'_>) -> Check {
    let body = call.body;
    let unknown = body.as_object().into_iter().flatten().find(|(name, _)| !FIELDS.contains(&name.as_str()));
    if let Some((name, _)) = unknown {
        return Err(invalid(&format!(
            "Malformed input request: #: extraneous key [{name}] is not permitted"
        )));
    }
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return Err(invalid("A conversation must have at least one message."));
    };
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let expected = if at % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != expected {
            let why = "A conversation must start with a user message and alternate between user and assistant roles.";
            return Err(invalid(why));
        }
        let Some(content) = message["content"].as_array().filter(|content| !content.is_empty()) else {
            return Err(invalid(&format!(
                "The content field in the Message object at messages.{at} is empty."
            )));
        };
        for (n, block) in content.iter().enumerate() {
            one(call, block, &format!("messages.{at}.content.{n}"))?;
        }
        pairs(content, at, &mut open)?;
    }
    if !open.is_empty() {
        return Err(unanswered(messages.len(), &open));
    }
    let tools = body["toolConfig"]["tools"].as_array();
    let uses = |message: &Value| {
        message["content"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|block| !block["toolUse"].is_null() || !block["toolResult"].is_null())
    };
    if tools.is_none_or(Vec::is_empty) && messages.iter().any(uses) {
        return Err(invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    settings(body)
}

fn one(call: &Call<'_>, block: &Value, at: &str) -> Check {
    let members: Vec<&String> = block.as_object().into_iter().flat_map(|block| block.keys()).collect();
    if members.len() != 1 || !BLOCKS.contains(&members[0].as_str()) {
        return Err(invalid(&format!("The ContentBlock at {at} must have exactly one known member.")));
    }
    if block["text"].as_str().is_some_and(|text| text.trim().is_empty()) {
        return Err(invalid(&format!(
            "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
        )));
    }
    for (name, formats) in [
        ("image", &["png", "jpeg", "gif", "webp"][..]),
        ("document", &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"][..]),
    ] {
        let media = &block[name];
        let known = media["format"].as_str().is_some_and(|format| formats.contains(&format));
        if !media.is_null() && (!known || !media["source"].is_object()) {
            return Err(invalid(&format!("The {name} at {at} has no format or source that is known.")));
        }
    }
    let thought = &block["reasoningContent"]["reasoningText"];
    if thought.is_object() {
        let opened =
            thought["signature"].as_str().and_then(|sealed| call.state.signer.open(REASONING, sealed));
        if opened.as_deref() != thought["text"].as_str() {
            return Err(invalid(&format!("{at}: Invalid `signature` in `thinking` block")));
        }
    }
    let redacted = block["reasoningContent"]["redactedContent"].as_str();
    if redacted.is_some_and(|data| base64::engine::general_purpose::STANDARD.decode(data).is_err()) {
        return Err(invalid(&format!("{at}: Invalid `data` in `redacted_thinking` block")));
    }
    Ok(())
}

/// Each call is answered in the next turn, and nothing else is.
fn pairs<'a>(content: &'a [Value], at: usize, open: &mut Vec<&'a str>) -> Check {
    let ids = |name: &str| -> Vec<&'a str> {
        content.iter().filter_map(|block| block[name]["toolUseId"].as_str()).collect()
    };
    let results: HashSet<&str> = ids("toolResult").into_iter().collect();
    if let Some(extra) = results.iter().find(|id| !open.contains(id)) {
        return Err(invalid(&format!(
            "messages.{at}.content: the toolResult {extra} answers no toolUse of the turn before."
        )));
    }
    open.retain(|id| !results.contains(id));
    if !open.is_empty() {
        return Err(unanswered(at, open));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    for id in ids("toolUse") {
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return Err(invalid(&format!("Value '{id}' failed to satisfy constraint: [a-zA-Z0-9_.:-]+")));
        }
        open.push(id);
    }
    for block in content.iter().filter(|block| block["toolUse"].is_object()) {
        if !block["toolUse"]["input"].is_object() {
            return Err(invalid(
                "The format of the value at toolUse.input is invalid. Provide a json object for the field and try again.",
            ));
        }
    }
    Ok(())
}

fn unanswered(at: usize, open: &[&str]) -> Refusal {
    invalid(&format!(
        "Expected toolResult blocks at messages.{at}.content for the following Ids: {}",
        open.join(", ")
    ))
}

fn settings(body: &Value) -> Check {
    let config = &body["inferenceConfig"];
    for name in ["temperature", "topP"] {
        if config[name].as_f64().is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(invalid(&format!(
                "Value at 'inferenceConfig.{name}' failed to satisfy constraint: at most 1"
            )));
        }
    }
    for tool in body["toolConfig"]["tools"].as_array().into_iter().flatten() {
        let spec = &tool["toolSpec"];
        if spec.is_object() && !spec["inputSchema"]["json"].is_object() {
            return Err(invalid("The value at toolConfig.tools.0.toolSpec.inputSchema.json is invalid."));
        }
    }
    let choice = &body["toolConfig"]["toolChoice"];
    let known = ["auto", "any", "tool"].iter().any(|name| choice[*name].is_object());
    if !choice.is_null() && !known {
        return Err(invalid("The value at toolConfig.toolChoice is invalid."));
    }
    Ok(())
}
