//! Clients that speak OpenAI's format: the identity.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use serde::de::DeserializeOwned;
use weir_adapter::{Encoder, Front, InvalidRequest, Operation, Peek, Replay, Request};
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::peek::{Members, as_bool, as_str, as_u64, key_bytes};

/// Clients that speak OpenAI's format.
pub(crate) struct OpenAi;

impl Front for OpenAi {
    fn dialect(&self) -> &'static str {
        crate::DIALECT
    }

    fn peek(&self, operation: Operation, _head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        let members = Members::read(body)?;
        let mut glance =
            Glance { peek: Peek { choices: 1, ..Peek::default() }, input: None, limit: None, queried: false };
        for member in &members.list {
            let value = &body[member.value.clone()];
            if value != b"null" {
                glance.member(operation, key_bytes(body, member), value)?;
            }
        }
        glance.finish(operation, members)
    }

    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        Ok(match operation {
            Operation::Chat => openai::Request::Chat(parse(body)?),
            Operation::Completions => openai::Request::Completions(parse(body)?),
            Operation::Embeddings => openai::Request::Embeddings(parse(body)?),
            other => return Err(elsewhere(other)),
        })
    }

    fn encoder(&self, request: &Request) -> Box<dyn Encoder> {
        Box::new(Writer { include_usage: request.peek().include_usage, usage: None })
    }

    fn error(&self, _status: u16, error: &openai::Error) -> Bytes {
        error.to_body().into()
    }

    fn error_event(&self, error: &openai::Error) -> Bytes {
        let mut out = BytesMut::new();
        sse::write(&mut out, "", &error.to_body());
        out.freeze()
    }

    fn replay(&self) -> Option<&dyn Replay> {
        Some(&crate::replay::OpenAi)
    }

    fn writes_rests(&self) -> bool {
        true
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["openai-beta", "http-referer", "x-title"]
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidRequest> {
    serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))
}

/// An operation that this front has no body for.
fn elsewhere(operation: Operation) -> InvalidRequest {
    InvalidRequest::value("model", format!("`{operation}` is asked for elsewhere"))
}

// === Peek ===

struct Glance {
    peek: Peek,
    /// Whether what the operation works on is there, and is not empty.
    input: Option<bool>,
    /// The newer spelling of the output limit.
    limit: Option<u64>,
    /// There is something to rank by.
    queried: bool,
}

/// OpenAI's own default where a client names no model.
const MODERATION: &str = "omni-moderation-latest";

/// Whether `stream` means something.
fn streams(operation: Operation) -> bool {
    !matches!(
        operation,
        Operation::Embeddings | Operation::Rerank | Operation::Moderations | Operation::Speech
    )
}

impl Glance {
    fn member(&mut self, operation: Operation, name: &[u8], value: &[u8]) -> Result<(), InvalidRequest> {
        let chat = operation == Operation::Chat;
        match name {
            b"model" => self.peek.model = text("model", value)?,
            b"stream" => {
                let stream = as_bool(value).ok_or_else(|| wrong("stream", "true or false"))?;
                self.peek.stream = stream && streams(operation);
            }
            b"stream_format" if operation == Operation::Speech => {
                self.peek.stream = text("stream_format", value)? == "sse";
            }
            b"stream_options" => self.peek.include_usage = include_usage(value)?,
            b"max_tokens" => self.peek.output_limit = Some(count("max_tokens", value)?),
            b"max_completion_tokens" if chat => self.limit = Some(count("max_completion_tokens", value)?),
            b"n" => {
                let choices = count("n", value)?;
                let choices = u32::try_from(choices).ok().filter(|choices| (1..=128).contains(choices));
                self.peek.choices = choices.ok_or_else(|| wrong("n", "a whole number from 1 to 128"))?;
            }
            b"user" => self.peek.user = Some(text("user", value)?),
            b"query" if operation == Operation::Rerank => {
                text("query", value)?;
                if is_empty(value) {
                    return Err(InvalidRequest::value("query", "`query` is empty; put something in"));
                }
                self.queried = true;
            }
            b"documents" if operation == Operation::Rerank => {
                if !value.starts_with(b"[") {
                    return Err(wrong("documents", "a list"));
                }
                self.input = Some(!is_empty(value));
            }
            b"input" if matches!(operation, Operation::Speech | Operation::Moderations) => {
                self.input = Some(!is_empty(value));
            }
            b"prompt" if matches!(operation, Operation::Images | Operation::ImageEdits) => {
                self.input = Some(!is_empty(value));
            }
            b"messages" if chat => {
                if !value.starts_with(b"[") {
                    return Err(wrong("messages", "a list"));
                }
                self.input = Some(!is_empty(value));
            }
            b"prompt" if operation == Operation::Completions => {
                if !value.starts_with(b"[") && !value.starts_with(b"\"") {
                    return Err(wrong("prompt", "a text or a list"));
                }
                self.input = Some(true);
            }
            b"input" if operation == Operation::Embeddings => self.input = Some(!is_empty(value)),
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self, operation: Operation, members: Members) -> Result<Peek, InvalidRequest> {
        if self.peek.model.is_empty() && operation == Operation::Moderations {
            MODERATION.clone_into(&mut self.peek.model);
        }
        if self.peek.model.is_empty() {
            return Err(InvalidRequest::missing("model"));
        }
        let name = match operation {
            Operation::Chat => "messages",
            Operation::Completions | Operation::Images | Operation::ImageEdits => "prompt",
            Operation::Embeddings | Operation::Speech | Operation::Moderations => "input",
            Operation::Rerank => "documents",
            // The file is looked for by who reads the form.
            Operation::ImageVariations | Operation::Transcriptions | Operation::Translations => "",
            Operation::CountTokens | Operation::Responses | Operation::Passthrough => {
                return Err(elsewhere(operation));
            }
        };
        if name.is_empty() {
            self.input = Some(true);
        }
        if operation == Operation::Rerank && !self.queried {
            return Err(InvalidRequest::missing("query"));
        }
        match self.input {
            None => return Err(InvalidRequest::missing(name)),
            Some(false) => {
                return Err(InvalidRequest::value(name, format!("`{name}` is empty; put something in")));
            }
            Some(true) => {}
        }
        self.peek.output_limit = self.limit.or(self.peek.output_limit);
        self.peek.include_usage &= self.peek.stream;
        self.peek.members = members;
        Ok(self.peek)
    }
}

fn wrong(name: &str, expected: &str) -> InvalidRequest {
    InvalidRequest::value(name, format!("`{name}` must be {expected}"))
}

fn text(name: &str, value: &[u8]) -> Result<String, InvalidRequest> {
    as_str(value).map(|text| text.into_owned()).ok_or_else(|| wrong(name, "a text"))
}

fn count(name: &str, value: &[u8]) -> Result<u64, InvalidRequest> {
    as_u64(value).ok_or_else(|| wrong(name, "a whole number from 0 up"))
}

fn include_usage(value: &[u8]) -> Result<bool, InvalidRequest> {
    if !value.starts_with(b"{") {
        return Err(wrong("stream_options", "an object"));
    }
    let members = Members::read(value)?;
    match members.value(value, "include_usage") {
        None => Ok(false),
        Some(raw) => as_bool(raw).ok_or_else(|| wrong("stream_options.include_usage", "true or false")),
    }
}

/// Whether a raw list or text has nothing in it.
fn is_empty(value: &[u8]) -> bool {
    let inner = &value[1..value.len().max(2) - 1];
    matches!(value[0], b'[' | b'"')
        && inner.iter().all(u8::is_ascii_whitespace)
        && (value[0] == b'[' || inner.is_empty())
}

// === Encoder ===

/// Writes replies that were translated. Usage goes in one chunk of its own, at the end, as OpenAI has it.
struct Writer {
    include_usage: bool,
    usage: Option<openai::Chunk>,
}

impl Encoder for Writer {
    fn whole(&mut self, response: openai::Response) -> Bytes {
        response.to_json().into()
    }

    fn chunk(&mut self, mut chunk: openai::Chunk, out: &mut BytesMut) {
        let (usage, nothing_else) = match &mut chunk {
            openai::Chunk::Chat(chat) => (chat.usage.take(), chat.choices.is_empty()),
            openai::Chunk::Completions(text) => (text.usage.take(), text.choices.is_empty()),
        };
        if let Some(usage) = usage {
            let mut last = match &chunk {
                openai::Chunk::Chat(chat) => {
                    openai::Chunk::Chat(openai::chat::Chunk { choices: Vec::new(), ..chat.clone() })
                }
                openai::Chunk::Completions(text) => {
                    openai::Chunk::Completions(openai::completions::Response {
                        choices: Vec::new(),
                        ..text.clone()
                    })
                }
            };
            match &mut last {
                openai::Chunk::Chat(chat) => chat.usage = Some(usage),
                openai::Chunk::Completions(text) => text.usage = Some(usage),
            }
            self.usage = Some(last);
            if nothing_else {
                return;
            }
        }
        sse::write(out, "", &chunk.to_json());
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(chunk) = self.usage.take().filter(|_| self.include_usage) {
            sse::write(out, "", &chunk.to_json());
        }
        sse::write(out, "", b"[DONE]");
    }
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
