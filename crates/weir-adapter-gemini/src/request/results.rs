//! Results of tools as `functionResponse` parts.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use weir_adapter::{EncodeError, InvalidRequest};
use weir_wire::openai::chat::{Content, KnownPart, Message, Part as OpenAiPart};

use super::contents::Calls;
use super::media;
use crate::facts::Facts;
use crate::ids::is_made;
use crate::wire::{FunctionResponse, Part, compact};

/// The results between two other messages, which go together.
#[derive(Default)]
pub(super) struct Results {
    /// With the order of the calls that they answer: without ids Gemini goes by order.
    parts: Vec<(usize, Part)>,
    /// What can't stand in a result and is said behind them.
    media: Vec<Part>,
}

impl Results {
    pub(super) fn add(
        &mut self,
        message: &Message,
        path: &str,
        calls: &Calls,
        facts: Facts<'_>,
        dropped: &mut Vec<String>,
    ) -> Result<(), EncodeError> {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let (name, order) = match (calls.get(id), &message.name) {
            (Some((name, order)), _) => (name.clone(), *order),
            (None, Some(name)) => (name.clone(), usize::MAX),
            (None, None) => {
                let message = format!("`{id}` is no call of an assistant message before it");
                return Err(InvalidRequest::value(&format!("{path}.tool_call_id"), message).into());
            }
        };
        let (text, media) = read(message, path, facts, dropped)?;
        let mut response = FunctionResponse {
            id: Some(id.to_owned()).filter(|id| !id.is_empty() && !is_made(id) && facts.holds("call_ids")),
            name,
            response: wrap(&text, message.is_error == Some(true)),
            parts: Vec::new(),
        };
        if facts.holds("result_media") {
            response.parts = media;
        } else {
            self.media.extend(media);
        }
        self.parts.push((order, Part { function_response: Some(response), ..Part::default() }));
        Ok(())
    }

    /// The results in the order of their calls, and what comes behind.
    pub(super) fn close(mut self) -> (Vec<Part>, Vec<Part>) {
        self.parts.sort_by_key(|(order, _)| *order);
        (self.parts.into_iter().map(|(_, part)| part).collect(), self.media)
    }
}

/// The text of a result, and what else it has.
fn read(
    message: &Message,
    path: &str,
    facts: Facts<'_>,
    dropped: &mut Vec<String>,
) -> Result<(String, Vec<Part>), EncodeError> {
    let mut media = Vec::new();
    if let Some(Content::Parts(parts)) = &message.content {
        for (at, part) in parts.iter().enumerate() {
            let path = format!("{path}.content[{at}]");
            match part {
                OpenAiPart::Known(KnownPart::Text(text)) if text.cache_control.is_none() => {}
                OpenAiPart::Known(KnownPart::Text(_)) => dropped.push(format!("{path}.cache_control")),
                other => media.extend(media::part(other, &path, facts, dropped)?),
            }
        }
    }
    Ok((message.text(), media))
}

/// A response is an object: a result that is one goes as it is, anything else under `output`. What a tool that failed
/// says goes under `error`.
fn wrap(text: &str, failed: bool) -> Box<RawValue> {
    let object = object(text);
    let raw = match (&object, failed) {
        (Some(object), false) => object.get().to_owned(),
        (Some(object), true) => format!(r#"{{"error":{}}}"#, object.get()),
        (None, failed) => {
            let name = if failed { "error" } else { "output" };
            json!({ name: Value::from(text) }).to_string()
        }
    };
    RawValue::from_string(raw).expect("made of JSON")
}

/// Text that is one JSON object, without space between its tokens: numbers keep every digit.
pub(super) fn object(text: &str) -> Option<Box<RawValue>> {
    let text = text.trim();
    let raw: Option<&RawValue> = text.starts_with('{').then(|| serde_json::from_str(text).ok())?;
    RawValue::from_string(compact(raw?.get())).ok()
}
