//! A reply in the events of the Responses API. A whole reply is written by the same hand, without the events.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use weir_adapter::{Encoder, Request};
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::openai::chat::{
    Chunk, ChunkChoice, Content, Delta, KnownPart, Message, Part, ReasoningDetail, ToolCall,
};
use weir_wire::openai::usage::Usage;

use super::calls::Calls;
use super::carrier;
use super::whole::{self, Echo, Head, State};

/// Writes one reply.
pub(super) struct ResponseEncoder {
    echo: Echo,
    pub(super) head: Head,
    /// The call's id, for ids of the answer and its items.
    id: String,
    started: bool,
    pub(super) events: Events,
    /// The items, by place; `None` while one is open.
    pub(super) items: Vec<Option<Value>>,
    open: Option<Open>,
    calls: Calls,
    finish: Option<String>,
    usage: Option<Usage>,
}

/// Writes events, numbered.
#[derive(Default)]
pub(super) struct Events {
    sequence: u64,
}

impl Events {
    pub(super) fn write(&mut self, out: &mut BytesMut, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        sse::write(out, kind, event.to_string().as_bytes());
    }
}

/// The item that is being written.
struct Open {
    place: usize,
    id: String,
    kind: Kind,
}

enum Kind {
    Message { done: Vec<Value>, part: Option<TextPart> },
    Reasoning { text: String, detail: Option<Box<ReasoningDetail>> },
}

struct TextPart {
    refusal: bool,
    text: String,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

impl TextPart {
    fn value(&self) -> Value {
        match self.refusal {
            true => json!({"type": "refusal", "refusal": self.text}),
            false => {
                json!({"type": "output_text", "text": self.text, "annotations": self.annotations, "logprobs": self.logprobs})
            }
        }
    }
}

impl Encoder for ResponseEncoder {
    fn whole(&mut self, response: openai::Response) -> Bytes {
        let openai::Response::Chat(mut chat) = response else { return Bytes::from(response.to_json()) };
        let mut unsent = BytesMut::new();
        let chunk = Chunk { id: chat.id, created: chat.created, model: chat.model, ..Chunk::default() };
        self.start(&chunk, &mut unsent);
        self.usage = chat.usage.take();
        if let Some(choice) = chat.choices.into_iter().find(|choice| choice.index == 0) {
            let choice = ChunkChoice {
                delta: delta_of(choice.message),
                finish_reason: choice.finish_reason,
                logprobs: choice.logprobs,
                ..ChunkChoice::default()
            };
            self.choice(choice, &mut unsent);
        }
        Bytes::from(self.finished(&mut unsent).1.to_string())
    }

    fn chunk(&mut self, chunk: openai::Chunk, out: &mut BytesMut) {
        let openai::Chunk::Chat(mut chunk) = chunk else { return };
        if chunk.usage.is_some() {
            self.usage = chunk.usage.take();
        }
        if !self.started && (!chunk.id.is_empty() || !chunk.choices.is_empty()) {
            self.start(&chunk, out);
        }
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            self.choice(choice, out);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if !self.started {
            self.start(&Chunk::default(), out);
        }
        let (event, object) = self.finished(out);
        self.events.write(out, event, json!({ "response": object }));
    }

    fn error(&mut self, error: &openai::Error, out: &mut BytesMut) -> bool {
        if !self.started {
            self.start(&Chunk::default(), out);
        }
        let mut data = super::error_data(error, 0);
        data.as_object_mut().expect("an object was written").shift_remove("type");
        self.events.write(out, "error", data);
        let code = match error.kind.as_str() {
            "rate_limit_error" | "insufficient_quota" => "rate_limit_exceeded",
            _ => "server_error",
        };
        let state = State {
            status: "failed",
            incomplete: None,
            error: json!({"code": code, "message": error.message}),
            output: self.items.iter().flatten().cloned().collect(),
            usage: None,
        };
        let object = self.echo.object(&self.head, &state);
        self.events.write(out, "response.failed", json!({ "response": object }));
        true
    }
}

/// A whole message as the piece of a stream.
fn delta_of(message: Message) -> Delta {
    Delta {
        role: Some(message.role),
        content: message.content,
        refusal: message.refusal,
        tool_calls: message.tool_calls.map(|calls| {
            let numbered = |(at, call)| ToolCall { index: u32::try_from(at).ok(), ..call };
            calls.into_iter().enumerate().map(numbered).collect()
        }),
        reasoning_content: message.reasoning_content,
        reasoning: message.reasoning,
        reasoning_details: message.reasoning_details,
        audio: message.audio,
        annotations: message.annotations,
        extra: message.extra,
    }
}

// === impl ResponseEncoder ===

impl ResponseEncoder {
    pub(super) fn new(request: &Request) -> ResponseEncoder {
        let id = request.id.chars().filter(char::is_ascii_alphanumeric).collect();
        let echo = Echo::of(request.raw());
        let head = Head { model: request.model().to_owned(), ..Head::default() };
        let calls = Calls::new(echo.forms.clone());
        ResponseEncoder {
            echo,
            head,
            id,
            started: false,
            events: Events::default(),
            items: Vec::new(),
            open: None,
            calls,
            finish: None,
            usage: None,
        }
    }

    fn start(&mut self, chunk: &Chunk, out: &mut BytesMut) {
        self.started = true;
        if self.id.is_empty() {
            self.id = chunk.id.chars().filter(char::is_ascii_alphanumeric).collect();
        }
        self.head.id = format!("resp_{}", self.id);
        self.head.created = chunk.created;
        if !chunk.model.is_empty() {
            self.head.model.clone_from(&chunk.model);
        }
        let state = State {
            status: "in_progress",
            incomplete: None,
            error: Value::Null,
            output: Vec::new(),
            usage: None,
        };
        let object = self.echo.object(&self.head, &state);
        self.events.write(out, "response.created", json!({ "response": object.clone() }));
        self.events.write(out, "response.in_progress", json!({ "response": object }));
    }

    /// Closes what is open; the last event's name, and the object.
    fn finished(&mut self, out: &mut BytesMut) -> (&'static str, Value) {
        let incomplete = match self.finish.as_deref() {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            _ => None,
        };
        let status = if incomplete.is_some() { "incomplete" } else { "completed" };
        self.close(status, out);
        let output = self.items.iter().flatten().cloned().collect();
        let state = State { status, incomplete, error: Value::Null, output, usage: self.usage.as_ref() };
        let event = if incomplete.is_some() { "response.incomplete" } else { "response.completed" };
        (event, self.echo.object(&self.head, &state))
    }

    fn choice(&mut self, choice: ChunkChoice, out: &mut BytesMut) {
        let logprobs = choice.logprobs.as_ref().and_then(|logprobs| logprobs["content"].as_array().cloned());
        self.delta(choice.delta, logprobs.unwrap_or_default(), out);
        if choice.finish_reason.is_some() {
            self.finish = choice.finish_reason;
        }
    }

    fn delta(&mut self, mut delta: Delta, logprobs: Vec<Value>, out: &mut BytesMut) {
        let reasoning = delta.reasoning_content.take().or(delta.reasoning.take()).unwrap_or_default();
        let details = delta.reasoning_details.take().unwrap_or_default();
        let told = details.iter().any(|detail| detail.text.is_some() || detail.summary.is_some());
        if !told && !reasoning.is_empty() {
            self.reasoning(&reasoning, None, out);
        }
        details.into_iter().for_each(|detail| self.detail(detail, out));
        let text = match delta.content {
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts
                .into_iter()
                .filter_map(|part| match part {
                    Part::Known(KnownPart::Text(part)) => Some(part.text),
                    _ => None,
                })
                .collect(),
            None => String::new(),
        };
        self.text(&text, false, logprobs, out);
        self.text(&delta.refusal.unwrap_or_default(), true, Vec::new(), out);
        self.annotations(delta.annotations.as_deref().unwrap_or_default(), out);
        self.images(&delta.extra, out);
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call, out);
        }
    }

    // === Items ===

    /// A place for an item, and its id.
    pub(super) fn place(&mut self, prefix: &str) -> (usize, String) {
        let place = self.items.len();
        self.items.push(None);
        (place, format!("{prefix}_{}{place:02}", self.id))
    }

    pub(super) fn added(&mut self, place: usize, item: Value, out: &mut BytesMut) {
        self.events.write(out, "response.output_item.added", json!({"output_index": place, "item": item}));
    }

    pub(super) fn done(&mut self, place: usize, item: Value, out: &mut BytesMut) {
        let event = json!({"output_index": place, "item": item});
        self.events.write(out, "response.output_item.done", event);
        self.items[place] = Some(item);
    }

    /// An item that comes all at once.
    fn item(&mut self, prefix: &str, mut item: Value, out: &mut BytesMut) {
        self.close_open("completed", out);
        let (place, id) = self.place(prefix);
        item["id"] = id.into();
        self.added(place, item.clone(), out);
        self.done(place, item, out);
    }

    fn close(&mut self, status: &str, out: &mut BytesMut) {
        self.close_open(status, out);
        let mut calls = std::mem::take(&mut self.calls);
        calls.close(self, status, out);
        self.calls = calls;
    }

    fn close_open(&mut self, status: &str, out: &mut BytesMut) {
        self.close_part(out);
        let Some(open) = self.open.take() else { return };
        let item = match open.kind {
            Kind::Message { done, .. } => {
                json!({"id": open.id, "type": "message", "status": status, "role": "assistant", "content": done})
            }
            Kind::Reasoning { text, detail } => {
                let proof = detail.as_deref().and_then(carrier::proof);
                let part = json!({"type": "summary_text", "text": text});
                if !text.is_empty() {
                    let at = json!({"item_id": open.id, "output_index": open.place, "summary_index": 0, "text": text});
                    self.events.write(out, "response.reasoning_summary_text.done", at);
                    let at = json!({"item_id": open.id, "output_index": open.place, "summary_index": 0, "part": part});
                    self.events.write(out, "response.reasoning_summary_part.done", at);
                }
                let summary = if text.is_empty() { json!([]) } else { json!([part]) };
                let mut item = json!({"id": open.id, "type": "reasoning", "summary": summary});
                if let Some(proof) = proof {
                    item["encrypted_content"] = proof.into();
                }
                item
            }
        };
        self.done(open.place, item, out);
    }

    // === Reasoning ===

    /// A piece of a reasoning block.
    fn detail(&mut self, detail: ReasoningDetail, out: &mut BytesMut) {
        let text = detail.text.clone().or_else(|| detail.summary.clone());
        if text.is_some() || self.goes_on(Some(&detail)) {
            self.reasoning(&text.unwrap_or_default(), Some(detail), out);
        } else {
            let proof = carrier::proof(&detail).unwrap_or_else(|| carrier::pack(&detail));
            self.item("rs", json!({"type": "reasoning", "summary": [], "encrypted_content": proof}), out);
        }
    }

    /// Whether the block that is open is this detail's.
    fn goes_on(&self, detail: Option<&ReasoningDetail>) -> bool {
        match (&self.open, detail) {
            (Some(Open { kind: Kind::Reasoning { detail: Some(known), .. }, .. }), Some(detail)) => {
                known.index == detail.index && known.format == detail.format && known.data.is_none()
            }
            (Some(Open { kind: Kind::Reasoning { .. }, .. }), None) => true,
            _ => false,
        }
    }

    fn reasoning(&mut self, piece: &str, detail: Option<ReasoningDetail>, out: &mut BytesMut) {
        if !self.goes_on(detail.as_ref()) {
            self.close_open("completed", out);
            let (place, id) = self.place("rs");
            self.added(place, json!({"id": id, "type": "reasoning", "summary": []}), out);
            self.open = Some(Open { place, id, kind: Kind::Reasoning { text: String::new(), detail: None } });
        }
        let Some(Open { place, id, kind: Kind::Reasoning { text, detail: known } }) = &mut self.open else {
            return;
        };
        match (known.as_mut(), detail) {
            (Some(known), Some(more)) => {
                if let Some(signature) = more.signature {
                    known.signature.get_or_insert_default().push_str(&signature);
                }
                known.data = more.data.or(known.data.take());
                known.extra.extend(more.extra);
                known.id = more.id.or(known.id.take());
            }
            (None, Some(first)) => *known = Some(Box::new(first)),
            (_, None) => {}
        }
        if piece.is_empty() {
            return;
        }
        let at = |name: &str, value: Value| json!({"item_id": id, "output_index": place, "summary_index": 0, name: value});
        if text.is_empty() {
            let event = at("part", json!({"type": "summary_text", "text": ""}));
            self.events.write(out, "response.reasoning_summary_part.added", event);
        }
        text.push_str(piece);
        self.events.write(out, "response.reasoning_summary_text.delta", at("delta", piece.into()));
    }

    // === Text ===

    fn text(&mut self, piece: &str, refusal: bool, logprobs: Vec<Value>, out: &mut BytesMut) {
        if piece.is_empty() {
            return;
        }
        if !matches!(&self.open, Some(Open { kind: Kind::Message { .. }, .. })) {
            self.close_open("completed", out);
            let (place, id) = self.place("msg");
            let item = json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []});
            self.added(place, item, out);
            self.open = Some(Open { place, id, kind: Kind::Message { done: Vec::new(), part: None } });
        }
        let other = |part: &TextPart| part.refusal != refusal;
        if matches!(&self.open, Some(Open { kind: Kind::Message { part: Some(part), .. }, .. }) if other(part))
        {
            self.close_part(out);
        }
        let Some(Open { place, id, kind: Kind::Message { done, part } }) = &mut self.open else { return };
        let at = |name: &str, value: Value| json!({"item_id": id, "output_index": place, "content_index": done.len(), name: value});
        let part = match part {
            Some(part) => part,
            None => {
                let new =
                    TextPart { refusal, text: String::new(), annotations: Vec::new(), logprobs: Vec::new() };
                self.events.write(out, "response.content_part.added", at("part", new.value()));
                part.insert(new)
            }
        };
        part.text.push_str(piece);
        let mut event = at("delta", piece.into());
        if refusal {
            return self.events.write(out, "response.refusal.delta", event);
        }
        event["logprobs"] = Value::Array(logprobs.clone());
        part.logprobs.extend(logprobs);
        self.events.write(out, "response.output_text.delta", event);
    }

    fn annotations(&mut self, list: &[Value], out: &mut BytesMut) {
        let Some(Open { place, id, kind: Kind::Message { done, part: Some(part) } }) = &mut self.open else {
            return;
        };
        for annotation in list.iter().filter_map(whole::annotation) {
            let event = json!({
                "item_id": id, "output_index": place, "content_index": done.len(),
                "annotation_index": part.annotations.len(), "annotation": annotation,
            });
            self.events.write(out, "response.output_text.annotation.added", event);
            part.annotations.push(annotation);
        }
    }

    fn close_part(&mut self, out: &mut BytesMut) {
        let Some(Open { place, id, kind: Kind::Message { done, part } }) = &mut self.open else { return };
        let Some(part) = part.take() else { return };
        let at = |name: &str, value: Value| json!({"item_id": id, "output_index": place, "content_index": done.len(), name: value});
        match part.refusal {
            true => self.events.write(out, "response.refusal.done", at("refusal", part.text.as_str().into())),
            false => {
                let mut event = at("text", part.text.as_str().into());
                event["logprobs"] = Value::Array(part.logprobs.clone());
                self.events.write(out, "response.output_text.done", event);
            }
        }
        self.events.write(out, "response.content_part.done", at("part", part.value()));
        done.push(part.value());
    }

    /// Pictures that the model made.
    fn images(&mut self, extra: &openai::Extra, out: &mut BytesMut) {
        let images = extra.get("images").and_then(Value::as_array).into_iter().flatten();
        for url in images.filter_map(|image| image["image_url"]["url"].as_str()) {
            let data = url.split_once(";base64,").map_or(url, |(_, data)| data);
            self.item(
                "ig",
                json!({"type": "image_generation_call", "status": "completed", "result": data}),
                out,
            );
        }
    }

    // === Calls ===

    fn call(&mut self, call: ToolCall, out: &mut BytesMut) {
        self.close_open("completed", out);
        let mut calls = std::mem::take(&mut self.calls);
        calls.piece(self, call, out);
        self.calls = calls;
    }

    /// What hangs on a call of another dialect, in an item before it.
    pub(super) fn hang(&mut self, tool_call: &str, extra: openai::Extra, out: &mut BytesMut) {
        if extra.is_empty() {
            return;
        }
        let proof = carrier::pack(&carrier::CallExtra { tool_call: tool_call.to_owned(), extra });
        self.item("rs", json!({"type": "reasoning", "summary": [], "encrypted_content": proof}), out);
    }

    /// The id of a call whose provider gives none.
    pub(super) fn call_id(&self, index: usize) -> String {
        format!("call_{}{index:02}", self.id)
    }
}
