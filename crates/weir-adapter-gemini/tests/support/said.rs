//! What a recorded reply says, read straight from its JSON: independent of the adapter's types and ways.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_adapter::testkit::Whole;
use weir_adapter::{ErrorKind, ProviderError};
use weir_wire::openai::{self, chat};

/// What a reply says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    answers: BTreeMap<u64, Answer>,
    /// Prompt, completion, reasoning, cached.
    usage: Option<[u64; 4]>,
    failure: Option<ErrorKind>,
    /// Each signature with its part: `text:…`, `thought:…`, `call:NAME`, the member's name.
    pub(crate) signatures: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Answer {
    text: String,
    thoughts: String,
    calls: Vec<(String, Value)>,
    ids: Vec<Option<String>>,
    finish: Option<Value>,
    images: usize,
}

/// The replies in a body: events, the elements of a list, or one; an error behind events is one more.
pub(crate) fn frames_of(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).expect("recordings are UTF-8");
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return match value {
            Value::Array(frames) => frames,
            one => vec![one],
        };
    }
    let mut frames = Vec::new();
    let mut rest = String::new();
    for line in text.lines() {
        match line.strip_prefix("data:") {
            Some(data) => frames.push(serde_json::from_str(data).expect("an event is JSON")),
            None => rest.push_str(line),
        }
    }
    if !rest.trim().is_empty() {
        frames.push(serde_json::from_str(&rest).expect("what is no event is JSON"));
    }
    frames
}

impl Said {
    pub(crate) fn of(frames: &[Value]) -> Said {
        let mut said = Said::default();
        let mut parts = Vec::new();
        for frame in frames {
            if frame.get("error").is_some() {
                said.failure = Some(ErrorKind::Server);
            }
            if frame["promptFeedback"]["blockReason"].is_string() && frame.get("candidates").is_none() {
                said.failure = Some(ErrorKind::ContentFilter);
            }
            let usage = &frame["usageMetadata"];
            if usage["totalTokenCount"].is_u64() {
                let count = |name: &str| usage[name].as_u64().unwrap_or(0);
                let prompt = count("promptTokenCount") + count("toolUsePromptTokenCount");
                let thoughts = count("thoughtsTokenCount");
                let completion = count("candidatesTokenCount") + thoughts;
                // The sum that holds in every recording that has all of its terms.
                if usage["candidatesTokenCount"].is_u64() {
                    assert_eq!(prompt + completion, count("totalTokenCount"));
                }
                said.usage = Some([prompt, completion, thoughts, count("cachedContentTokenCount")]);
            }
            for candidate in frame["candidates"].as_array().into_iter().flatten() {
                let answer = said.answers.entry(candidate["index"].as_u64().unwrap_or(0)).or_default();
                for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                    answer.part(part);
                    parts.push(part.clone());
                }
                if candidate.get("finishReason").is_some() {
                    answer.finish = Some(candidate["finishReason"].clone());
                }
            }
        }
        said.signatures = signed(&parts);
        said
    }

    /// Whether the adapter read just that.
    pub(crate) fn compare(&self, read: &Result<(Whole, chat::Message), ProviderError>) -> Result<(), String> {
        let whole = match (read, self.failure) {
            (Ok((whole, _)), None) => whole,
            (Err(error), Some(kind)) if error.kind == kind => return Ok(()),
            (read, failure) => return Err(format!("{read:?}, but the recording is {failure:?}")),
        };
        if whole.answers.len() != self.answers.len() {
            return Err(format!("{} answers instead of {}", whole.answers.len(), self.answers.len()));
        }
        for (index, answer) in &self.answers {
            let read = whole.answers.get(&(*index as u32)).ok_or("an answer is not there")?;
            same("text", &answer.text, &read.text)?;
            same("reasoning", &answer.thoughts, &read.reasoning)?;
            same("finish reason", &Some(answer.finish_reason()), &read.finish_reason)?;
            let calls = |call: &weir_adapter::testkit::Call| {
                (call.name.clone(), serde_json::from_str::<Value>(&call.arguments).unwrap_or_default())
            };
            same("calls", &answer.calls, &read.calls.values().map(calls).collect::<Vec<_>>())?;
            for (given, call) in answer.ids.iter().zip(read.calls.values()) {
                match given {
                    Some(given) => same("id", given, &call.id)?,
                    None if call.id.len() > 8 => {}
                    None => return Err(format!("a made id `{}`", call.id)),
                }
            }
        }
        let usage = whole.usage.as_ref().map(|usage| {
            let reasoning =
                usage.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
            let cached = usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
            [usage.prompt_tokens, usage.completion_tokens, reasoning.unwrap_or(0), cached.unwrap_or(0)]
        });
        same("usage", &self.usage, &usage)
    }
}

impl Answer {
    fn part(&mut self, part: &Value) {
        let text = part["text"].as_str().unwrap_or_default();
        match part["thought"].as_bool() {
            Some(true) => self.thoughts.push_str(text),
            _ => self.text.push_str(text),
        }
        if let Some(call) = part.get("functionCall") {
            self.calls.push((call["name"].as_str().expect("a name").to_owned(), call["args"].clone()));
            self.ids.push(call["id"].as_str().map(str::to_owned));
        }
        self.images += usize::from(part.get("inlineData").is_some());
    }

    fn finish_reason(&self) -> String {
        let word = match &self.finish {
            Some(Value::Number(number)) => {
                ["", "STOP", "MAX_TOKENS"][number.as_u64().expect("a number") as usize]
            }
            Some(Value::String(word)) => word,
            _ => "STOP",
        };
        let word = match word {
            "MAX_TOKENS" => "length",
            "SAFETY" | "RECITATION" => "content_filter",
            "STOP" if !self.calls.is_empty() => "tool_calls",
            "STOP" => "stop",
            other => panic!("no recording ended with {other} so far"),
        };
        word.to_owned()
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, actual: &T) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("{what}: {actual:?} instead of {expected:?}")) }
}

/// Each signature with the kind of its part, in order.
pub(crate) fn signed(parts: &[Value]) -> Vec<(String, String)> {
    let signature = |part: &Value| part.get("thoughtSignature").and_then(Value::as_str).map(str::to_owned);
    parts.iter().filter_map(|part| Some((kind(part), signature(part)?))).collect()
}

fn kind(part: &Value) -> String {
    if let Some(call) = part.get("functionCall") {
        return format!("call:{}:{}", call["name"].as_str().unwrap_or_default(), call["args"]);
    }
    match (part["text"].as_str(), part["thought"].as_bool()) {
        (Some(text), Some(true)) => format!("thought:{text}"),
        (Some(text), _) => format!("text:{text}"),
        _ => part
            .as_object()
            .into_iter()
            .flat_map(|part| part.keys())
            .find(|name| *name != "thoughtSignature")
            .cloned()
            .unwrap_or_default(),
    }
}

/// A stream's first answer as a client puts it together: texts appended, calls and details by index.
pub(crate) fn assemble(chunks: &[openai::Chunk]) -> chat::Message {
    let whole = Whole::of_chunks(chunks);
    let answer = whole.answers.get(&0).cloned().unwrap_or_default();
    let mut calls = Vec::new();
    let mut details: Vec<chat::ReasoningDetail> = Vec::new();
    for chunk in chunks {
        let openai::Chunk::Chat(chunk) = chunk else { continue };
        for choice in &chunk.choices {
            calls.extend(choice.delta.tool_calls.iter().flatten().cloned());
            for detail in choice.delta.reasoning_details.iter().flatten() {
                match details.iter_mut().find(|known| known.index == detail.index) {
                    Some(known) => {
                        known.text = Some(
                            known.text.clone().unwrap_or_default()
                                + detail.text.as_deref().unwrap_or_default(),
                        );
                        known.signature = detail.signature.clone().or(known.signature.take());
                    }
                    None => details.push(detail.clone()),
                }
            }
        }
    }
    chat::Message {
        role: "assistant".to_owned(),
        content: Some(chat::Content::Text(answer.text)),
        tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
        reasoning_details: Some(details).filter(|details| !details.is_empty()),
        ..chat::Message::default()
    }
}
