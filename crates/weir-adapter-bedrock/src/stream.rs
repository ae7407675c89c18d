//! A reply as it arrives: one event a frame of AWS's binary event stream.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir_adapter::ids::digest;
use weir_adapter::{Decoder, ProviderError, Request};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::framing::eventstream::{self, Broken};
use weir_wire::openai::chat::{Chunk, ChunkChoice, Content, Delta, FunctionCall, ToolCall};
use weir_wire::openai::{self, Extra};

use crate::reply::{self, unreadable};
use crate::{error, usage};

/// Reads the reply to one request.
pub(crate) struct BedrockDecoder {
    id: String,
    model: String,
    blocks: BTreeMap<u64, Block>,
    calls: u32,
    begun: bool,
    stopped: bool,
    usage: Option<Usage>,
}

/// A block that has begun.
enum Block {
    /// Text or reasoning.
    Said,
    /// The client's function, with its place, and whether it has arguments.
    Call(u32, bool),
    /// What the provider's own tool is asked, or answers: goes on as a whole.
    Own(Value, String),
}

impl BedrockDecoder {
    pub(crate) fn new(request: &Request) -> BedrockDecoder {
        BedrockDecoder {
            // A reply has an id in its headers only, which a decoder does not see.
            id: format!("chatcmpl-{}", digest(request.raw())),
            model: request.model().to_owned(),
            blocks: BTreeMap::new(),
            calls: 0,
            begun: false,
            stopped: false,
            usage: None,
        }
    }

    fn event(
        &mut self,
        kind: &str,
        event: &Value,
        out: &mut Vec<openai::Chunk>,
    ) -> Result<(), ProviderError> {
        let at = event["contentBlockIndex"].as_u64().unwrap_or(0);
        let delta = match kind {
            "contentBlockStart" => self.open(at, &event["start"]),
            "contentBlockDelta" => self.piece(at, &event["delta"]),
            "contentBlockStop" => self.close(at),
            "messageStop" => return self.stop(event, out),
            "metadata" => {
                self.metadata(event, out);
                return Ok(());
            }
            _ => None,
        };
        if let Some(delta) = delta {
            self.push(delta, None, Extra::new(), out);
        }
        Ok(())
    }

    /// Only tools, results and pictures are announced; text and reasoning begin with their first piece.
    fn open(&mut self, at: u64, start: &Value) -> Option<Delta> {
        let (block, delta) = match start.get("toolUse") {
            Some(called) if called["type"] != "server_tool_use" => {
                let index = self.calls;
                self.calls += 1;
                let function = FunctionCall {
                    name: called["name"].as_str().map(str::to_owned),
                    arguments: Some(String::new()),
                    ..FunctionCall::default()
                };
                let call = ToolCall {
                    id: called["toolUseId"].as_str().map(str::to_owned),
                    kind: Some("function".to_owned()),
                    function: Some(function),
                    index: Some(index),
                    ..ToolCall::default()
                };
                let delta = Delta { tool_calls: Some(vec![call]), ..Delta::default() };
                (Block::Call(index, false), Some(delta))
            }
            _ => (Block::Own(start.clone(), String::new()), None),
        };
        self.blocks.insert(at, block);
        delta
    }

    fn piece(&mut self, at: u64, delta: &Value) -> Option<Delta> {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        match self.blocks.entry(at).or_insert(Block::Said) {
            Block::Said => said(delta, index),
            Block::Call(index, begun) => {
                let piece = delta["toolUse"]["input"].as_str().filter(|piece| !piece.is_empty())?;
                *begun = true;
                Some(arguments(*index, piece))
            }
            Block::Own(block, input) => {
                input.push_str(delta["toolUse"]["input"].as_str().unwrap_or_default());
                for piece in delta["toolResult"].as_array().into_iter().flatten() {
                    add(&mut block["toolResult"]["content"], piece);
                }
                if let Some(picture) = delta.get("image").and_then(Value::as_object) {
                    for (name, value) in picture {
                        block["image"][name] = value.clone();
                    }
                }
                None
            }
        }
    }

    fn close(&mut self, at: u64) -> Option<Delta> {
        match self.blocks.remove(&at)? {
            Block::Said | Block::Call(_, true) => None,
            // No arguments at all are an empty object.
            Block::Call(index, false) => Some(arguments(index, "{}")),
            Block::Own(mut block, input) => {
                if block.get("toolUse").is_some() {
                    block["toolUse"]["input"] =
                        serde_json::from_str(&input).unwrap_or_else(|_| Value::Object(Map::new()));
                }
                Some(beside(reply::OWN, block))
            }
        }
    }

    fn stop(&mut self, event: &Value, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        let reason = event["stopReason"].as_str().unwrap_or_default();
        let (word, mut extra) = reply::finish(reason, self.calls > 0)?;
        self.stopped = true;
        if let Some(fields) = event.get("additionalModelResponseFields").filter(|fields| !fields.is_null()) {
            extra.insert("additionalModelResponseFields".to_owned(), fields.clone());
        }
        self.push(Delta::default(), Some(word), extra, out);
        Ok(())
    }

    /// Comes behind the end, and holds what the whole used.
    fn metadata(&mut self, event: &Value, out: &mut Vec<openai::Chunk>) {
        self.usage = usage::classes(&event["usage"]);
        let Some(report) = usage::report(&event["usage"]) else { return };
        let mut chunk = Chunk { usage: Some(report), ..self.empty() };
        for name in ["trace", "metrics"] {
            if let Some(value) = event.get(name).filter(|value| !value.is_null()) {
                chunk.extra.insert(name.to_owned(), value.clone());
            }
        }
        out.push(openai::Chunk::Chat(chunk));
    }

    fn push(&mut self, mut delta: Delta, finish: Option<&str>, extra: Extra, out: &mut Vec<openai::Chunk>) {
        if !std::mem::replace(&mut self.begun, true) {
            delta.role = Some("assistant".to_owned());
        }
        let choice =
            ChunkChoice { delta, finish_reason: finish.map(str::to_owned), extra, ..ChunkChoice::default() };
        out.push(openai::Chunk::Chat(Chunk { choices: vec![choice], ..self.empty() }));
    }

    fn empty(&self) -> Chunk {
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            model: self.model.clone(),
            ..Chunk::default()
        }
    }
}

/// A piece of text, reasoning or a citation.
fn said(delta: &Value, index: u32) -> Option<Delta> {
    if let Some(text) = delta["text"].as_str() {
        return (!text.is_empty())
            .then(|| Delta { content: Some(Content::Text(text.to_owned())), ..Delta::default() });
    }
    if let Some(citation) = delta.get("citation") {
        return Some(beside("citations", citation.clone()));
    }
    let reasoning = &delta["reasoningContent"];
    let detail = if let Some(data) = reasoning["redactedContent"].as_str() {
        reply::redacted(data.to_owned(), index)
    } else if let Some(signature) = reasoning["signature"].as_str() {
        openai::chat::ReasoningDetail { signature: Some(signature.to_owned()), ..reply::signed(index) }
    } else {
        let text = reasoning["text"].as_str().filter(|text| !text.is_empty())?;
        let detail = openai::chat::ReasoningDetail { text: Some(text.to_owned()), ..reply::signed(index) };
        return Some(Delta {
            reasoning_content: Some(text.to_owned()),
            reasoning_details: Some(vec![detail]),
            ..Delta::default()
        });
    };
    Some(Delta { reasoning_details: Some(vec![detail]), ..Delta::default() })
}

/// Appends a piece of a tool's result: texts grow, all else follows.
fn add(content: &mut Value, piece: &Value) {
    if !content.is_array() {
        *content = json!([]);
    }
    let Some(list) = content.as_array_mut() else { return };
    match (list.last_mut().and_then(|last| last.get_mut("text")), piece["text"].as_str()) {
        (Some(Value::String(text)), Some(more)) => text.push_str(more),
        _ => list.push(piece.clone()),
    }
}

fn beside(name: &str, value: Value) -> Delta {
    let extra = std::iter::once((name.to_owned(), Value::Array(vec![value]))).collect();
    Delta { extra, ..Delta::default() }
}

fn arguments(index: u32, piece: &str) -> Delta {
    let function = FunctionCall { arguments: Some(piece.to_owned()), ..FunctionCall::default() };
    let call = ToolCall { function: Some(function), index: Some(index), ..ToolCall::default() };
    Delta { tool_calls: Some(vec![call]), ..Delta::default() }
}

impl Decoder for BedrockDecoder {
    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        let (response, used) = reply::whole(body, self.id.clone(), &self.model)?;
        self.usage = usage::classes(&used);
        Ok(openai::Response::Chat(response))
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        let message = eventstream::message(frame).map_err(|broken| match broken {
            Broken::Cut => ProviderError::truncated(),
            Broken::Damaged => ProviderError::nonsense("a frame of the provider's stream is damaged"),
        })?;
        match message.header(":message-type") {
            Some("exception") => {
                Err(error::in_stream(message.header(":exception-type").unwrap_or_default(), message.payload))
            }
            Some("error") => {
                let told = json!({"message": message.header(":error-message").unwrap_or_default()});
                let code = message.header(":error-code").unwrap_or_default();
                Err(error::in_stream(code, told.to_string().as_bytes()))
            }
            _ => {
                let event: Value =
                    serde_json::from_slice(message.payload).map_err(|problem| unreadable(&problem))?;
                self.event(message.header(":event-type").unwrap_or_default(), &event, out)
            }
        }
    }

    fn end(&mut self, _out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if self.stopped { Ok(()) } else { Err(ProviderError::truncated()) }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}
