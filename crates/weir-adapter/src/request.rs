//! A client's request: the bytes as sent, and what a glance at them tells.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use weir_wire::openai;
use weir_wire::peek::Members;

use crate::front::{Front, InvalidRequest};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A chat completion, in whichever dialect it is asked for.
    Chat,
    /// A text completion.
    Completions,
    /// Embeddings.
    Embeddings,
    /// How many tokens a chat would have, without having it.
    CountTokens,
    /// In descriptors: the provider has OpenAI's Responses API itself. Calls of that dialect are chats.
    Responses,
}

impl Operation {
    /// The name in rows, metrics and descriptors.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::CountTokens => "count_tokens",
            Operation::Responses => "responses",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a glance at a body tells, without parsing it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peek {
    /// The model that the client names.
    pub model: String,
    /// The members of the outermost object.
    pub members: Members,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// Whether the client asked for a usage chunk. Dialects that always have usage say `true`.
    pub include_usage: bool,
    /// The most tokens to make, as the client set it.
    pub output_limit: Option<u64>,
    /// How many choices are asked for, 1 as a rule.
    pub choices: u32,
    /// The end user whom the client names.
    pub user: Option<String>,
}

/// A client's request.
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// The call's own id, for dialects whose answers have ids that last; empty where there is none.
    pub id: String,
    /// The client's headers that may travel on to a provider of the same dialect, by the front's allow-list.
    pub headers: HeaderMap,
    /// The query of the client's URL, without `?`; fronts decide what of it travels.
    pub query: Option<String>,
    front: Arc<dyn Front>,
    raw: Bytes,
    peek: Peek,
    typed: OnceLock<Result<openai::Request, InvalidRequest>>,
}

impl Request {
    /// A request whose body was peeked at by `front`.
    pub fn new(operation: Operation, front: Arc<dyn Front>, raw: Bytes, peek: Peek) -> Request {
        Request {
            operation,
            id: String::new(),
            headers: HeaderMap::new(),
            query: None,
            front,
            raw,
            peek,
            typed: OnceLock::new(),
        }
    }

    /// The model that the client names.
    pub fn model(&self) -> &str {
        &self.peek.model
    }

    /// What a glance told.
    pub fn peek(&self) -> &Peek {
        &self.peek
    }

    /// The body as sent.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The client's dialect.
    pub fn front(&self) -> &Arc<dyn Front> {
        &self.front
    }

    /// The body in OpenAI's form: parsed once, and only if asked.
    pub fn typed(&self) -> Result<&openai::Request, InvalidRequest> {
        self.typed.get_or_init(|| self.front.decode(self.operation, &self.raw)).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for Request {
    /// Without the body: prompts never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("dialect", &self.front.dialect())
            .field("model", &self.peek.model)
            .field("bytes", &self.raw.len())
            .finish_non_exhaustive()
    }
}
