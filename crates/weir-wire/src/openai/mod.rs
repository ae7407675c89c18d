//! OpenAI's types, extended where they can't carry what another dialect has.
//!
//! Every object keeps the members that it does not name (`extra`), so that reading and writing a body loses nothing.
//! What weir carries beyond OpenAI's own members, in the names that clients know from other OpenAI-compatible hosts:
//!
//! - reasoning: `reasoning_content` (text) and `reasoning_details` (OpenRouter's list, with signatures), on messages
//!   and deltas; see [`chat::ReasoningDetail`].
//! - `cache_control` on content parts, messages and tools, as Anthropic has it.
//! - `is_error` on a tool message, for a tool that failed.
//! - parts of other dialects in a content list, under their own `type`.

pub mod chat;
pub mod completions;
pub mod embeddings;
pub mod error;
pub mod usage;

pub use error::Error;

use serde_json::{Map, Value};

/// The members of an object that its type does not name.
pub type Extra = Map<String, Value>;

/// A request in OpenAI's form.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `POST /v1/chat/completions`.
    Chat(chat::Request),
    /// `POST /v1/completions`.
    Completions(completions::Request),
    /// `POST /v1/embeddings`.
    Embeddings(embeddings::Request),
}

/// A whole reply in OpenAI's form.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To a chat request.
    Chat(chat::Response),
    /// To a completions request.
    Completions(completions::Response),
    /// To an embeddings request.
    Embeddings(embeddings::Response),
}

/// One piece of a streamed reply in OpenAI's form.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// Of a chat stream.
    Chat(chat::Chunk),
    /// Of a completions stream: the same type as the whole reply.
    Completions(completions::Response),
}

impl Request {
    /// The chat request, if it is one.
    pub fn as_chat(&self) -> Option<&chat::Request> {
        match self {
            Request::Chat(request) => Some(request),
            _ => None,
        }
    }

    /// The body as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Request::Chat(request) => to_json(request),
            Request::Completions(request) => to_json(request),
            Request::Embeddings(request) => to_json(request),
        }
    }
}

impl Response {
    /// The body as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Response::Chat(response) => to_json(response),
            Response::Completions(response) => to_json(response),
            Response::Embeddings(response) => to_json(response),
        }
    }
}

impl Chunk {
    /// The data of the event as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Chunk::Chat(chunk) => to_json(chunk),
            Chunk::Completions(chunk) => to_json(chunk),
        }
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types hold string keys and numbers that JSON has")
}
