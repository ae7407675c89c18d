//! A request to go on: what a client asked, and the answer so far as the start of what shall come.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;
use weir_wire::openai;
use weir_wire::openai::chat::{Content, Message, OneOrMany};
use weir_wire::peek::Members;

use crate::descriptor::Prefill;
use crate::front::{Encoder, Front, InvalidRequest};
use crate::request::{Operation, Peek, Request};

/// A token has about this many bytes.
const BYTES_PER_TOKEN: usize = 4;

/// A dialect that is none: what is asked stands in OpenAI's form, and no provider takes it for its own, so that every
/// answer is translated.
struct OpenForm(Arc<dyn Front>);

impl Front for OpenForm {
    fn dialect(&self) -> &'static str {
        "open_form"
    }

    fn peek(&self, operation: Operation, head: &Parts, body: &[u8]) -> Result<Peek, InvalidRequest> {
        self.0.peek(operation, head, body)
    }

    fn decode(&self, _operation: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
        let chat = serde_json::from_slice(body).map_err(|error| InvalidRequest::body(&error))?;
        Ok(openai::Request::Chat(chat))
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

impl Request {
    /// The same request in OpenAI's form. `None` where nobody could go on with its answer: it is no stream of one text, or
    /// asks for reasoning, for sound, or for a format that a second half can't be held to.
    pub fn in_open_form(&self) -> Option<Request> {
        let streams = self.operation == Operation::Chat && self.peek().stream && self.peek().choices <= 1;
        if !streams || self.upload.is_some() || self.verbatim.is_some() {
            return None;
        }
        let openai::Request::Chat(chat) = self.typed().ok()? else { return None };
        let text = chat.response_format.as_ref().is_none_or(|format| format.kind == "text");
        let thinks = chat.reasoning_effort.as_deref().is_some_and(|effort| effort != "none")
            || chat.extra.get("thinking").is_some_and(|own| own["type"] != "disabled")
            || chat.extra.get("reasoning").is_some_and(|own| !own.is_null());
        let sound = chat.audio.as_ref().is_some_and(|audio| !audio.is_null());
        if !text || thinks || sound || chat.logprobs == Some(true) {
            return None;
        }
        self.with_chat(chat)
    }

    /// A request to go on from `text`, which this one was answered so far. `None` where there is no room for more, or it
    /// can't be told so.
    pub fn going_on(&self, text: &str, prefill: Prefill) -> Option<Request> {
        let openai::Request::Chat(chat) = self.typed().ok()? else { return None };
        let mut chat = chat.clone();
        let used = (text.len() / BYTES_PER_TOKEN) as u64;
        for limit in [&mut chat.max_tokens, &mut chat.max_completion_tokens].into_iter().flatten() {
            *limit = limit.checked_sub(used).filter(|left| *left > 0)?;
        }
        // What ends an answer would have ended the first half.
        let stops = chat.stop.as_ref().map_or(&[][..], OneOrMany::as_slice);
        if stops.iter().any(|stop| !stop.is_empty() && text.contains(stop.as_str())) {
            return None;
        }
        let mut start = Message {
            role: "assistant".to_owned(),
            content: Some(Content::Text(text.to_owned())),
            ..Message::default()
        };
        match prefill {
            Prefill::None => return None,
            Prefill::Message => {}
            Prefill::Prefix | Prefill::Echo => {
                start.extra.insert("prefix".to_owned(), Value::Bool(true));
            }
        }
        chat.messages.push(start);
        self.with_chat(&chat)
    }

    fn with_chat(&self, chat: &openai::chat::Request) -> Option<Request> {
        let raw = Bytes::from(serde_json::to_vec(chat).ok()?);
        let members = Members::read(&raw).ok()?;
        let peek = Peek { members, output_limit: chat.output_limit(), ..self.peek().clone() };
        let front = Arc::new(OpenForm(self.front().clone()));
        let mut request = Request::new(self.operation, front, raw, peek);
        request.id.clone_from(&self.id);
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads OpenAI's form; its answers are nobody's business here.
    struct Plain;

    impl Front for Plain {
        fn dialect(&self) -> &'static str {
            "plain"
        }
        fn peek(&self, _: Operation, _: &Parts, _: &[u8]) -> Result<Peek, InvalidRequest> {
            Ok(Peek::default())
        }
        fn decode(&self, _: Operation, body: &[u8]) -> Result<openai::Request, InvalidRequest> {
            serde_json::from_slice(body)
                .map(openai::Request::Chat)
                .map_err(|error| InvalidRequest::body(&error))
        }
        fn encoder(&self, _: &Request) -> Box<dyn Encoder> {
            unreachable!("nothing is answered")
        }
        fn error(&self, _: u16, _: &openai::Error) -> Bytes {
            Bytes::new()
        }
        fn error_event(&self, _: &openai::Error) -> Bytes {
            Bytes::new()
        }
    }

    fn request(body: &str) -> Request {
        let raw = Bytes::copy_from_slice(body.as_bytes());
        let peek =
            Peek { stream: true, choices: 1, members: Members::read(&raw).unwrap(), ..Peek::default() };
        Request::new(Operation::Chat, Arc::new(Plain), raw, peek)
    }

    #[test]
    fn a_request_to_go_on_ends_with_what_was_said() {
        let check = |more: &str, prefill, want: Option<&str>| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}]{more}}}"#);
            let request = request(&body).in_open_form().unwrap();
            let on = request.going_on("twelve bytes", prefill);
            let sent = on.map(|on| {
                let sent: Value = serde_json::from_slice(on.raw()).unwrap();
                assert!(matches!(on.typed(), Ok(openai::Request::Chat(chat)) if chat.messages.len() == 2));
                format!("{} {}", sent["messages"][1], sent["max_tokens"])
            });
            assert_eq!(sent.as_deref(), want, "{more}");
        };
        let plain = r#"{"role":"assistant","content":"twelve bytes"}"#;
        let marked = r#"{"role":"assistant","content":"twelve bytes","prefix":true}"#;
        check("", Prefill::Message, Some(&format!("{plain} null")));
        check("", Prefill::Echo, Some(&format!("{marked} null")));
        check(r#","max_tokens":10"#, Prefill::Prefix, Some(&format!("{marked} 7")));
        check(r#","max_tokens":3"#, Prefill::Message, None);
        check(r#","stop":"bytes""#, Prefill::Message, None);
        check("", Prefill::None, None);
    }

    #[test]
    fn what_a_second_half_can_not_be_held_to_is_not_asked() {
        let check = |more: &str, open: bool| {
            let body = format!(r#"{{"model":"m","messages":[]{more}}}"#);
            assert_eq!(request(&body).in_open_form().is_some(), open, "{more}");
        };
        check("", true);
        check(
            r#","response_format":{"type":"text"},"reasoning_effort":"none","thinking":{"type":"disabled"}"#,
            true,
        );
        check(r#","response_format":{"type":"json_object"}"#, false);
        check(r#","response_format":{"type":"json_schema","json_schema":{"name":"a"}}"#, false);
        check(r#","reasoning_effort":"low""#, false);
        check(r#","thinking":{"type":"enabled","budget_tokens":1024}"#, false);
        check(r#","logprobs":true"#, false);
        let whole =
            Request::new(Operation::Chat, Arc::new(Plain), Bytes::from_static(b"{}"), Peek::default());
        assert!(whole.in_open_form().is_none());
    }
}
