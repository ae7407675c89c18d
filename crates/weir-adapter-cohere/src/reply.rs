//! A whole reply in OpenAI's form.

use serde::Deserialize;
use serde_json::Value;
use weir_adapter::ProviderError;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{Choice, Content, FunctionCall, Message, Response, ToolCall};

use crate::{error, usage};

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    id: String,
    message: Option<Said>,
    finish_reason: Option<String>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    error: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Vec<Block>,
    tool_plan: Option<String>,
    tool_calls: Vec<Call>,
    citations: Vec<Value>,
}

/// A block of an answer, or a piece of one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Block {
    pub(crate) text: Option<String>,
    pub(crate) thinking: Option<String>,
}

/// A call, or a piece of one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Call {
    pub(crate) id: Option<String>,
    pub(crate) function: Function,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Function {
    pub(crate) name: Option<String>,
    pub(crate) arguments: Option<String>,
}

/// Why an answer ended, in OpenAI's word; or that it failed. What OpenAI has no word for stands in
/// `native_finish_reason`.
pub(crate) fn finish(reason: &str, told: &Value) -> Result<(&'static str, Extra), ProviderError> {
    let word = match reason {
        "COMPLETE" | "STOP_SEQUENCE" => "stop",
        "MAX_TOKENS" => "length",
        "TOOL_CALL" => "tool_calls",
        "ERROR_TOXIC" => "content_filter",
        "ERROR" | "TIMEOUT" | "ERROR_LIMIT" | "USER_CANCEL" => return Err(error::in_reply(reason, told)),
        other => {
            let named = ("native_finish_reason".to_owned(), other.into());
            return Ok(("stop", std::iter::once(named).collect()));
        }
    };
    Ok((word, Extra::new()))
}

/// A whole reply, with its usage as Cohere wrote it.
pub(crate) fn whole(body: &[u8], model: &str) -> Result<(Response, Value), ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
    let Some(said) = reply.message else {
        return Err(match reply.finish_reason.as_deref() {
            Some(reason) => error::in_reply(reason, &serde_json::json!({"error": reply.error})),
            None => ProviderError::nonsense("the provider's reply has no message"),
        });
    };
    let told = serde_json::json!({"error": reply.error});
    let (reason, extra) = finish(reply.finish_reason.as_deref().unwrap_or("COMPLETE"), &told)?;
    let message = message(said);
    if message.content.is_none() && message.tool_calls.is_none() && message.reasoning_content.is_none() {
        return Err(ProviderError::empty());
    }
    let choice = Choice { message, finish_reason: Some(reason.to_owned()), extra, ..Choice::default() };
    let response = Response {
        id: reply.id,
        object: "chat.completion".to_owned(),
        model: model.to_owned(),
        choices: vec![choice],
        usage: usage::report(&reply.usage),
        ..Response::default()
    };
    Ok((response, reply.usage))
}

fn message(said: Said) -> Message {
    let thinking: String = said.content.iter().filter_map(|block| block.thinking.as_deref()).collect();
    let texts: Vec<&str> = said.content.iter().filter_map(|block| block.text.as_deref()).collect();
    let plan = said.tool_plan.as_deref().filter(|plan| !plan.is_empty());
    let text: String = plan.into_iter().chain(texts.iter().copied()).collect();
    let has_text = plan.is_some() || !texts.is_empty();
    let calls: Vec<ToolCall> = said.tool_calls.into_iter().map(call).collect();
    let mut extra = Extra::new();
    if !said.citations.is_empty() {
        extra.insert("citations".to_owned(), Value::Array(said.citations));
    }
    Message {
        role: "assistant".to_owned(),
        content: has_text.then_some(Content::Text(text)),
        reasoning_content: Some(thinking).filter(|thinking| !thinking.is_empty()),
        tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
        extra,
        ..Message::default()
    }
}

fn call(call: Call) -> ToolCall {
    // Without arguments Cohere writes an empty text, or `null`.
    let arguments = call.function.arguments.filter(|text| !matches!(text.trim(), "" | "null"));
    ToolCall {
        id: call.id,
        kind: Some("function".to_owned()),
        function: Some(FunctionCall {
            name: call.function.name,
            arguments: Some(arguments.unwrap_or_else(|| "{}".to_owned())),
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
    use super::*;

    #[test]
    fn a_plan_is_text_and_missing_arguments_are_none() {
        let body = br#"{"id":"i","message":{"role":"assistant","tool_plan":"I look.","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"null"}}]},"finish_reason":"TOOL_CALL"}"#;
        let (reply, _) = whole(body, "m").unwrap();
        let choice = &reply.choices[0];
        assert_eq!(choice.message.text(), "I look.");
        let calls = choice.message.tool_calls.as_ref().unwrap();
        assert_eq!(calls[0].function.as_ref().unwrap().arguments.as_deref(), Some("{}"));
        assert_eq!(choice.finish_reason.as_deref(), Some("tool_calls"));
    }

    #[test]
    fn unknown_ends_keep_their_name_and_failures_fail() {
        let body = |reason: &str| {
            format!(
                r#"{{"message":{{"content":[{{"type":"text","text":"a"}}]}},"finish_reason":"{reason}"}}"#
            )
        };
        let (reply, _) = whole(body("NEW").as_bytes(), "m").unwrap();
        assert_eq!(reply.choices[0].extra["native_finish_reason"], "NEW");
        assert!(whole(body("ERROR").as_bytes(), "m").is_err());
        assert!(whole(br#"{"message":{"content":[]},"finish_reason":"COMPLETE"}"#, "m").is_err());
        assert!(whole(b"{}", "m").is_err());
    }
}
