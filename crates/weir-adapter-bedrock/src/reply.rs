//! A whole reply in OpenAI's form, and the parts that it shares with a streamed one.

use serde::Deserialize;
use serde_json::{Value, json};
use weir_adapter::ProviderError;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{Choice, Content, FunctionCall, Message, ReasoningDetail, Response, ToolCall};

use crate::{error, usage};

/// The format of signed reasoning: Claude's, whose signatures hold at Anthropic's own API, too.
pub(crate) const SIGNED: &str = "anthropic-claude-v1";
/// The format of redacted reasoning: Bedrock's own.
pub(crate) const REDACTED: &str = "amazon-bedrock-v1";
/// The member that has what the provider's own tools did, block by block.
pub(crate) const OWN: &str = "bedrock_content";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    output: Option<Output>,
    #[serde(default)]
    stop_reason: String,
    #[serde(default)]
    usage: Value,
    metrics: Option<Value>,
    trace: Option<Value>,
    additional_model_response_fields: Option<Value>,
}

#[derive(Deserialize)]
struct Output {
    message: Option<Said>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Vec<Value>,
}

/// Why an answer ended, in OpenAI's word; or that it failed. What OpenAI has no word for stands in
/// `native_finish_reason`. `calls`: whether the client has anything to call.
pub(crate) fn finish(reason: &str, calls: bool) -> Result<(&'static str, Extra), ProviderError> {
    let done = if calls { "tool_calls" } else { "stop" };
    let word = match reason {
        "end_turn" | "stop_sequence" | "tool_use" => return Ok((done, Extra::new())),
        "max_tokens" => return Ok(("length", Extra::new())),
        "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        "malformed_model_output" | "malformed_tool_use" => return Err(error::malformed(reason)),
        _ => done,
    };
    Ok((word, std::iter::once(("native_finish_reason".to_owned(), reason.into())).collect()))
}

/// A whole reply, with its usage as Bedrock wrote it.
pub(crate) fn whole(body: &[u8], id: String, model: &str) -> Result<(Response, Value), ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
    let Some(said) = reply.output.and_then(|output| output.message) else {
        return Err(ProviderError::nonsense("the provider's reply has no message"));
    };
    let message = message(said.content);
    let (reason, extra) = finish(&reply.stop_reason, message.tool_calls.is_some()).map_err(|mut error| {
        error.usage = usage::classes(&reply.usage);
        error
    })?;
    let nothing = message.content.is_none()
        && message.tool_calls.is_none()
        && message.reasoning_details.is_none()
        && message.reasoning_content.is_none()
        && message.extra.is_empty();
    if nothing && reason == "stop" {
        return Err(ProviderError::empty());
    }
    let choice = Choice { message, finish_reason: Some(reason.to_owned()), extra, ..Choice::default() };
    let mut beside = Extra::new();
    for (name, value) in [
        ("trace", reply.trace),
        ("metrics", reply.metrics),
        ("additionalModelResponseFields", reply.additional_model_response_fields),
    ] {
        if let Some(value) = value {
            beside.insert(name.to_owned(), value);
        }
    }
    let response = Response {
        id,
        object: "chat.completion".to_owned(),
        model: model.to_owned(),
        choices: vec![choice],
        usage: usage::report(&reply.usage),
        extra: beside,
        ..Response::default()
    };
    Ok((response, reply.usage))
}

fn message(content: Vec<Value>) -> Message {
    let (mut text, mut has_text) = (String::new(), false);
    let mut thoughts = String::new();
    let (mut details, mut calls) = (Vec::new(), Vec::new());
    let (mut own, mut citations) = (Vec::new(), Vec::new());
    for (index, block) in (0..).zip(content) {
        if let Some(said) = block["text"].as_str() {
            has_text = true;
            text.push_str(said);
        } else if let Some(reasoning) = block.get("reasoningContent") {
            thoughts.push_str(reasoning["reasoningText"]["text"].as_str().unwrap_or_default());
            details.extend(detail(reasoning, index));
        } else if block["toolUse"].is_object() && block["toolUse"]["type"] != "server_tool_use" {
            calls.push(call(&block["toolUse"]));
        } else if let Some(cited) = block.get("citationsContent") {
            for piece in cited["content"].as_array().into_iter().flatten() {
                has_text = true;
                text.push_str(piece["text"].as_str().unwrap_or_default());
            }
            citations.extend(cited["citations"].as_array().into_iter().flatten().cloned());
        } else {
            own.push(block);
        }
    }
    let mut extra = Extra::new();
    for (name, list) in [(OWN, own), ("citations", citations)] {
        if !list.is_empty() {
            extra.insert(name.to_owned(), Value::Array(list));
        }
    }
    Message {
        role: "assistant".to_owned(),
        content: has_text.then_some(Content::Text(text)),
        reasoning_content: Some(thoughts).filter(|thoughts| !thoughts.is_empty()),
        reasoning_details: Some(details).filter(|details| !details.is_empty()),
        tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
        extra,
        ..Message::default()
    }
}

/// What must go back of a reasoning block; text without a signature need not.
fn detail(reasoning: &Value, index: u32) -> Option<ReasoningDetail> {
    if let Some(data) = reasoning["redactedContent"].as_str() {
        return Some(redacted(data.to_owned(), index));
    }
    let text = &reasoning["reasoningText"];
    let signature = text["signature"].as_str().filter(|signature| !signature.is_empty())?;
    Some(ReasoningDetail {
        text: text["text"].as_str().map(str::to_owned),
        signature: Some(signature.to_owned()),
        ..signed(index)
    })
}

/// A signed block with neither text nor signature yet.
pub(crate) fn signed(index: u32) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.text".to_owned(),
        format: Some(SIGNED.to_owned()),
        index: Some(index),
        ..ReasoningDetail::default()
    }
}

/// A redacted block, or a piece of one.
pub(crate) fn redacted(data: String, index: u32) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.encrypted".to_owned(),
        data: Some(data),
        format: Some(REDACTED.to_owned()),
        index: Some(index),
        ..ReasoningDetail::default()
    }
}

fn call(told: &Value) -> ToolCall {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let arguments = match &told["input"] {
        Value::Null => json!({}).to_string(),
        input => input.to_string(),
    };
    ToolCall {
        id: Some(text("toolUseId")),
        kind: Some("function".to_owned()),
        function: Some(FunctionCall {
            name: Some(text("name")),
            arguments: Some(arguments),
            ..FunctionCall::default()
        }),
        ..ToolCall::default()
    }
}

/// A reply that can't be read.
pub(crate) fn unreadable(problem: &serde_json::Error) -> ProviderError {
    ProviderError::nonsense(format!("the provider's reply does not read: {problem}"))
}

#[cfg(test)]
mod tests {
    use weir_adapter::ErrorKind;

    use super::*;

    #[test]
    fn every_stop_reason() {
        for (reason, calls, word, native) in [
            ("end_turn", false, "stop", false),
            ("stop_sequence", false, "stop", false),
            ("tool_use", true, "tool_calls", false),
            // Only the provider's own tools were used.
            ("tool_use", false, "stop", false),
            ("max_tokens", true, "length", false),
            ("model_context_window_exceeded", false, "length", true),
            ("guardrail_intervened", false, "content_filter", true),
            ("content_filtered", false, "content_filter", true),
            ("something_new", false, "stop", true),
        ] {
            let (seen, extra) = finish(reason, calls).unwrap();
            assert_eq!((seen, extra.contains_key("native_finish_reason")), (word, native), "{reason}");
        }
        for reason in ["malformed_model_output", "malformed_tool_use"] {
            assert_eq!(finish(reason, true).unwrap_err().kind, ErrorKind::Nonsense);
        }
    }

    #[test]
    fn each_block_finds_its_place() {
        let server = json!({"toolUse": {"toolUseId": "s", "name": "nova_code_interpreter", "input": {}, "type": "server_tool_use"}});
        let body = json!({"output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "r", "signature": "S"}}},
            {"reasoningContent": {"redactedContent": "R"}},
            {"text": "a"}, {"citationsContent": {"content": [{"text": "b"}], "citations": [{"title": "t"}]}},
            server, {"toolUse": {"toolUseId": "1", "name": "f"}}]}},
            "stopReason": "tool_use", "usage": {"inputTokens": 1, "outputTokens": 2}, "trace": {"x": 1}});
        let (response, _) = whole(body.to_string().as_bytes(), "i".to_owned(), "m").unwrap();
        let message = &response.choices[0].message;
        assert_eq!((message.text().as_str(), message.reasoning_content.as_deref()), ("ab", Some("r")));
        let details = message.reasoning_details.as_ref().unwrap();
        assert_eq!((details[0].signature.as_deref(), details[1].data.as_deref()), (Some("S"), Some("R")));
        assert_eq!(message.extra[OWN], json!([server]));
        assert_eq!(message.extra["citations"][0]["title"], "t");
        let calls = message.tool_calls.as_ref().unwrap();
        assert_eq!(calls[0].function.as_ref().unwrap().arguments.as_deref(), Some("{}"));
        assert_eq!(response.extra["trace"]["x"], 1);
    }

    #[test]
    fn nothing_is_no_answer() {
        let read = |body: &str| whole(body.as_bytes(), String::new(), "m").map(|_| ()).unwrap_err().kind;
        assert_eq!(
            read(r#"{"output":{"message":{"content":[]}},"stopReason":"end_turn"}"#),
            ErrorKind::Empty
        );
        assert_eq!(read(r#"{"message":"x"}"#), ErrorKind::Nonsense);
        assert_eq!(read("<html>"), ErrorKind::Nonsense);
    }
}
