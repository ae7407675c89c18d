//! One client dialect, the mirror of an adapter. OpenAI's is the identity.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use weir_wire::openai;
use weir_wire::peek::PeekError;

use crate::replay::Replay;
use crate::request::{Operation, Peek, Request};

/// A body that is refused before anything is sent: always the client's to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidRequest {
    /// What to change.
    pub message: String,
    /// OpenAI's word: `invalid_json`, `missing_required_parameter`, `invalid_value`, `unsupported_parameter`.
    pub code: &'static str,
    /// The parameter that is wrong.
    pub param: Option<String>,
}

impl InvalidRequest {
    /// A parameter that is missing.
    pub fn missing(param: &str) -> InvalidRequest {
        let message = format!("you must provide the parameter `{param}`");
        InvalidRequest { message, code: "missing_required_parameter", param: Some(param.to_owned()) }
    }

    /// A parameter with a wrong value.
    pub fn value(param: &str, message: impl Into<String>) -> InvalidRequest {
        InvalidRequest { message: message.into(), code: "invalid_value", param: Some(param.to_owned()) }
    }

    /// A body that the types can't hold.
    pub fn body(error: &serde_json::Error) -> InvalidRequest {
        InvalidRequest { message: format!("body does not fit: {error}"), code: "invalid_value", param: None }
    }
}

impl From<PeekError> for InvalidRequest {
    fn from(error: PeekError) -> InvalidRequest {
        InvalidRequest { message: error.to_string(), code: "invalid_json", param: None }
    }
}

/// One client dialect.
pub trait Front: Send + Sync {
    /// `openai`, `anthropic`, …: an adapter of the same dialect passes bytes through.
    fn dialect(&self) -> &'static str;

    /// A glance at a body: model, stream, limits.
    ///
    /// # Errors
    /// A body that is not a JSON object, has a duplicate key, no model, or a member of the wrong type.
    fn peek(&self, operation: Operation, head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest>;

    /// The whole body, in OpenAI's form.
    ///
    /// # Errors
    /// A body that the dialect does not allow.
    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest>;

    /// Writes one reply in this dialect.
    fn encoder(&self, request: &Request) -> Box<dyn Encoder>;

    /// The body of an error with this status.
    fn error(&self, status: u16, error: &openai::Error) -> Bytes;

    /// The last event of a stream that fails after it began.
    fn error_event(&self, error: &openai::Error) -> Bytes;

    /// How answers of this dialect are stored and served again; `None`: they are not.
    fn replay(&self) -> Option<&dyn Replay> {
        None
    }

    /// Whether an encoder of this dialect may write the rest of a stream whose beginning was the provider's own: nothing
    /// in the rest then names what only the provider's beginning has.
    fn writes_rests(&self) -> bool {
        false
    }

    /// Client headers, in lower case, that travel on to a provider of the same dialect.
    fn forwarded_headers(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Writes one reply in a client's dialect. Holds whatever must be remembered between chunks.
/// Usage stands in `usage` of the response or chunk; with `usage.cost` where the client shall see it.
pub trait Encoder: Send {
    /// A whole reply.
    fn whole(&mut self, response: openai::Response) -> Bytes;

    /// One piece of a stream, as complete events. Pieces that the client did not ask for (usage) give none.
    fn chunk(&mut self, chunk: openai::Chunk, out: &mut BytesMut);

    /// The end of a stream that went well, such as `[DONE]`.
    fn end(&mut self, out: &mut BytesMut);

    /// The end of a stream that failed after it began; `false` (and nothing written) where [`Front::error_event`]
    /// says all that the dialect has to say.
    fn error(&mut self, _error: &openai::Error, _out: &mut BytesMut) -> bool {
        false
    }
}
