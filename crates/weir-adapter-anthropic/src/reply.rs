//! A whole reply, in OpenAI's form.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use weir_adapter::ProviderError;
use weir_wire::openai::chat::{Choice, Content, FunctionCall, Message, ReasoningDetail, Response, ToolCall};
use weir_wire::openai::usage::Usage;

use crate::OUTPUT_TOOL;
use crate::carrier::{self, BLOCKS};
use crate::error;
use crate::finish;
use crate::wire;

/// Reads the body of a reply: a message, or an error under status 200.
pub(crate) fn parse(body: &[u8]) -> Result<wire::Message<'_>, ProviderError> {
    match serde_json::from_slice::<wire::Message<'_>>(body) {
        Ok(message) if message.kind == "message" => Ok(message),
        _ => Err(error::under_success(body)
            .unwrap_or_else(|| ProviderError::nonsense("the provider's reply is not a message"))),
    }
}

/// The message in OpenAI's form. `created` stays 0: an adapter has no clock.
pub(crate) fn translate(message: &wire::Message<'_>) -> Result<Response, ProviderError> {
    let mut answer = Answer::default();
    for (index, raw) in message.content.iter().enumerate() {
        answer
            .block(index as u32, raw)
            .map_err(|_| ProviderError::nonsense("a block of the reply does not read"))?;
    }
    let raw = || message.content.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect();
    let blocks: Option<Vec<Value>> = answer.special.then(raw);
    let mut choice =
        choice_end(message.stop_reason.as_deref(), message.stop_sequence.as_deref(), answer.only_output());
    if let Some(details) = &message.stop_details {
        choice.extra.insert("stop_details".to_owned(), details.clone());
    }
    choice.message = answer.message();
    if let Some(blocks) = blocks {
        choice.message.extra.insert(BLOCKS.to_owned(), Value::Array(blocks));
    }
    let mut response = Response {
        id: message.id.clone(),
        object: "chat.completion".to_owned(),
        model: message.model.clone(),
        choices: vec![choice],
        usage: message.usage.as_ref().map(report),
        ..Response::default()
    };
    if let Some(container) = &message.container {
        response.extra.insert("container".to_owned(), container.clone());
    }
    Ok(response)
}

/// Usage as OpenAI reports it.
pub(crate) fn report(usage: &wire::Usage) -> Usage {
    let classes = usage.classes();
    let mut report = Usage::report(&classes);
    let searches = classes.get(weir_wire::Class::Search, weir_wire::Unit::Search);
    if searches > 0 {
        report.extra.insert("server_tool_use".to_owned(), json!({"web_search_requests": searches}));
    }
    report
}

/// A choice with the reason why it ends and nothing else. An answer that only calls weir's own tool is text.
pub(crate) fn choice_end(reason: Option<&str>, sequence: Option<&str>, only_output: bool) -> Choice {
    let mut choice = Choice::default();
    let Some(reason) = reason else { return choice };
    let (word, native) = finish::to_openai(reason);
    let word = if only_output && word == "tool_calls" { "stop" } else { word };
    choice.finish_reason = Some(word.to_owned());
    if let Some(native) = native {
        choice.extra.insert("native_finish_reason".to_owned(), native.into());
    }
    if let Some(sequence) = sequence {
        choice.extra.insert("stop_sequence".to_owned(), sequence.into());
    }
    choice
}

/// One citation as OpenAI annotates it: pages of the web by its own type, others as they are, with the place in the text.
pub(crate) fn annotation(citation: &Value, start: usize, end: usize) -> Value {
    let url = citation.get("url").and_then(Value::as_str);
    match (citation["type"].as_str(), url) {
        (Some("web_search_result_location"), Some(url)) => json!({"type": "url_citation", "url_citation": {
            "url": url, "title": citation["title"].as_str().unwrap_or_default(), "start_index": start, "end_index": end,
        }}),
        _ => {
            let mut annotation = citation.clone();
            if let Value::Object(members) = &mut annotation {
                members.insert("start_index".to_owned(), start.into());
                members.insert("end_index".to_owned(), end.into());
            }
            annotation
        }
    }
}

/// Whether a block has what OpenAI's members can't hold.
pub(crate) fn is_special(block: &wire::Block<'_>) -> bool {
    match &*block.kind {
        "text" => block.citations.as_ref().is_some_and(|citations| !citations.is_empty()),
        "tool_use" => block.caller.as_ref().is_some_and(|caller| caller.kind != "direct"),
        "thinking" | "redacted_thinking" => false,
        _ => true,
    }
}

/// The members of a message, as its blocks fill them.
#[derive(Default)]
struct Answer {
    text: String,
    characters: usize,
    reasoning: String,
    details: Vec<ReasoningDetail>,
    calls: Vec<ToolCall>,
    annotations: Vec<Value>,
    output: bool,
    special: bool,
}

impl Answer {
    fn block(&mut self, index: u32, raw: &RawValue) -> serde_json::Result<()> {
        let block: wire::Block<'_> = serde_json::from_str(raw.get())?;
        self.special |= is_special(&block);
        match &*block.kind {
            "text" => self.text(block.text.unwrap_or_default(), block.citations.unwrap_or_default()),
            "thinking" => {
                let text = block.thinking.unwrap_or_default();
                self.reasoning.push_str(&text);
                self.details.push(carrier::text(text, block.signature, index));
            }
            "redacted_thinking" => {
                self.details.push(carrier::encrypted(block.data.unwrap_or_default(), index))
            }
            "tool_use" if block.name.as_deref() == Some(OUTPUT_TOOL) => {
                self.output = true;
                self.text(block.input.map(|input| input.get().to_owned()).unwrap_or_default(), Vec::new());
            }
            "tool_use" => self.calls.push(ToolCall {
                id: block.id,
                kind: Some("function".to_owned()),
                function: Some(FunctionCall {
                    name: block.name,
                    arguments: Some(block.input.map_or("{}", RawValue::get).to_owned()),
                    ..FunctionCall::default()
                }),
                ..ToolCall::default()
            }),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: String, citations: Vec<Value>) {
        let start = self.characters;
        self.characters += text.chars().count();
        self.text.push_str(&text);
        let end = self.characters;
        self.annotations.extend(citations.iter().map(|citation| annotation(citation, start, end)));
    }

    fn only_output(&self) -> bool {
        self.output && self.calls.is_empty()
    }

    fn message(self) -> Message {
        fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
            Some(list).filter(|list| !list.is_empty())
        }
        Message {
            role: "assistant".to_owned(),
            content: Some(self.text).filter(|text| !text.is_empty()).map(Content::Text),
            reasoning_content: Some(self.reasoning).filter(|text| !text.is_empty()),
            reasoning_details: some(self.details),
            tool_calls: some(self.calls),
            annotations: some(self.annotations),
            ..Message::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(body: Value) -> Response {
        let body = body.to_string();
        translate(&parse(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn blocks_become_members() {
        let response = translated(
            json!({"type": "message", "id": "msg_1", "model": "claude", "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s=="}, {"type": "redacted_thinking", "data": "d=="},
                {"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1.0}}
            ], "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4}}),
        );
        let choice = &response.choices[0];
        assert_eq!(
            serde_json::to_value(&choice.message).unwrap(),
            json!({
                "role": "assistant", "content": "a", "reasoning_content": "hm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "s==", "format": "anthropic-claude-v1", "index": 0},
                    {"type": "reasoning.encrypted", "data": "d==", "format": "anthropic-claude-v1", "index": 1}
                ],
                "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1.0}"}}],
            })
        );
        assert_eq!(choice.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!(response.usage.unwrap().total_tokens, 7);
    }

    #[test]
    fn blocks_that_openai_lacks_are_carried_whole() {
        let content = json!([
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "é is"},
            {"type": "text", "text": " it", "citations": [{"type": "web_search_result_location", "url": "u", "title": "t",
                "encrypted_index": "e", "cited_text": "c"}]}
        ]);
        let response = translated(json!({"type": "message", "content": content, "stop_reason": "end_turn"}));
        let message = &response.choices[0].message;
        assert_eq!(message.text(), "é is it");
        assert_eq!(message.extra[BLOCKS], content);
        let expected = json!([{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 4, "end_index": 7}}]);
        assert_eq!(serde_json::to_value(&message.annotations).unwrap(), expected);
    }

    #[test]
    fn the_output_tool_is_text() {
        let response = translated(json!({"type": "message", "content": [
            {"type": "tool_use", "id": "t", "name": OUTPUT_TOOL, "input": {"a": 1}}], "stop_reason": "tool_use"}));
        assert_eq!(response.choices[0].message.text(), r#"{"a":1}"#);
        assert_eq!(response.choices[0].finish_reason.as_deref(), Some("stop"));
    }

    #[test]
    fn a_refusal_has_no_content() {
        let response = translated(json!({"type": "message", "content": [], "stop_reason": "refusal",
            "stop_details": {"type": "refusal", "category": "bio"}}));
        let choice = &response.choices[0];
        assert_eq!(
            (choice.message.content.clone(), choice.finish_reason.as_deref()),
            (None, Some("content_filter"))
        );
        assert_eq!(choice.extra["stop_details"]["category"], "bio");
    }

    #[test]
    fn errors_and_nonsense() {
        let error = parse(br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
            .unwrap_err();
        assert_eq!(error.kind, weir_adapter::ErrorKind::Overloaded);
        assert_eq!(parse(b"<html>").unwrap_err().kind, weir_adapter::ErrorKind::Nonsense);
        assert_eq!(parse(br#"{"id":"x"}"#).unwrap_err().kind, weir_adapter::ErrorKind::Nonsense);
    }
}
