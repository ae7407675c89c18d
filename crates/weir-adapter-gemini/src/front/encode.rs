//! A reply in Gemini's form. A call goes out whole, at the end: Gemini's clients know no pieces of calls.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use weir_adapter::Encoder;
use weir_wire::framing::sse;
use weir_wire::openai;
use weir_wire::openai::chat::{Content, Delta, KnownPart, Message, Part, ReasoningDetail, ToolCall};
use weir_wire::openai::embeddings::Vector;
use weir_wire::openai::usage::{Convention, Usage};
use weir_wire::{Class, openai::Extra};

use super::carrier::{Carried, pack};

/// Writes one reply.
pub(super) struct ContentEncoder {
    batch: bool,
    id: String,
    model: String,
    /// The answers, by number, as far as they wait for their end.
    answers: BTreeMap<u32, Waiting>,
    usage: Option<Value>,
}

#[derive(Default)]
struct Waiting {
    details: Vec<ReasoningDetail>,
    calls: Vec<ToolCall>,
    finish: Option<String>,
}

impl ContentEncoder {
    pub(super) fn new(batch: bool) -> ContentEncoder {
        let (id, model) = (String::new(), String::new());
        ContentEncoder { batch, id, model, answers: BTreeMap::new(), usage: None }
    }

    fn object(&self, candidates: Vec<Value>) -> Value {
        let mut object = json!({ "candidates": candidates });
        if let Some(usage) = &self.usage {
            object["usageMetadata"] = usage.clone();
        }
        object["modelVersion"] = self.model.as_str().into();
        object["responseId"] = self.id.as_str().into();
        object
    }

    fn embeddings(&self, response: openai::embeddings::Response) -> Value {
        let values = |vector: &Vector| serde_json::to_value(vector).unwrap_or_default();
        let mut vectors = response.data.iter().map(|one| json!({ "values": values(&one.embedding) }));
        match self.batch {
            true => json!({ "embeddings": vectors.collect::<Vec<_>>() }),
            false => json!({ "embedding": vectors.next().unwrap_or_default() }),
        }
    }
}

impl Encoder for ContentEncoder {
    fn whole(&mut self, response: openai::Response) -> Bytes {
        let chat = match response {
            openai::Response::Chat(chat) => chat,
            openai::Response::Embeddings(embeddings) => {
                return Bytes::from(self.embeddings(embeddings).to_string());
            }
            other => return Bytes::from(other.to_json()),
        };
        (self.id, self.model) = (chat.id, chat.model);
        self.usage = chat.usage.as_ref().map(usage);
        let candidates = chat.choices.into_iter().map(|choice| {
            let mut waiting = Waiting { finish: choice.finish_reason, ..Waiting::default() };
            let mut parts = waiting.take(delta_of(choice.message));
            parts.extend(waiting.calls());
            candidate(choice.index, parts, Some(waiting.reason()))
        });
        let candidates = candidates.collect();
        Bytes::from(self.object(candidates).to_string())
    }

    fn chunk(&mut self, chunk: openai::Chunk, out: &mut BytesMut) {
        let openai::Chunk::Chat(chunk) = chunk else { return };
        if !chunk.id.is_empty() {
            (self.id, self.model) = (chunk.id, chunk.model);
        }
        if let Some(reported) = &chunk.usage {
            self.usage = Some(usage(reported));
        }
        let mut candidates = Vec::new();
        for choice in chunk.choices {
            let waiting = self.answers.entry(choice.index).or_default();
            waiting.finish = choice.finish_reason.or(waiting.finish.take());
            let parts = waiting.take(choice.delta);
            if !parts.is_empty() {
                candidates.push(candidate(choice.index, parts, None));
            }
        }
        if !candidates.is_empty() {
            // What the call used stands in the last event alone.
            let usage = self.usage.take();
            let object = self.object(candidates);
            self.usage = usage;
            sse::write(out, "", object.to_string().as_bytes());
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if self.answers.is_empty() {
            self.answers.insert(0, Waiting::default());
        }
        let last = std::mem::take(&mut self.answers);
        let candidates = last.into_iter().map(|(index, mut waiting)| {
            let mut parts = waiting.calls();
            if parts.is_empty() {
                parts.push(json!({"text": ""}));
            }
            candidate(index, parts, Some(waiting.reason()))
        });
        let object = self.object(candidates.collect());
        sse::write(out, "", object.to_string().as_bytes());
    }
}

fn candidate(index: u32, parts: Vec<Value>, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": index});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    candidate
}

impl Waiting {
    /// What a piece adds that can go out at once.
    fn take(&mut self, mut delta: Delta) -> Vec<Value> {
        let mut parts = Vec::new();
        let reasoning = delta.reasoning_content.take().or(delta.reasoning.take()).unwrap_or_default();
        let details = delta.reasoning_details.take().unwrap_or_default();
        let told: String = details
            .iter()
            .filter_map(|detail| detail.text.as_deref().or(detail.summary.as_deref()))
            .collect();
        let thought = if told.is_empty() { reasoning } else { told };
        if !thought.is_empty() {
            parts.push(json!({"text": thought, "thought": true}));
        }
        details.into_iter().for_each(|detail| self.detail(detail));
        let text = match delta.content {
            Some(Content::Text(text)) => text,
            Some(Content::Parts(list)) => list
                .into_iter()
                .filter_map(|part| match part {
                    Part::Known(KnownPart::Text(part)) => Some(part.text),
                    _ => None,
                })
                .collect(),
            None => String::new(),
        };
        for text in [text, delta.refusal.unwrap_or_default()].into_iter().filter(|text| !text.is_empty()) {
            parts.push(json!({ "text": text }));
        }
        parts.extend(images(&delta.extra));
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call);
        }
        parts
    }

    /// Pieces of one block of reasoning become one again.
    fn detail(&mut self, detail: ReasoningDetail) {
        let same =
            |known: &&mut ReasoningDetail| known.index == detail.index && known.format == detail.format;
        let Some(known) = self.details.last_mut().filter(|known| same(known) && detail.data.is_none()) else {
            return self.details.push(detail);
        };
        for (place, piece) in [
            (&mut known.text, detail.text),
            (&mut known.summary, detail.summary),
            (&mut known.signature, detail.signature),
        ] {
            if let Some(piece) = piece {
                place.get_or_insert_default().push_str(&piece);
            }
        }
        known.extra.extend(detail.extra);
    }

    fn call(&mut self, call: ToolCall) {
        let at = self.calls.iter().position(|known| call.index.is_some() && known.index == call.index);
        let Some(at) = at else { return self.calls.push(call) };
        let known = &mut self.calls[at];
        known.extra.extend(call.extra);
        let (Some(function), Some(piece)) = (&mut known.function, call.function) else { return };
        if let Some(arguments) = piece.arguments {
            function.arguments.get_or_insert_default().push_str(&arguments);
        }
        function.name = function.name.take().filter(|name| !name.is_empty()).or(piece.name);
    }

    /// The calls, whole. What other providers want back hangs on them.
    fn calls(&mut self) -> Vec<Value> {
        let mut details: Vec<ReasoningDetail> = std::mem::take(&mut self.details);
        details.retain(|detail| detail.signature.is_some() || detail.data.is_some());
        let part = |call: &ToolCall| {
            let function = call.function.clone().unwrap_or_default();
            let arguments = function.arguments.unwrap_or_default();
            let args = serde_json::from_str::<Value>(&arguments).ok().filter(Value::is_object);
            let args = args.unwrap_or_else(|| match arguments.trim() {
                "" => json!({}),
                text => json!({ "arguments": text }),
            });
            let mut of_call = Map::new();
            if let Some(id) = call.id.clone().filter(|id| !id.is_empty()) {
                of_call.insert("id".to_owned(), id.into());
            }
            of_call.insert("name".to_owned(), function.name.unwrap_or_default().into());
            of_call.insert("args".to_owned(), args);
            let mut part = json!({ "functionCall": of_call });
            let carried = Carried { details: std::mem::take(&mut details), extra: call.extra.clone() };
            if carried != Carried::default() {
                part["thoughtSignature"] = pack(&carried).into();
            }
            part
        };
        self.calls.iter().map(part).collect()
    }

    fn reason(&self) -> &'static str {
        match self.finish.as_deref() {
            Some("length") => "MAX_TOKENS",
            Some("content_filter") => "SAFETY",
            _ => "STOP",
        }
    }
}

fn images(extra: &Extra) -> Vec<Value> {
    let images = extra.get("images").and_then(Value::as_array).into_iter().flatten();
    let part = |image: &Value| {
        let url = image["image_url"]["url"].as_str()?;
        let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
        Some(json!({"inlineData": {"mimeType": kind, "data": data}}))
    };
    images.filter_map(part).collect()
}

fn delta_of(message: Message) -> Delta {
    let numbered = |(at, call): (usize, ToolCall)| ToolCall { index: u32::try_from(at).ok(), ..call };
    Delta {
        content: message.content,
        refusal: message.refusal,
        tool_calls: message.tool_calls.map(|calls| calls.into_iter().enumerate().map(numbered).collect()),
        reasoning_content: message.reasoning_content,
        reasoning: message.reasoning,
        reasoning_details: message.reasoning_details,
        extra: message.extra,
        ..Delta::default()
    }
}

/// The counts in Gemini's names.
fn usage(usage: &Usage) -> Value {
    let classes = usage.classes(Convention::default());
    let prompt = classes.prompt_tokens();
    let reasoning = classes.tokens(Class::Reasoning);
    let mut out = json!({
        "promptTokenCount": prompt,
        "candidatesTokenCount": classes.completion_tokens() - reasoning,
        "totalTokenCount": prompt + classes.completion_tokens(),
    });
    for (name, class) in
        [("thoughtsTokenCount", Class::Reasoning), ("cachedContentTokenCount", Class::CacheRead)]
    {
        if classes.tokens(class) > 0 {
            out[name] = classes.tokens(class).into();
        }
    }
    if let Some(cost) = &usage.cost {
        out["cost"] = Value::Number(cost.clone());
    }
    out
}
