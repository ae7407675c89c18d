//! What the tests of this crate share: the descriptor, a front that forces translation, the vendor's description,
//! and a reading of Anthropic's replies that shares no code with the crate.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use serde_json::{Value, json};
use weir_adapter::adapter::{EncodeOptions, WireBody, WireRequest};
use weir_adapter::testkit::{Answer, Whole};
use weir_adapter::{
    Adapter, Decoder, Descriptor, Encoder, Front, InvalidRequest, Operation, Peek, Reader, ReplyForm, Request,
};
use weir_wire::openai;

/// The descriptor that weir ships.
pub(crate) fn descriptor() -> Descriptor {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/providers/anthropic.yaml");
    let text = std::fs::read_to_string(path).expect("the descriptor is there");
    serde_saphyr::from_str(&text).expect("the descriptor reads")
}

pub(crate) fn adapter() -> Arc<dyn Adapter> {
    weir_adapter_anthropic::adapter(descriptor())
}

/// Anthropic's front under another name: the adapter must translate.
pub(crate) struct Foreign(pub(crate) Arc<dyn Front>);

impl Front for Foreign {
    fn dialect(&self) -> &'static str {
        "foreign"
    }
    fn peek(&self, operation: Operation, head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        self.0.peek(operation, head, body)
    }
    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        self.0.decode(operation, body)
    }
    fn encoder(&self, request: &Request) -> Box<dyn Encoder> {
        self.0.encoder(request)
    }
    fn error(&self, status: u16, error: &openai::Error) -> Bytes {
        self.0.error(status, error)
    }
    fn error_event(&self, error: &openai::Error) -> Bytes {
        self.0.error_event(error)
    }
}

/// A front whose body is a chat request as it stands.
pub(crate) struct Chat;

impl Front for Chat {
    fn dialect(&self) -> &'static str {
        "chat"
    }
    fn peek(&self, _: Operation, _: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        let members = weir_wire::peek::Members::read(body)?;
        Ok(Peek { model: "public".to_owned(), members, ..Peek::default() })
    }
    fn decode(&self, _: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        let chat = serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))?;
        Ok(openai::Request::Chat(chat))
    }
    fn encoder(&self, _: &Request) -> Box<dyn Encoder> {
        unreachable!("chat replies are compared as types")
    }
    fn error(&self, _: u16, error: &openai::Error) -> Bytes {
        Bytes::from(error.to_body())
    }
    fn error_event(&self, error: &openai::Error) -> Bytes {
        Bytes::from(error.to_body())
    }
}

/// A request of this body through this front.
pub(crate) fn request(front: Arc<dyn Front>, body: &Value) -> Request {
    let raw = Bytes::from(body.to_string());
    let (head, ()) = http::Request::new(()).into_parts();
    let peek = front.peek(Operation::Chat, &head, &raw).expect("the body is one");
    Request::new(Operation::Chat, front, raw, peek)
}

/// The body that goes upstream, and what is reported.
pub(crate) fn encoded(front: Arc<dyn Front>, body: &Value, model: &str) -> (Value, WireRequest) {
    let wire = adapter()
        .encode(&request(front, body), &EncodeOptions::new(model))
        .unwrap_or_else(|error| panic!("{error}: {body}"));
    (json_of(&wire), wire)
}

pub(crate) fn json_of(wire: &WireRequest) -> Value {
    let WireBody::Bytes(bytes) = &wire.body else { panic!("a body of bytes") };
    serde_json::from_slice(bytes).expect("JSON goes upstream")
}

/// A chat request as Anthropic gets it.
pub(crate) fn chat(body: Value, model: &str) -> (Value, Vec<String>) {
    let (json, wire) = encoded(Arc::new(Chat), &body, model);
    (json, wire.dropped)
}

pub(crate) fn decoder() -> Box<dyn Decoder> {
    let request = request(Arc::new(Chat), &json!({"messages": []}));
    match adapter().reply_form(&request) {
        ReplyForm::Foreign(decoder) => decoder,
        ReplyForm::Native(_) => panic!("chat is foreign"),
    }
}

pub(crate) fn reader() -> Box<dyn Reader> {
    let request = request(weir_adapter_anthropic::front(), &json!({"model": "m", "messages": []}));
    match adapter().reply_form(&request) {
        ReplyForm::Native(reader) => reader,
        ReplyForm::Foreign(_) => panic!("messages are native"),
    }
}

/// A reply as the front writes it: the events.
pub(crate) fn written(chunks: &[openai::Chunk]) -> Vec<u8> {
    let front = weir_adapter_anthropic::front();
    let mut encoder = front.encoder(&request(front.clone(), &json!({"model": "m", "messages": []})));
    let mut out = BytesMut::new();
    chunks.iter().for_each(|chunk| encoder.chunk(chunk.clone(), &mut out));
    encoder.end(&mut out);
    out.to_vec()
}

/// A whole reply as the front writes it.
pub(crate) fn written_whole(response: openai::Response) -> Value {
    let front = weir_adapter_anthropic::front();
    let mut encoder = front.encoder(&request(front.clone(), &json!({"model": "m", "messages": []})));
    serde_json::from_slice(&encoder.whole(response)).expect("JSON")
}

// === The vendor's description ===

/// Checks bodies against the vendor's own description, where it is there.
pub(crate) struct Spec {
    stable: jsonschema::Validator,
    beta: jsonschema::Validator,
}

impl Spec {
    pub(crate) fn load() -> Option<Spec> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs/anthropic.openapi.yaml");
        let text = std::fs::read(path).ok()?;
        let spec: Value = serde_json::from_slice(&text).expect("the description is JSON");
        let schemas = serde_json::to_string(&spec["components"]["schemas"]).expect("JSON");
        let schemas: Value =
            serde_json::from_str(&schemas.replace("#/components/schemas/", "#/$defs/")).expect("JSON");
        let validator = |name: &str| {
            let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": format!("#/$defs/{name}"), "$defs": schemas});
            jsonschema::validator_for(&schema).expect("the description holds schemas")
        };
        Some(Spec { stable: validator("CreateMessageParams"), beta: validator("BetaCreateMessageParams") })
    }

    /// What is wrong with a body, by both descriptions.
    pub(crate) fn problem(&self, body: &Value) -> Option<String> {
        if self.beta.is_valid(body) || self.stable.is_valid(body) {
            return None;
        }
        let errors: Vec<String> =
            self.beta.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        Some(errors.join("; "))
    }
}

// === An independent reading of Anthropic's replies ===

/// What a reply says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// Text and signature of each thinking block; data of each redacted one.
    pub(crate) thinking: Vec<(String, String)>,
    /// Id, name and input.
    pub(crate) calls: Vec<(String, String, Value)>,
    pub(crate) stop: String,
    /// Input, output, read from and written to the cache.
    pub(crate) usage: [u64; 4],
}

impl Said {
    pub(crate) fn of_message(message: &Value) -> Said {
        let mut said = Said { stop: text(&message["stop_reason"]), ..Said::default() };
        said.usage(&message["usage"]);
        for block in message["content"].as_array().expect("content") {
            match block["type"].as_str().expect("a type") {
                "text" => said.text.push_str(&text(&block["text"])),
                "thinking" => said.thinking.push((text(&block["thinking"]), text(&block["signature"]))),
                "redacted_thinking" => said.thinking.push((String::new(), text(&block["data"]))),
                "tool_use" => {
                    said.calls.push((text(&block["id"]), text(&block["name"]), block["input"].clone()))
                }
                _ => {}
            }
        }
        said
    }

    /// Puts the blocks of a stream together, then reads the message.
    pub(crate) fn of_stream(stream: &[u8]) -> Said {
        Said::of_message(&assemble(stream))
    }

    /// Of what weir made of it.
    pub(crate) fn of_whole(whole: &Whole) -> Said {
        let answer: &Answer = &whole.answers[&0];
        let usage = whole.usage.clone().unwrap_or_default();
        let details = usage.prompt_tokens_details.unwrap_or_default();
        let (read, written) = (details.cached_tokens.unwrap_or(0), details.cache_write_tokens.unwrap_or(0));
        let thinking: Vec<(String, String)> = answer
            .reasoning_details
            .iter()
            .map(|detail| match detail.kind.as_str() {
                "reasoning.encrypted" => (String::new(), detail.data.clone().unwrap_or_default()),
                _ => (detail.text.clone().unwrap_or_default(), detail.signature.clone().unwrap_or_default()),
            })
            .collect();
        let shown: String = thinking.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(answer.reasoning, shown, "both forms of the reasoning say the same");
        let parse = |text: &str| serde_json::from_str(text).expect("arguments are JSON");
        let calls = answer.calls.values();
        Said {
            text: answer.text.clone(),
            thinking,
            calls: calls.map(|call| (call.id.clone(), call.name.clone(), parse(&call.arguments))).collect(),
            stop: answer.finish_reason.clone().unwrap_or_default(),
            usage: [usage.prompt_tokens - read - written, usage.completion_tokens, read, written],
        }
    }

    /// With OpenAI's word for the end.
    pub(crate) fn in_openai(mut self) -> Said {
        self.stop = match self.stop.as_str() {
            "max_tokens" | "model_context_window_exceeded" => "length",
            "tool_use" => "tool_calls",
            "refusal" => "content_filter",
            _ => "stop",
        }
        .to_owned();
        self
    }

    fn usage(&mut self, usage: &Value) {
        let names =
            ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
        for (at, name) in names.iter().enumerate() {
            self.usage[at] = usage[*name].as_u64().unwrap_or(self.usage[at]);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The message that a stream makes.
pub(crate) fn assemble(stream: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    for line in std::str::from_utf8(stream).expect("text").lines() {
        let Some(data) = line.strip_prefix("data:") else { continue };
        let event: Value = serde_json::from_str(data).expect("JSON");
        let at = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().expect("a type") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("content");
                assert_eq!(content.len(), at, "blocks begin in order");
                content.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][at], &event["delta"]);
                let mut add = |name: &str| block[name] = (text(&block[name]) + &text(&delta[name])).into();
                match delta["type"].as_str().expect("a type") {
                    "text_delta" => add("text"),
                    "thinking_delta" => add("thinking"),
                    "signature_delta" => add("signature"),
                    "input_json_delta" => inputs[at].push_str(&text(&delta["partial_json"])),
                    "citations_delta" => match block["citations"].as_array_mut() {
                        Some(citations) => citations.push(delta["citation"].clone()),
                        None => block["citations"] = json!([delta["citation"]]),
                    },
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" => {
                if !inputs[at].is_empty() {
                    message["content"][at]["input"] = serde_json::from_str(&inputs[at]).expect("JSON");
                }
            }
            "message_delta" => {
                for (name, value) in event["delta"].as_object().expect("a delta") {
                    message[name] = value.clone();
                }
                for (name, value) in event["usage"].as_object().expect("usage") {
                    message["usage"][name] = value.clone();
                }
            }
            "message_stop" | "ping" => {}
            other => panic!("{other}"),
        }
    }
    message
}
