//! Replies translated for clients of other dialects: into OpenAI's types, free of the provider's peculiarities.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir_adapter::{Decoder, Operation, ProviderError};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::openai;
use weir_wire::openai::usage::Convention;

use crate::chunk::{self, Data};
use crate::error;

type Object = Map<String, Value>;

/// Translates one reply.
pub(crate) struct ChatDecoder {
    operation: Operation,
    convention: Convention,
    usage: Option<Usage>,
    /// What the first chunk that says so calls the reply.
    id: String,
    model: String,
    created: u64,
    choices: BTreeMap<u64, Progress>,
    /// Something was said.
    begun: bool,
    done: bool,
}

/// What was seen of one answer.
#[derive(Default)]
struct Progress {
    /// Bytes of text so far, for hosts that repeat the whole message.
    text: usize,
    /// The ids of its tool calls, by index.
    calls: Vec<String>,
    finished: bool,
}

impl ChatDecoder {
    pub(crate) fn new(operation: Operation, convention: Convention) -> ChatDecoder {
        ChatDecoder {
            operation,
            convention,
            usage: None,
            id: String::new(),
            model: String::new(),
            created: 0,
            choices: BTreeMap::new(),
            begun: false,
            done: false,
        }
    }

    fn chunk(&mut self, mut value: Value, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        let object = value.as_object_mut().ok_or_else(not_a_reply)?;
        self.head(
            object,
            if self.operation == Operation::Chat { "chat.completion.chunk" } else { "text_completion" },
        );
        let reported = self.take_usage(object);
        let mut choices = match object.shift_remove("choices") {
            Some(Value::Array(choices)) => choices,
            _ => Vec::new(),
        };
        for (at, choice) in choices.iter_mut().enumerate() {
            let choice = choice.as_object_mut().ok_or_else(not_a_reply)?;
            self.choice_of_stream(choice, at as u64)?;
        }
        if choices.is_empty() && reported.is_none() {
            return Ok(());
        }
        object.insert("choices".to_owned(), Value::Array(choices));
        out.push(match self.operation {
            Operation::Completions => {
                let mut chunk: openai::completions::Response = typed(value)?;
                chunk.usage = reported;
                openai::Chunk::Completions(chunk)
            }
            _ => {
                let mut chunk: openai::chat::Chunk = typed(value)?;
                chunk.usage = reported;
                openai::Chunk::Chat(chunk)
            }
        });
        Ok(())
    }

    /// Gives each chunk the same id, model and time, whatever the host leaves out.
    fn head(&mut self, object: &mut Object, kind: &str) {
        let text = |object: &Object, name: &str| {
            object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        if self.id.is_empty() {
            self.id = text(object, "id");
        }
        if self.model.is_empty() {
            self.model = text(object, "model");
        }
        if self.created == 0 {
            let created = object.get("created").and_then(Value::as_f64).unwrap_or(0.0);
            self.created = created.max(0.0) as u64;
        }
        object.insert("id".to_owned(), json!(self.id));
        object.insert("object".to_owned(), json!(kind));
        object.insert("created".to_owned(), json!(self.created));
        object.insert("model".to_owned(), json!(self.model));
    }

    /// Takes the usage out of a reply, from either place.
    fn take_usage(&mut self, object: &mut Object) -> Option<openai::usage::Usage> {
        let own = object.shift_remove("usage").and_then(chunk::lenient);
        let groq = object.shift_remove("x_groq").and_then(|mut groq| groq.get_mut("usage").map(Value::take));
        let usage = own.or_else(|| groq.and_then(chunk::lenient))?;
        self.usage = Some(usage.classes(self.convention));
        Some(usage)
    }

    fn choice_of_stream(&mut self, choice: &mut Object, at: u64) -> Result<(), ProviderError> {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(at);
        choice.insert("index".to_owned(), json!(index));
        let progress = self.choices.entry(index).or_default();
        let ended = finish_reason(choice)?;
        progress.finished |= ended;
        self.begun |= ended;
        if self.operation == Operation::Completions {
            text_choice(choice);
            self.begun |= choice["text"] != "";
            return Ok(());
        }
        // Together repeats the text beside the delta, Perplexity the whole message.
        choice.shift_remove("text");
        let message = choice.shift_remove("message");
        let mut delta = match choice.shift_remove("delta") {
            Some(Value::Object(delta)) => delta,
            _ => progress.rest_of(message),
        };
        message_members(&mut delta);
        if let Some(text) = delta.get("content").and_then(Value::as_str) {
            progress.text += text.len();
        }
        let calls = delta.get_mut("tool_calls").and_then(Value::as_array_mut);
        for (at, call) in calls.into_iter().flatten().enumerate() {
            progress.call(call, at, &self.id, index)?;
        }
        self.begun |= delta.iter().any(|(name, member)| name != "role" && *member != "");
        choice.insert("delta".to_owned(), Value::Object(delta));
        Ok(())
    }

    fn chat(&mut self, mut value: Value) -> Result<openai::Response, ProviderError> {
        let object = value.as_object_mut().ok_or_else(not_a_reply)?;
        self.head(object, "chat.completion");
        let usage = self.take_usage(object);
        for (at, choice) in choices(object)?.iter_mut().enumerate() {
            let choice = choice.as_object_mut().ok_or_else(not_a_reply)?;
            choice.entry("index").or_insert_with(|| json!(at));
            finish_reason(choice)?;
            choice.shift_remove("delta");
            if let Some(Value::Object(message)) = choice.get_mut("message") {
                message.entry("role").or_insert_with(|| json!("assistant"));
                message_members(message);
                let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
                for (at, call) in calls.into_iter().flatten().enumerate() {
                    whole_call(call, at, &self.id)?;
                }
            }
        }
        let mut reply: openai::chat::Response = typed(value)?;
        reply.usage = usage;
        Ok(openai::Response::Chat(reply))
    }

    fn text(&mut self, mut value: Value) -> Result<openai::Response, ProviderError> {
        let object = value.as_object_mut().ok_or_else(not_a_reply)?;
        self.head(object, "text_completion");
        let usage = self.take_usage(object);
        for (at, choice) in choices(object)?.iter_mut().enumerate() {
            let choice = choice.as_object_mut().ok_or_else(not_a_reply)?;
            choice.entry("index").or_insert_with(|| json!(at));
            finish_reason(choice)?;
            text_choice(choice);
        }
        let mut reply: openai::completions::Response = typed(value)?;
        reply.usage = usage;
        Ok(openai::Response::Completions(reply))
    }

    fn embeddings(&mut self, mut value: Value) -> Result<openai::Response, ProviderError> {
        let object = value.as_object_mut().ok_or_else(not_a_reply)?;
        let usage = self.take_usage(object);
        if !object.get("data").is_some_and(Value::is_array) {
            return Err(not_a_reply());
        }
        object.retain(|_, member| !member.is_null());
        let mut reply: openai::embeddings::Response = typed(value)?;
        reply.usage = usage;
        Ok(openai::Response::Embeddings(reply))
    }
}

impl Decoder for ChatDecoder {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        let value: Value = serde_json::from_slice(body).map_err(|_| not_a_reply())?;
        fails(&value)?;
        match self.operation {
            Operation::Chat => self.chat(value),
            Operation::Completions => self.text(value),
            Operation::Embeddings => self.embeddings(value),
            _ => Err(not_a_reply()),
        }
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if self.done {
            return Ok(());
        }
        match chunk::data(frame)? {
            Data::None => Ok(()),
            Data::Done => {
                self.done = true;
                Ok(())
            }
            Data::Json { json, error, .. } => {
                let value: Value = serde_json::from_slice(&json).map_err(|_| not_a_reply())?;
                if error {
                    return Err(error::inside(&value));
                }
                fails(&value)?;
                self.chunk(value, out)
            }
            Data::Bare(json) => {
                fails(&serde_json::from_slice(json).map_err(|_| not_a_reply())?)?;
                Err(not_a_reply())
            }
        }
    }

    fn end(&mut self, _out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        match self.choices.values().all(|progress| progress.finished) {
            _ if !self.begun => Err(ProviderError::empty()),
            finished if finished || self.done => Ok(()),
            _ => Err(ProviderError::truncated()),
        }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}

impl Progress {
    /// A delta from a message that repeats all text: what is new in it.
    fn rest_of(&self, message: Option<Value>) -> Object {
        let mut delta = match message {
            Some(Value::Object(message)) => message,
            _ => return Object::new(),
        };
        if let Some(text) = delta.get("content").and_then(Value::as_str) {
            let rest = text.get(self.text..).unwrap_or_default().to_owned();
            delta.insert("content".to_owned(), Value::String(rest));
        }
        delta
    }

    /// Gives a piece of a tool call its index, and its first piece an id and a type.
    fn call(&mut self, call: &mut Value, at: usize, reply: &str, choice: u64) -> Result<(), ProviderError> {
        let call = call.as_object_mut().ok_or_else(not_a_reply)?;
        call.retain(|_, member| !member.is_null());
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let index = match call.get("index").and_then(Value::as_u64) {
            Some(index) => index as usize,
            // Without an index, an id that is new begins a call; a piece without an id goes on with the last.
            None if !id.is_empty() => {
                self.calls.iter().position(|known| *known == id).unwrap_or(self.calls.len())
            }
            None => self.calls.len().saturating_sub(1).max(at),
        };
        let begins = self.calls.get(index).is_none_or(String::is_empty);
        if self.calls.len() <= index {
            // An index out of any range is a host's mistake, not a reason to reserve memory.
            self.calls.resize(index.min(1024) + 1, String::new());
        }
        call.insert("index".to_owned(), json!(index));
        if begins {
            let id = if id.is_empty() { made_up(reply, choice, index) } else { id };
            if let Some(known) = self.calls.get_mut(index) {
                known.clone_from(&id);
            }
            call.insert("id".to_owned(), Value::String(id));
            call.insert("type".to_owned(), call.get("type").cloned().unwrap_or_else(|| json!("function")));
        }
        arguments(call, false);
        Ok(())
    }
}

/// An id for a call that has none: the same each time this reply is read.
fn made_up(reply: &str, choice: u64, index: usize) -> String {
    format!("call_{}_{choice}_{index}", reply.rsplit('-').next().unwrap_or_default())
}

fn whole_call(call: &mut Value, at: usize, reply: &str) -> Result<(), ProviderError> {
    let call = call.as_object_mut().ok_or_else(not_a_reply)?;
    call.retain(|_, member| !member.is_null());
    call.shift_remove("index");
    if call.get("id").and_then(Value::as_str).is_none_or(str::is_empty) {
        call.insert("id".to_owned(), Value::String(made_up(reply, 0, at)));
    }
    call.entry("type").or_insert_with(|| json!("function"));
    arguments(call, true);
    Ok(())
}

/// Arguments are JSON text, whatever the host makes of them.
fn arguments(call: &mut Object, whole: bool) {
    let Some(Value::Object(function)) = call.get_mut("function") else { return };
    let text = match function.get("arguments") {
        Some(Value::String(text)) if text.is_empty() && whole => "{}".to_owned(),
        Some(Value::String(_)) => return,
        None | Some(Value::Null) if whole => "{}".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    function.insert("arguments".to_owned(), Value::String(text));
    if function.get("name").is_some_and(Value::is_null) {
        function.shift_remove("name");
    }
}

/// What is common to messages and deltas: nulls go, reasoning gets one name, lists of parts become text.
fn message_members(message: &mut Object) {
    message.retain(|_, member| !member.is_null());
    if message.get("tool_calls").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        message.shift_remove("tool_calls");
    }
    if let Some(reasoning) = message.shift_remove("reasoning")
        && reasoning.is_string()
    {
        message.entry("reasoning_content").or_insert(reasoning);
    }
    if let Some(Value::Array(parts)) = message.get("content") {
        let (text, reasoning) = split(parts);
        message.insert("content".to_owned(), Value::String(text));
        if !reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), Value::String(reasoning));
        }
    }
}

/// The text and the reasoning of a list of parts (Mistral).
fn split(parts: &[Value]) -> (String, String) {
    let (mut text, mut reasoning) = (String::new(), String::new());
    for part in parts {
        match &part["thinking"] {
            Value::Array(pieces) => {
                pieces.iter().for_each(|piece| reasoning.push_str(piece["text"].as_str().unwrap_or_default()))
            }
            Value::String(piece) => reasoning.push_str(piece),
            _ => text.push_str(part["text"].as_str().unwrap_or_default()),
        }
    }
    (text, reasoning)
}

/// Puts OpenAI's word in the place of the host's. Whether the answer ends here.
fn finish_reason(choice: &mut Object) -> Result<bool, ProviderError> {
    if let Some(failed) = choice.get("error").filter(|failed| !failed.is_null()) {
        return Err(error::inside(failed));
    }
    let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) else { return Ok(false) };
    let word = chunk::finish(reason)?.into_owned();
    choice.insert("finish_reason".to_owned(), Value::String(word));
    Ok(true)
}

fn text_choice(choice: &mut Object) {
    if !choice.get("text").is_some_and(Value::is_string) {
        choice.insert("text".to_owned(), json!(""));
    }
}

fn choices(object: &mut Object) -> Result<&mut Vec<Value>, ProviderError> {
    match object.get_mut("choices") {
        Some(Value::Array(choices)) if choices.is_empty() => Err(ProviderError::empty()),
        Some(Value::Array(choices)) => Ok(choices),
        _ => Err(not_a_reply()),
    }
}

/// An error under status 200.
fn fails(value: &Value) -> Result<(), ProviderError> {
    let failed = value.get("error").is_some_and(|error| !error.is_null())
        || value.get("object") == Some(&json!("error"));
    if failed { Err(error::inside(value)) } else { Ok(()) }
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ProviderError> {
    serde_json::from_value(value).map_err(|_| not_a_reply())
}

fn not_a_reply() -> ProviderError {
    ProviderError::nonsense("the provider's answer has not the form of an answer")
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
