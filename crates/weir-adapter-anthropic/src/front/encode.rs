//! A reply in Anthropic's events.

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use weir_adapter::Encoder;
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::openai::chat::{
    Chunk, ChunkChoice, Content, Delta, KnownPart, Part, ReasoningDetail, ToolCall,
};

use super::{usage, whole};
use crate::carrier::BLOCKS;
use crate::finish;

/// Writes one reply.
#[derive(Default)]
pub(super) struct MessageEncoder {
    id: String,
    started: bool,
    /// The number of the next block.
    next: u32,
    open: Option<Open>,
    /// Calls, by OpenAI's index. Their blocks stay open until something else begins: pieces may come in any order.
    calls: Vec<Call>,
    called: bool,
    finish: Option<String>,
    end: Map<String, Value>,
    container: Option<Value>,
    usage: Option<Map<String, Value>>,
}

/// The text or thinking block that is being written.
struct Open {
    block: u32,
    kind: Kind,
}

enum Kind {
    Text,
    /// With the detail so far: its signature closes the block.
    Thinking(Option<Box<ReasoningDetail>>),
}

struct Call {
    index: u32,
    block: u32,
    open: bool,
}

impl Encoder for MessageEncoder {
    fn whole(&mut self, response: openai::Response) -> Bytes {
        match response {
            openai::Response::Chat(chat) => Bytes::from(whole::message(&chat).to_string()),
            other => Bytes::from(other.to_json()),
        }
    }

    fn chunk(&mut self, chunk: openai::Chunk, out: &mut BytesMut) {
        let openai::Chunk::Chat(chunk) = chunk else { return };
        if let Some(reported) = &chunk.usage {
            self.usage = Some(usage::report(reported));
        }
        if !self.started && (!chunk.id.is_empty() || !chunk.choices.is_empty()) {
            self.start(&chunk, out);
        }
        if let Some(container) = chunk.extra.get("container") {
            self.container = Some(container.clone());
        }
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            self.choice(choice, out);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if !self.started {
            self.start(&Chunk::default(), out);
        }
        self.close(out);
        let native = self.end.get("native_finish_reason").and_then(Value::as_str);
        let reason = finish::to_anthropic(self.finish.as_deref().unwrap_or("stop"), native, self.called);
        let sequence = self.end.get("stop_sequence").filter(|_| reason == "stop_sequence");
        let mut delta = json!({"stop_reason": reason, "stop_sequence": sequence});
        for (name, value) in
            [("stop_details", self.end.get("stop_details")), ("container", self.container.as_ref())]
        {
            if let Some(value) = value {
                delta[name] = value.clone();
            }
        }
        let usage = self.usage.take().map_or_else(|| json!({"output_tokens": 0}), Value::Object);
        write(out, &json!({"type": "message_delta", "delta": delta, "usage": usage}));
        write(out, &json!({"type": "message_stop"}));
    }
}

/// One event.
fn write(out: &mut BytesMut, event: &Value) {
    let name = event["type"].as_str().unwrap_or_default();
    sse::write(out, name, event.to_string().as_bytes());
}

// === impl MessageEncoder ===

impl MessageEncoder {
    /// The counts are not known yet: the last event has them.
    fn start(&mut self, chunk: &Chunk, out: &mut BytesMut) {
        self.started = true;
        self.id = whole::id(&chunk.id);
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": chunk.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0},
        });
        write(out, &json!({"type": "message_start", "message": message}));
        write(out, &json!({"type": "ping"}));
    }

    fn choice(&mut self, choice: ChunkChoice, out: &mut BytesMut) {
        self.delta(choice.delta, out);
        if choice.finish_reason.is_some() {
            self.finish = choice.finish_reason;
            self.end = choice.extra;
        }
    }

    fn delta(&mut self, mut delta: Delta, out: &mut BytesMut) {
        let reasoning = delta.reasoning_content.take().or(delta.reasoning.take()).unwrap_or_default();
        let details = delta.reasoning_details.take().unwrap_or_default();
        let told = details.iter().any(|detail| detail.text.is_some() || detail.summary.is_some());
        if !told && !reasoning.is_empty() {
            self.thinking(&reasoning, None, out);
        }
        details.into_iter().for_each(|detail| self.detail(detail, out));
        match delta.content {
            Some(Content::Text(text)) => self.text(&text, out),
            Some(Content::Parts(parts)) => parts.iter().for_each(|part| {
                if let Part::Known(KnownPart::Text(part)) = part {
                    self.text(&part.text, out);
                }
            }),
            None => {}
        }
        self.text(&delta.refusal.unwrap_or_default(), out);
        self.citations(delta.annotations.as_deref().unwrap_or_default(), &delta.extra, out);
        if let Some(Value::Array(blocks)) = delta.extra.get(BLOCKS) {
            blocks.iter().for_each(|block| self.carried(block, out));
        }
        whole::images(&delta.extra).into_iter().for_each(|image| self.block(image, out));
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call, out);
        }
    }

    /// A piece of a reasoning block.
    fn detail(&mut self, detail: ReasoningDetail, out: &mut BytesMut) {
        let text = detail.text.as_deref().or(detail.summary.as_deref());
        let goes_on = matches!(&self.open, Some(Open { kind: Kind::Thinking(Some(known)), .. })
            if known.index == detail.index && known.format == detail.format);
        if text.is_some() || (goes_on && detail.data.is_none()) {
            let text = text.unwrap_or_default().to_owned();
            self.thinking(&text, Some(detail), out);
        } else if let Some(block) = whole::reasoning(&detail) {
            self.block(block, out);
        }
    }

    fn thinking(&mut self, text: &str, detail: Option<ReasoningDetail>, out: &mut BytesMut) {
        let same = match (&self.open, &detail) {
            (Some(Open { kind: Kind::Thinking(Some(known)), .. }), Some(detail)) => {
                known.index == detail.index
            }
            (Some(Open { kind: Kind::Thinking(_), .. }), None) => true,
            _ => false,
        };
        if !same {
            self.begin(
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                Kind::Thinking(None),
                out,
            );
        }
        let Some(Open { block, kind: Kind::Thinking(known) }) = &mut self.open else { return };
        match (known.as_mut(), detail) {
            (Some(known), Some(piece)) => {
                if let Some(signature) = piece.signature {
                    known.signature.get_or_insert_default().push_str(&signature);
                }
                known.extra.extend(piece.extra);
                known.id = piece.id.or(known.id.take());
            }
            (None, Some(piece)) => *known = Some(Box::new(piece)),
            (_, None) => {}
        }
        if !text.is_empty() {
            let delta = json!({"type": "thinking_delta", "thinking": text});
            write(out, &json!({"type": "content_block_delta", "index": *block, "delta": delta}));
        }
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        if !matches!(&self.open, Some(Open { kind: Kind::Text, .. })) {
            self.begin(json!({"type": "text", "text": ""}), Kind::Text, out);
        }
        self.piece(json!({"type": "text_delta", "text": text}), out);
    }

    /// Citations of the text block that is open. Where whole blocks come along, these have them.
    fn citations(&mut self, annotations: &[Value], extra: &Map<String, Value>, out: &mut BytesMut) {
        if matches!(&self.open, Some(Open { kind: Kind::Text, .. })) && !extra.contains_key(BLOCKS) {
            for citation in annotations.iter().filter_map(whole::citation) {
                self.piece(json!({"type": "citations_delta", "citation": citation}), out);
            }
        }
    }

    fn call(&mut self, call: ToolCall, out: &mut BytesMut) {
        let index = call.index.unwrap_or(self.calls.len() as u32);
        let block = match self.calls.iter().find(|known| known.index == index && known.open) {
            Some(known) => known.block,
            None => self.begin_call(index, &call, out),
        };
        let arguments = call.function.and_then(|function| function.arguments).unwrap_or_default();
        if !arguments.is_empty() {
            let delta = json!({"type": "input_json_delta", "partial_json": arguments});
            write(out, &json!({"type": "content_block_delta", "index": block, "delta": delta}));
        }
    }

    fn begin_call(&mut self, index: u32, call: &ToolCall, out: &mut BytesMut) -> u32 {
        self.close_open(out);
        let id = call.id.clone().filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| whole::call_id(&self.id, index as usize));
        if let Some(hung) = whole::hung(&id, call) {
            self.whole_block(&hung, out);
        }
        let name = call.function.as_ref().and_then(|function| function.name.clone()).unwrap_or_default();
        let block = self.number();
        let start = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        write(out, &json!({"type": "content_block_start", "index": block, "content_block": start}));
        self.calls.push(Call { index, block, open: true });
        self.called = true;
        block
    }

    /// A block of the carrier: what OpenAI's members held was written from them.
    fn carried(&mut self, block: &Value, out: &mut BytesMut) {
        match block["type"].as_str() {
            Some("text") => {
                let open = matches!(&self.open, Some(Open { kind: Kind::Text, .. }));
                for citation in block["citations"].as_array().into_iter().flatten().filter(|_| open) {
                    self.piece(json!({"type": "citations_delta", "citation": citation}), out);
                }
                self.close_open(out);
            }
            Some("thinking" | "redacted_thinking" | "tool_use") => {}
            _ => self.block(block.clone(), out),
        }
    }

    /// A block that comes all at once, behind what is open.
    fn block(&mut self, block: Value, out: &mut BytesMut) {
        self.close(out);
        self.whole_block(&block, out);
    }

    fn whole_block(&mut self, block: &Value, out: &mut BytesMut) {
        let index = self.number();
        let input = block
            .get("input")
            .filter(|_| block["type"].as_str().is_some_and(|kind| kind.ends_with("tool_use")));
        let mut start = block.clone();
        if input.is_some() {
            start["input"] = json!({});
        }
        write(out, &json!({"type": "content_block_start", "index": index, "content_block": start}));
        if let Some(input) = input {
            let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
            write(out, &json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        write(out, &json!({"type": "content_block_stop", "index": index}));
    }

    fn begin(&mut self, start: Value, kind: Kind, out: &mut BytesMut) {
        self.close(out);
        let block = self.number();
        write(out, &json!({"type": "content_block_start", "index": block, "content_block": start}));
        self.open = Some(Open { block, kind });
    }

    fn piece(&self, delta: Value, out: &mut BytesMut) {
        let Some(open) = &self.open else { return };
        write(out, &json!({"type": "content_block_delta", "index": open.block, "delta": delta}));
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Closes all that is open.
    fn close(&mut self, out: &mut BytesMut) {
        self.close_open(out);
        for call in self.calls.iter_mut().filter(|call| call.open) {
            call.open = false;
            write(out, &json!({"type": "content_block_stop", "index": call.block}));
        }
    }

    fn close_open(&mut self, out: &mut BytesMut) {
        let Some(open) = self.open.take() else { return };
        if let Kind::Thinking(Some(detail)) = &open.kind {
            let signature = whole::signature(detail);
            if !signature.is_empty() {
                let delta = json!({"type": "signature_delta", "signature": signature});
                write(out, &json!({"type": "content_block_delta", "index": open.block, "delta": delta}));
            }
        }
        write(out, &json!({"type": "content_block_stop", "index": open.block}));
    }
}
