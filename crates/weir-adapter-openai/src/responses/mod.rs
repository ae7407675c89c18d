//! Clients of `/v1/responses`, and providers that speak it themselves.
//!
//! Where the provider has the Responses API (`operations: [responses]` in its descriptor), bytes pass: [`native`]
//! splices the model in, [`read`] glances at the events. Elsewhere a request becomes a chat request, and the answer is
//! written as OpenAI writes it, events and all. What chat can't carry travels so:
//!
//! - `reasoning` items are `reasoning_details`. Those of other providers travel in `encrypted_content`, marked, so that
//!   a second turn brings signatures back byte for byte ([`carrier`]). OpenAI's own have `format: openai-responses-v1`.
//! - `custom` tools are functions with one text, `input`; tools in a `namespace` are functions called
//!   `namespace__name`. Both get their own form back in the answer ([`tools`]).
//! - tools that run at OpenAI (`web_search`, `code_interpreter`, …), their items, and parameters that chat lacks are
//!   members of the chat request under their own path (`tools[1]`, `input[3]`, `truncation`), so that whoever can't
//!   honour them reports them so.

mod calls;
mod carrier;
mod decode;
mod encode;
mod items;
pub(crate) mod native;
pub(crate) mod read;
mod tools;
mod whole;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use serde_json::{Value, json};
use weir_adapter::{Encoder, Front, InvalidRequest, Operation, Peek, Request};
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::peek::{Members, as_bool, as_str, as_u64};

/// The name of this dialect.
pub const DIALECT: &str = "openai-responses";

/// Clients of `/v1/responses`.
pub(crate) struct Responses;

impl Front for Responses {
    fn dialect(&self) -> &'static str {
        DIALECT
    }

    fn peek(&self, _operation: Operation, _head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        let members = Members::read(body)?;
        let text = |name: &str| match members.value(body, name).map(as_str) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text.into_owned())),
            Some(None) => Err(wrong(name, "a text")),
        };
        let flag = |name: &str| match members.value(body, name).map(as_bool) {
            None => Ok(false),
            Some(flag) => flag.ok_or_else(|| wrong(name, "true or false")),
        };
        let model = text("model")?
            .filter(|model| !model.is_empty())
            .ok_or_else(|| InvalidRequest::missing("model"))?;
        let stream = flag("stream")?;
        if flag("background")? {
            return Err(unsupported("background", "is not supported here: leave it out, or stream"));
        }
        for (name, what) in [
            ("prompt", "templates live at OpenAI: send their text as `instructions` and `input`"),
            ("conversation", "lives at OpenAI: send the turns before as `input`, or `previous_response_id`"),
        ] {
            if members.value(body, name).is_some() {
                return Err(unsupported(name, what));
            }
        }
        match members.value(body, "input") {
            None => return Err(InvalidRequest::missing("input")),
            Some(input) if !input.starts_with(b"\"") && !input.starts_with(b"[") => {
                return Err(wrong("input", "a text or a list of items"));
            }
            Some(b"\"\"" | b"[]") => {
                return Err(InvalidRequest::value("input", "`input` is empty; put something in"));
            }
            Some(_) => {}
        }
        let output_limit = match members.value(body, "max_output_tokens").map(as_u64) {
            None => None,
            Some(limit) => Some(limit.ok_or_else(|| wrong("max_output_tokens", "a whole number from 0 up"))?),
        };
        let user = text("safety_identifier")?.or(text("user")?);
        Ok(Peek { model, members, stream, include_usage: true, output_limit, choices: 1, user })
    }

    fn decode(&self, operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        match operation {
            Operation::Chat => decode::chat(body).map(openai::Request::Chat),
            _ => Err(InvalidRequest::value("model", "this dialect has responses only")),
        }
    }

    fn encoder(&self, request: &Request) -> Box<dyn Encoder> {
        Box::new(encode::ResponseEncoder::new(request))
    }

    fn error(&self, _status: u16, error: &openai::Error) -> Bytes {
        error.to_body().into()
    }

    fn error_event(&self, error: &openai::Error) -> Bytes {
        let mut out = BytesMut::new();
        sse::write(&mut out, "error", error_data(error, 0).to_string().as_bytes());
        out.freeze()
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["openai-beta", "session-id", "session_id", "thread-id", "conversation_id", "originator"]
    }
}

/// The data of an `error` event. OpenAI documents the flat form and sends the other one: both stand there.
fn error_data(error: &openai::Error, sequence: u64) -> Value {
    json!({
        "type": "error", "sequence_number": sequence, "code": error.code, "message": error.message,
        "param": error.param, "error": error,
    })
}

fn wrong(name: &str, expected: &str) -> InvalidRequest {
    InvalidRequest::value(name, format!("`{name}` must be {expected}"))
}

fn unsupported(name: &str, what: &str) -> InvalidRequest {
    InvalidRequest {
        message: format!("`{name}` {what}"),
        code: "unsupported_parameter",
        param: Some(name.to_owned()),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
