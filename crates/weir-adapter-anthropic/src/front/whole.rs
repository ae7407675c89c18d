//! A whole reply as Anthropic's message.

use serde_json::{Map, Value, json};
use weir_wire::openai::chat::{Choice, Message, ReasoningDetail, Response, ToolCall};

use super::usage;
use crate::carrier::{self, BLOCKS, CallExtra};
use crate::finish;

/// The message. Anthropic has one answer: further choices are left out.
pub(super) fn message(response: &Response) -> Value {
    let nothing = Choice::default();
    let choice = response.choices.first().unwrap_or(&nothing);
    let content = match choice.message.extra.get(BLOCKS) {
        Some(Value::Array(blocks)) => blocks.clone(),
        _ => blocks(&choice.message, &response.id),
    };
    let called = content.iter().any(|block| block["type"] == "tool_use");
    let native = choice.extra.get("native_finish_reason").and_then(Value::as_str);
    let reason = finish::to_anthropic(choice.finish_reason.as_deref().unwrap_or("stop"), native, called);
    let mut message = json!({
        "id": id(&response.id),
        "type": "message",
        "role": "assistant",
        "model": response.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": choice.extra.get("stop_sequence").filter(|_| reason == "stop_sequence"),
        "usage": response.usage.as_ref().map_or_else(Map::new, usage::report),
    });
    if response.usage.is_none() {
        message["usage"] = json!({"input_tokens": 0, "output_tokens": 0});
    }
    for (name, value) in
        [("stop_details", choice.extra.get("stop_details")), ("container", response.extra.get("container"))]
    {
        if let Some(value) = value {
            message[name] = value.clone();
        }
    }
    message
}

/// An id as Anthropic's clients know it: any text will do, but never none.
pub(super) fn id(id: &str) -> String {
    if id.is_empty() { "msg_weir".to_owned() } else { id.to_owned() }
}

/// The id of a call that came without one: no other answer's call has it.
pub(super) fn call_id(response: &str, number: usize) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let response: String = response.chars().filter(|c| known(*c)).collect();
    format!("toolu_{response}_{number}")
}

/// The block that carries what hangs on a call of another dialect.
pub(super) fn hung(id: &str, call: &ToolCall) -> Option<Value> {
    let mut extra = call.extra.clone();
    extra.retain(|name, _| name != "caller" && name != "cache_control");
    (!extra.is_empty()).then(|| {
        json!({"type": "redacted_thinking", "data": carrier::pack(&CallExtra { tool_call: id.to_owned(), extra })})
    })
}

/// The block for a reasoning detail of any format.
pub(super) fn reasoning(detail: &ReasoningDetail) -> Option<Value> {
    let own = carrier::is_own(detail);
    if own && let Some(block) = carrier::block(detail) {
        return Some(block);
    }
    let text = detail.text.as_deref().or(detail.summary.as_deref());
    if let Some(text) = text {
        return Some(json!({"type": "thinking", "thinking": text, "signature": signature(detail)}));
    }
    // Anthropic's own has text or data; of others, whatever it is must come back.
    (!own).then(|| json!({"type": "redacted_thinking", "data": carrier::pack(detail)}))
}

/// The signature that brings a foreign detail back; none of its own where there is nothing to prove.
pub(super) fn signature(detail: &ReasoningDetail) -> String {
    if carrier::is_own(detail) {
        return detail.signature.clone().unwrap_or_default();
    }
    carrier::pack(&ReasoningDetail { text: None, summary: None, ..detail.clone() })
}

fn blocks(message: &Message, response: &str) -> Vec<Value> {
    let mut out: Vec<Value> = match &message.reasoning_details {
        Some(details) if !details.is_empty() => details.iter().filter_map(reasoning).collect(),
        _ => Vec::new(),
    };
    let told = out.iter().any(|block| block["type"] == "thinking");
    if let Some(text) = message.reasoning_text().filter(|text| !text.is_empty() && !told) {
        out.insert(0, json!({"type": "thinking", "thinking": text, "signature": ""}));
    }
    let text = message.text();
    let text = if text.is_empty() { message.refusal.clone().unwrap_or_default() } else { text };
    if !text.is_empty() {
        let mut block = json!({"type": "text", "text": text});
        let citations: Vec<Value> = message.annotations.iter().flatten().filter_map(citation).collect();
        if !citations.is_empty() {
            block["citations"] = citations.into();
        }
        out.push(block);
    }
    out.extend(images(&message.extra));
    for (at, call) in message.tool_calls.iter().flatten().enumerate() {
        let id = call.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| call_id(response, at));
        out.extend(hung(&id, call));
        let function = call.function.clone().unwrap_or_default();
        let arguments = function.arguments.unwrap_or_default();
        let input = serde_json::from_str::<Value>(&arguments).ok().filter(Value::is_object);
        let input = input.unwrap_or_else(|| {
            if arguments.trim().is_empty() { json!({}) } else { json!({"arguments": arguments}) }
        });
        out.push(
            json!({"type": "tool_use", "id": id, "name": function.name.unwrap_or_default(), "input": input}),
        );
    }
    out
}

/// Pictures that the model made, as blocks. Anthropic's models make none: the block is that of a request.
pub(super) fn images(extra: &Map<String, Value>) -> Vec<Value> {
    let images = extra.get("images").and_then(Value::as_array).into_iter().flatten();
    let source = |image: &Value| {
        let url = image["image_url"]["url"].as_str()?;
        let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        Some(match data {
            Some((media, data)) => json!({"type": "base64", "media_type": media, "data": data}),
            None => json!({"type": "url", "url": url}),
        })
    };
    images.filter_map(source).map(|source| json!({"type": "image", "source": source})).collect()
}

/// An annotation as a citation.
pub(super) fn citation(annotation: &Value) -> Option<Value> {
    let url = &annotation["url_citation"];
    if annotation["type"] == "url_citation" {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        return Some(
            json!({"type": "web_search_result_location", "url": text(&url["url"]), "title": text(&url["title"]),
            "cited_text": text(&url["content"]), "encrypted_index": ""}),
        );
    }
    let mut citation = annotation.clone();
    let members = citation.as_object_mut()?;
    members.get("type")?.as_str().filter(|kind| kind.ends_with("_location"))?;
    members.remove("start_index");
    members.remove("end_index");
    Some(citation)
}
