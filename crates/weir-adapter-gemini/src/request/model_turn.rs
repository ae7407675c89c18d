//! What the model said before, part by part as it said it.
//!
//! Text, calls and whatever carries a signature go back in the places where they stood (see [`crate::place`]), each
//! signature byte for byte at its own part. Signatures of other providers never go to Gemini, and summaries of thoughts
//! without a signature do nothing there, so they stay here.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;
use weir_adapter::{EncodeError, InvalidRequest};
use weir_wire::openai::chat::{
    Content, FunctionCall as OpenAiCall, KnownPart, Message, Part as OpenAiPart, ToolCall,
};

use super::contents::Calls;
use super::media;
use super::results::object;
use crate::facts::Facts;
use crate::ids::is_made;
use crate::place::{FORMAT, Place, RAW_PART, signature};
use crate::wire::{FunctionCall, Part};

/// Something that stands at a place of its own.
struct Mark {
    place: Place,
    what: What,
}

enum What {
    /// The text at the place, with this signature.
    Signed(String),
    /// A part that adds no text.
    Part(Part),
}

/// The parts of an assistant message. Remembers its calls.
pub(super) fn parts(
    message: &Message,
    path: &str,
    facts: Facts<'_>,
    known: &mut Calls,
    dropped: &mut Vec<String>,
) -> Result<Vec<Part>, EncodeError> {
    if message.audio.is_some() {
        dropped.push(format!("{path}.audio"));
    }
    let text = spoken(message);
    let mut calls = calls(message, path, facts, known)?;
    let mut marks = marks(message, &mut calls, text.len());
    marks.extend(media_marks(message, path, facts, text.len(), dropped)?);
    marks.sort_by_key(|mark| mark.place);
    Ok(lay_out(&text, calls, marks))
}

/// The message's text; a refusal where it has none.
fn spoken(message: &Message) -> String {
    let text = message.text();
    if text.is_empty() { message.refusal.clone().unwrap_or_default() } else { text }
}

/// Text and calls with the marks between them. Text without a mark stands before the calls, as models have it.
fn lay_out(text: &str, calls: Vec<Part>, marks: Vec<Mark>) -> Vec<Part> {
    let mut spoken = Spoken { text, at: 0, out: Vec::new() };
    let behind = marks.iter().find(|mark| mark.place.calls > 0).map_or(text.len(), |mark| mark.place.start);
    let mut marks = marks.into_iter().peekable();
    let count = calls.len();
    let mut calls = calls.into_iter();
    for region in 0..=count {
        while let Some(mark) = marks.next_if(|mark| mark.place.calls <= region || region == count) {
            spoken.mark(mark);
        }
        if region == 0 {
            spoken.up_to(behind);
        }
        if region == count {
            spoken.up_to(text.len());
        }
        spoken.out.extend(calls.next());
    }
    spoken.out
}

/// A text that is being said.
struct Spoken<'t> {
    text: &'t str,
    at: usize,
    out: Vec<Part>,
}

impl Spoken<'_> {
    /// Says what comes before this byte. A place that a changed text no longer has says nothing.
    fn up_to(&mut self, end: usize) {
        if let Some(said) = self.text.get(self.at..end).filter(|said| !said.is_empty()) {
            self.out.push(Part::text(said));
            self.at = end;
        }
    }

    fn mark(&mut self, mark: Mark) {
        self.up_to(mark.place.start);
        self.out.push(match mark.what {
            What::Part(part) => part,
            What::Signed(signature) => {
                let said = self.text.get(self.at..mark.place.end).unwrap_or_default();
                self.at += said.len();
                Part { thought_signature: Some(signature), ..Part::text(said) }
            }
        });
    }
}

// === Calls ===

fn calls(
    message: &Message,
    path: &str,
    facts: Facts<'_>,
    known: &mut Calls,
) -> Result<Vec<Part>, EncodeError> {
    let mut out = Vec::new();
    for (at, call) in message.tool_calls.iter().flatten().enumerate() {
        out.push(one_call(call, &format!("{path}.tool_calls[{at}]"), facts, known)?);
    }
    // The form that came before `tool_calls`.
    if let Some(Ok(function)) =
        message.extra.get("function_call").map(|call| serde_json::from_value(call.clone()))
    {
        let call = ToolCall { function: Some(function), ..ToolCall::default() };
        out.push(one_call(&call, &format!("{path}.function_call"), facts, known)?);
    }
    Ok(out)
}

fn one_call(call: &ToolCall, path: &str, facts: Facts<'_>, known: &mut Calls) -> Result<Part, EncodeError> {
    let Some(OpenAiCall { name: Some(name), arguments, .. }) = &call.function else {
        return Err(EncodeError::unsupported(path, "this provider takes calls of functions only"));
    };
    let id = call.id.clone().unwrap_or_default();
    let order = known.len();
    known.insert(id.clone(), (name.clone(), order));
    let function_call = FunctionCall {
        id: Some(id).filter(|id| !id.is_empty() && !is_made(id) && facts.holds("call_ids")),
        name: name.clone(),
        args: Some(arguments_of(arguments.as_deref().unwrap_or_default(), path)?),
    };
    Ok(Part {
        function_call: Some(function_call),
        thought_signature: signature(&call.extra),
        ..Part::default()
    })
}

fn arguments_of(text: &str, path: &str) -> Result<Box<RawValue>, EncodeError> {
    match text.trim() {
        "" | "null" => Ok(RawValue::from_string("{}".to_owned()).expect("it is JSON")),
        text => object(text).ok_or_else(|| {
            let path = format!("{path}.function.arguments");
            InvalidRequest::value(&path, "arguments must be the text of one JSON object").into()
        }),
    }
}

// === Marks ===

/// What the message's own details tell. Signatures of calls go to the calls.
fn marks(message: &Message, calls: &mut [Part], length: usize) -> Vec<Mark> {
    let ids = message.tool_calls.iter().flatten().enumerate();
    let ids: HashMap<&str, usize> = ids.filter_map(|(at, call)| Some((call.id.as_deref()?, at))).collect();
    let first = Place { calls: 0, start: 0, end: 0 };
    let last = Place { calls: calls.len(), start: length, end: length };
    let mut marks = Vec::new();
    let mut sign = |at: usize, signature: &str| {
        calls[at].thought_signature.get_or_insert_with(|| signature.to_owned());
    };
    let details = message.reasoning_details.iter().flatten();
    for detail in details.filter(|detail| detail.format.as_deref() == Some(FORMAT)) {
        let place = Place::read(&detail.extra);
        let call = detail.id.as_deref().and_then(|id| ids.get(id));
        match (detail.kind.as_str(), &detail.data, &detail.signature) {
            ("reasoning.text", _, Some(signature)) => {
                let text = detail.text.clone().unwrap_or_default();
                let thought = Part {
                    thought: Some(true),
                    thought_signature: Some(signature.clone()),
                    ..Part::text(text)
                };
                marks.push(Mark { place: place.unwrap_or(first), what: What::Part(thought) });
            }
            ("reasoning.encrypted", Some(data), _) => match (call, place) {
                (Some(at), _) => sign(*at, data),
                (None, Some(place)) => marks.push(Mark { place, what: What::Signed(data.clone()) }),
                // As other gateways write it: without a place. A signature belongs to the first call, if any.
                (None, None) if last.calls > 0 => sign(0, data),
                (None, None) => marks.push(Mark { place: last, what: What::Signed(data.clone()) }),
            },
            (RAW_PART, ..) => {
                let part =
                    detail.extra.get("part").and_then(|part| serde_json::from_value(part.clone()).ok());
                marks.extend(part.map(|part| Mark { place: place.unwrap_or(first), what: What::Part(part) }));
            }
            _ => {}
        }
    }
    // As Google's OpenAI-compatible endpoint writes it: the signature of the whole text.
    if let Some(signature) = signature(&message.extra).filter(|_| marks.is_empty() && last.calls == 0) {
        marks.push(Mark { place: Place { calls: 0, start: 0, end: length }, what: What::Signed(signature) });
    }
    marks
}

/// Pictures and other parts beside the text.
fn media_marks(
    message: &Message,
    path: &str,
    facts: Facts<'_>,
    length: usize,
    dropped: &mut Vec<String>,
) -> Result<Vec<Mark>, EncodeError> {
    let end = Place { calls: 0, start: length, end: length };
    let mut marks = Vec::new();
    if let Some(Content::Parts(parts)) = &message.content {
        for (at, part) in parts.iter().enumerate().filter(|(_, part)| !is_text(part)) {
            if let Some(part) = media::part(part, &format!("{path}.content[{at}]"), facts, dropped)? {
                marks.push(Mark { place: end, what: What::Part(part) });
            }
        }
    }
    let images = message.extra.get("images").and_then(Value::as_array).into_iter().flatten();
    for (at, image) in images.enumerate() {
        let place = image.as_object().and_then(Place::read).unwrap_or(end);
        let part: OpenAiPart =
            serde_json::from_value(image.clone()).map_err(|error| InvalidRequest::body(&error))?;
        let signature = image.as_object().and_then(signature);
        if let Some(part) = media::part(&part, &format!("{path}.images[{at}]"), facts, dropped)? {
            let part = Part { thought_signature: signature.clone(), ..part };
            marks.push(Mark { place, what: What::Part(part) });
        }
    }
    Ok(marks)
}

fn is_text(part: &OpenAiPart) -> bool {
    match part {
        OpenAiPart::Known(KnownPart::Text(_) | KnownPart::Refusal(_)) => true,
        OpenAiPart::Known(_) => false,
        // Thoughts of other dialects.
        OpenAiPart::Other(part) => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
            ["thinking", "redacted_thinking", "reasoning"].contains(&kind)
        }
    }
}
