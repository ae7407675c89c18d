//! A streamed reply, in OpenAI's form.

use serde_json::{Map, Value};
use weir_adapter::{Decoder, ProviderError};
use weir_wire::framing::{Framing, sse};
use weir_wire::openai::chat::{Chunk, ChunkChoice, Content, Delta, FunctionCall, ReasoningDetail, ToolCall};
use weir_wire::{Usage, openai};

use crate::OUTPUT_TOOL;
use crate::carrier::{self, BLOCKS};
use crate::{error, reply, wire};

/// Translates one reply.
#[derive(Default)]
pub(crate) struct MessageDecoder {
    id: String,
    model: String,
    /// The block that is being filled.
    open: Option<Open>,
    /// Blocks that are done, kept until one comes that OpenAI's members can't hold; then each goes out as it ends.
    done: Vec<Value>,
    special: bool,
    calls: u32,
    output: bool,
    characters: usize,
    reported: Option<wire::Usage>,
    usage: Option<Usage>,
    complete: bool,
}

/// A block that is being filled.
struct Open {
    kind: Kind,
    /// The block as it began.
    start: Map<String, Value>,
    index: u32,
    text: String,
    signature: String,
    citations: Vec<Value>,
    /// Where its text begins, in characters.
    from: usize,
    special: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Thinking,
    /// A call, by its number.
    Call(u32),
    /// The call of weir's own tool: its input is the answer.
    Output,
    Other,
}

impl Decoder for MessageDecoder {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        let message = reply::parse(body)?;
        self.usage = message.usage.as_ref().map(wire::Usage::classes);
        self.complete = true;
        Ok(openai::Response::Chat(reply::translate(&message)?))
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        let Some(data) = data(frame)? else { return Ok(()) };
        let event: wire::Event<'_> = serde_json::from_slice(&data).map_err(|error| unreadable(&error))?;
        match &*event.kind {
            "message_start" => self.start(event, out),
            "content_block_start" => {
                let raw = event.content_block.ok_or_else(nonsense)?;
                self.block_start(event.index, raw.get(), out).map_err(|_| nonsense())?;
            }
            "content_block_delta" => self.block_delta(event.delta.unwrap_or_default(), out),
            "content_block_stop" => self.block_stop(out),
            "message_delta" => self.message_delta(event, out),
            "message_stop" => self.stop(out),
            "error" => return Err(error::under_success(&data).unwrap_or_else(nonsense)),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if self.complete { Ok(()) } else { Err(ProviderError::truncated()) }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}

/// The data of a frame; `None` where it has none.
///
/// # Errors
/// A body of JSON where a stream should be: the error that it holds, or nonsense.
pub(crate) fn data(frame: &[u8]) -> Result<Option<std::borrow::Cow<'_, [u8]>>, ProviderError> {
    match sse::data(frame) {
        Some(data) => Ok(Some(data).filter(|data| !data.is_empty())),
        None if frame.trim_ascii_start().starts_with(b"{") => {
            Err(error::under_success(frame).unwrap_or_else(nonsense))
        }
        None => Ok(None),
    }
}

/// An event that does not read: the stream broke off within it, or it is none.
pub(crate) fn unreadable(error: &serde_json::Error) -> ProviderError {
    if error.is_eof() { ProviderError::truncated() } else { nonsense() }
}

pub(crate) fn nonsense() -> ProviderError {
    ProviderError::nonsense("an event of the provider's stream does not read")
}

// === impl MessageDecoder ===

impl MessageDecoder {
    fn start(&mut self, event: wire::Event<'_>, out: &mut Vec<openai::Chunk>) {
        let message = event.message.unwrap_or_default();
        self.id = message.id;
        self.model = message.model;
        self.report(message.usage, false);
        out.push(self.delta(Delta {
            role: Some("assistant".to_owned()),
            content: Some(Content::Text(String::new())),
            ..Delta::default()
        }));
    }

    fn block_start(&mut self, index: u32, raw: &str, out: &mut Vec<openai::Chunk>) -> serde_json::Result<()> {
        let block: wire::Block<'_> = serde_json::from_str(raw)?;
        let kind = match &*block.kind {
            "text" => Kind::Text,
            "thinking" => Kind::Thinking,
            "tool_use" if block.name.as_deref() == Some(OUTPUT_TOOL) => Kind::Output,
            "tool_use" => Kind::Call(self.calls),
            _ => Kind::Other,
        };
        self.open = Some(Open {
            kind,
            start: serde_json::from_str(raw)?,
            index,
            text: String::new(),
            signature: String::new(),
            citations: Vec::new(),
            from: self.characters,
            special: reply::is_special(&block),
        });
        match kind {
            Kind::Call(number) => {
                self.calls += 1;
                out.push(self.call(number, block.id, block.name, String::new()));
            }
            Kind::Output => self.output = true,
            Kind::Other if block.kind == "redacted_thinking" => {
                out.push(self.detail(carrier::encrypted(block.data.unwrap_or_default(), index)));
            }
            _ => {}
        }
        let opening = wire::Delta {
            text: block.text,
            thinking: block.thinking,
            signature: block.signature,
            ..wire::Delta::default()
        };
        self.block_delta(opening, out);
        Ok(())
    }

    fn block_delta(&mut self, delta: wire::Delta<'_>, out: &mut Vec<openai::Chunk>) {
        let Some(mut open) = self.open.take() else { return };
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(citation) = delta.citation {
            open.special = true;
            open.citations.push(citation);
        }
        if let Some(text) = some(delta.text) {
            self.characters += text.chars().count();
            open.text.push_str(&text);
            out.push(self.text(text));
        }
        if let Some(text) = some(delta.thinking) {
            open.text.push_str(&text);
            out.push(self.delta(Delta {
                reasoning_content: Some(text.clone()),
                reasoning_details: Some(vec![carrier::text(text, None, open.index)]),
                ..Delta::default()
            }));
        }
        if let Some(signature) = some(delta.signature) {
            open.signature.push_str(&signature);
            let detail =
                ReasoningDetail { text: None, ..carrier::text(String::new(), Some(signature), open.index) };
            out.push(self.detail(detail));
        }
        if let Some(json) = some(delta.partial_json) {
            open.text.push_str(&json);
            match open.kind {
                Kind::Call(number) => out.push(self.call(number, None, None, json)),
                Kind::Output => out.push(self.text(json)),
                _ => {}
            }
        }
        self.open = Some(open);
    }

    fn block_stop(&mut self, out: &mut Vec<openai::Chunk>) {
        let Some(mut open) = self.open.take() else { return };
        if matches!(open.kind, Kind::Call(_) | Kind::Output) && open.text.is_empty() {
            // Arguments that came with the start, or none at all.
            open.text = open.start.get("input").map_or_else(|| "{}".to_owned(), Value::to_string);
            match open.kind {
                Kind::Call(number) => out.push(self.call(number, None, None, open.text.clone())),
                _ => out.push(self.text(open.text.clone())),
            }
        }
        if !open.citations.is_empty() {
            let mark = |citation| reply::annotation(citation, open.from, self.characters);
            let annotations = open.citations.iter().map(mark).collect();
            out.push(self.delta(Delta { annotations: Some(annotations), ..Delta::default() }));
        }
        self.special |= open.special;
        self.done.push(open.whole());
        if self.special {
            let blocks = Value::Array(std::mem::take(&mut self.done));
            let extra = Map::from_iter([(BLOCKS.to_owned(), blocks)]);
            out.push(self.delta(Delta { extra, ..Delta::default() }));
        }
    }

    fn message_delta(&mut self, event: wire::Event<'_>, out: &mut Vec<openai::Chunk>) {
        self.report(event.usage, true);
        let delta = event.delta.unwrap_or_default();
        let Some(reason) = delta.stop_reason else { return };
        let only_output = self.output && self.calls == 0;
        let choice = reply::choice_end(Some(&reason), delta.stop_sequence.as_deref(), only_output);
        let mut last = ChunkChoice {
            finish_reason: choice.finish_reason,
            extra: choice.extra,
            ..ChunkChoice::default()
        };
        if let Some(details) = delta.stop_details {
            last.extra.insert("stop_details".to_owned(), details);
        }
        let mut chunk = self.chunk(vec![last]);
        if let Some(container) = delta.container {
            chunk.extra.insert("container".to_owned(), container);
        }
        out.push(openai::Chunk::Chat(chunk));
    }

    fn stop(&mut self, out: &mut Vec<openai::Chunk>) {
        self.complete = true;
        if let Some(usage) = &self.reported {
            let mut chunk = self.chunk(Vec::new());
            chunk.usage = Some(reply::report(usage));
            out.push(openai::Chunk::Chat(chunk));
        }
    }

    /// Takes a report over. The first one's output is a placeholder: only a later one counts.
    fn report(&mut self, usage: Option<wire::Usage>, counts: bool) {
        let Some(usage) = usage else { return };
        let reported = self.reported.get_or_insert_default();
        reported.update(usage);
        if counts {
            self.usage = Some(reported.classes());
        }
    }

    fn chunk(&self, choices: Vec<ChunkChoice>) -> Chunk {
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            model: self.model.clone(),
            choices,
            ..Chunk::default()
        }
    }

    fn delta(&self, delta: Delta) -> openai::Chunk {
        openai::Chunk::Chat(self.chunk(vec![ChunkChoice { delta, ..ChunkChoice::default() }]))
    }

    fn text(&self, text: String) -> openai::Chunk {
        self.delta(Delta { content: Some(Content::Text(text)), ..Delta::default() })
    }

    fn detail(&self, detail: ReasoningDetail) -> openai::Chunk {
        self.delta(Delta { reasoning_details: Some(vec![detail]), ..Delta::default() })
    }

    fn call(
        &self,
        number: u32,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
    ) -> openai::Chunk {
        let call = ToolCall {
            kind: id.is_some().then(|| "function".to_owned()),
            id,
            index: Some(number),
            function: Some(FunctionCall { name, arguments: Some(arguments), ..FunctionCall::default() }),
            ..ToolCall::default()
        };
        self.delta(Delta { tool_calls: Some(vec![call]), ..Delta::default() })
    }
}

impl Open {
    /// The block as a whole reply would have it.
    fn whole(self) -> Value {
        let mut block = self.start;
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "text" => {
                block.insert("text".to_owned(), self.text.into());
                if !self.citations.is_empty() {
                    block.insert("citations".to_owned(), self.citations.into());
                }
            }
            "thinking" => {
                block.insert("thinking".to_owned(), self.text.into());
                block.insert("signature".to_owned(), self.signature.into());
            }
            _ if !self.text.is_empty() => {
                let input = serde_json::from_str(&self.text).unwrap_or(Value::String(self.text));
                block.insert("input".to_owned(), input);
            }
            _ => {}
        }
        Value::Object(block)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_adapter::testkit::stream::decode;
    use weir_adapter::testkit::{Answer, Whole};

    use super::*;

    fn stream(events: &[Value]) -> Vec<u8> {
        let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        events.iter().map(event).collect::<String>().into_bytes()
    }

    fn answer(events: &[Value]) -> (Answer, Whole, Vec<openai::Chunk>) {
        let chunks = decode(&mut MessageDecoder::default(), &stream(events), &[]).unwrap();
        let whole = Whole::of_chunks(&chunks);
        (whole.answers[&0].clone(), whole, chunks)
    }

    #[test]
    fn thinking_text_and_tools() {
        let (answer, whole, _) = answer(&[
            json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s=="}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ]);
        assert_eq!(answer.reasoning, "h");
        assert_eq!(answer.reasoning_details, [carrier::text("h".into(), Some("s==".into()), 0)]);
        assert_eq!((answer.calls[&0].id.as_str(), answer.calls[&0].arguments.as_str()), ("t", "{}"));
        assert_eq!(answer.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!(whole.usage.unwrap().completion_tokens, 9);
    }

    #[test]
    fn special_blocks_come_as_they_end() {
        let (answer, _, chunks) = answer(&[
            json!({"type": "message_start", "message": {"id": "m", "model": "c"}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"q\":1}"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
            json!({"type": "message_stop"}),
        ]);
        assert_eq!(answer.text, "a");
        let blocks: Vec<Value> = chunks
            .iter()
            .filter_map(
                |chunk| if let openai::Chunk::Chat(chunk) = chunk { chunk.choices.first() } else { None },
            )
            .filter_map(|choice| choice.delta.extra.get(BLOCKS)?.as_array().cloned())
            .flatten()
            .collect();
        let expected = [
            json!({"type": "text", "text": "a"}),
            json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}),
        ];
        assert_eq!(blocks, expected);
    }

    #[test]
    fn failures() {
        let start = json!({"type": "message_start", "message": {"id": "m", "model": "c"}});
        let overloaded =
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let fails = |bytes: &[u8]| decode(&mut MessageDecoder::default(), bytes, &[]).unwrap_err().kind;
        assert_eq!(fails(&stream(&[start.clone(), overloaded.clone()])), weir_adapter::ErrorKind::Overloaded);
        assert_eq!(fails(&stream(&[start])), weir_adapter::ErrorKind::Truncated);
        assert_eq!(fails(b"data: {\"type\":\n\n"), weir_adapter::ErrorKind::Truncated);
        assert_eq!(fails(b"data: <html>\n\n"), weir_adapter::ErrorKind::Nonsense);
        assert_eq!(fails(overloaded.to_string().as_bytes()), weir_adapter::ErrorKind::Overloaded);
    }
}
