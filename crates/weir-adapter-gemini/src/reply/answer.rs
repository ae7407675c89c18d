//! One answer, part by part.

use serde_json::{Value, json};
use weir_adapter::ProviderError;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{
    Content, Delta, FunctionCall as OpenAiCall, Message, ReasoningDetail, ToolCall,
};

use super::{Ending, annotations, finish};
use crate::ids::Ids;
use crate::place::{FORMAT, Place, RAW_PART, set_google};
use crate::wire::{Blob, FunctionCall, Part, compact};

/// What one candidate said so far.
pub(super) struct Answer {
    index: u32,
    /// Its text.
    text: String,
    calls: usize,
    /// Parts of any kind, empty ones included.
    parts: usize,
    /// The index of the next reasoning detail.
    details: u32,
    /// The detail to which a further thought belongs.
    thought: Option<u32>,
    reason: Option<String>,
    ratings: Option<Value>,
    grounding: Option<Value>,
    urls: Option<Value>,
    citations: Vec<Value>,
    searches: u64,
}

impl Answer {
    pub(super) fn new(index: u32) -> Answer {
        Answer {
            index,
            text: String::new(),
            calls: 0,
            parts: 0,
            details: 0,
            thought: None,
            reason: None,
            ratings: None,
            grounding: None,
            urls: None,
            citations: Vec::new(),
            searches: 0,
        }
    }

    /// What these parts add. Each part gives one piece at most.
    pub(super) fn take(&mut self, parts: Vec<Part>, ids: &mut Ids) -> Vec<Delta> {
        self.parts += parts.len();
        parts.into_iter().filter_map(|part| self.part(part, ids)).collect()
    }

    fn part(&mut self, mut part: Part, ids: &mut Ids) -> Option<Delta> {
        let thought = part.thought == Some(true) && part.text.is_some();
        if !thought {
            self.thought = None;
        }
        if let Some(call) = part.function_call.take() {
            return Some(self.call(call, part.thought_signature, ids));
        }
        if let Some(blob) = part.inline_data.take() {
            return Some(self.blob(blob, part.thought_signature, ids));
        }
        if thought {
            return self.think(part);
        }
        if let Some(text) = &part.text {
            let text = text.clone();
            return self.say(text, part.thought_signature);
        }
        let raw = serde_json::to_value(&part).unwrap_or_default();
        let own = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse", "fileData"];
        if own.iter().any(|name| raw.get(name).is_some()) {
            let extra = Extra::from_iter([("part".to_owned(), raw)]);
            let detail = ReasoningDetail { kind: RAW_PART.to_owned(), extra, ..ReasoningDetail::default() };
            return Some(self.detailed(Delta::default(), detail, self.here(0)));
        }
        part.thought_signature.and_then(|signature| self.say(String::new(), Some(signature)))
    }

    fn call(&mut self, call: FunctionCall, signature: Option<String>, ids: &mut Ids) -> Delta {
        let position = self.calls;
        self.calls += 1;
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| ids.of_call(self.index, position));
        let mut extra = Extra::new();
        if let Some(signature) = signature {
            set_google(&mut extra, "thought_signature", signature.into());
        }
        let arguments = call.args.map_or_else(|| "{}".to_owned(), |args| compact(args.get()));
        let arguments = if arguments == "null" { "{}".to_owned() } else { arguments };
        let function = OpenAiCall { name: Some(call.name), arguments: Some(arguments), extra: Extra::new() };
        let call = ToolCall {
            id: Some(id),
            kind: Some("function".to_owned()),
            function: Some(function),
            index: u32::try_from(position).ok(),
            extra,
        };
        Delta { tool_calls: Some(vec![call]), ..Delta::default() }
    }

    /// A picture, in the form that other OpenAI-compatible hosts have, or sound.
    fn blob(&mut self, blob: Blob, signature: Option<String>, ids: &mut Ids) -> Delta {
        if blob.mime_type.starts_with("audio/") {
            let audio = json!({"id": ids.of_reply().replacen("chatcmpl", "audio", 1), "data": blob.data, "expires_at": 0,
                "transcript": "", "mime_type": blob.mime_type});
            return Delta { audio: Some(audio), ..Delta::default() };
        }
        let url = format!("data:{};base64,{}", blob.mime_type, blob.data);
        let mut image = Extra::from_iter([
            ("type".to_owned(), "image_url".into()),
            ("image_url".to_owned(), json!({ "url": url })),
        ]);
        self.here(0).write(&mut image);
        if let Some(signature) = signature {
            set_google(&mut image, "thought_signature", signature.into());
        }
        let extra = Extra::from_iter([("images".to_owned(), json!([image]))]);
        Delta { extra, ..Delta::default() }
    }

    fn think(&mut self, part: Part) -> Option<Delta> {
        let text = part.text.unwrap_or_default();
        if text.is_empty() && part.thought_signature.is_none() {
            return None;
        }
        let signed = part.thought_signature.is_some();
        let mut detail = ReasoningDetail {
            kind: "reasoning.text".to_owned(),
            text: Some(text.clone()),
            signature: part.thought_signature,
            ..ReasoningDetail::default()
        };
        let reasoning_content = Some(text).filter(|text| !text.is_empty());
        let delta = Delta { reasoning_content, ..Delta::default() };
        let Some(open) = self.thought else {
            let place = self.here(0);
            let delta = self.detailed(delta, detail, place);
            self.thought = (!signed).then(|| self.details - 1);
            return Some(delta);
        };
        // A further piece of the thought before.
        detail.format = Some(FORMAT.to_owned());
        detail.index = Some(open);
        if signed {
            self.thought = None;
        }
        Some(Delta { reasoning_details: Some(vec![detail]), ..delta })
    }

    fn say(&mut self, text: String, signature: Option<String>) -> Option<Delta> {
        let place = self.here(text.len());
        self.text.push_str(&text);
        let delta = Delta {
            content: Some(Content::Text(text)).filter(|_| place.start < place.end),
            ..Delta::default()
        };
        match signature {
            None => Some(delta).filter(|delta| delta.content.is_some()),
            Some(signature) => {
                let detail = ReasoningDetail {
                    kind: "reasoning.encrypted".to_owned(),
                    data: Some(signature),
                    ..ReasoningDetail::default()
                };
                Some(self.detailed(delta, detail, place))
            }
        }
    }

    /// Adds a detail of its own, with its place.
    fn detailed(&mut self, mut delta: Delta, mut detail: ReasoningDetail, place: Place) -> Delta {
        detail.format = Some(FORMAT.to_owned());
        detail.index = Some(self.details);
        self.details += 1;
        place.write(&mut detail.extra);
        delta.reasoning_details = Some(vec![detail]);
        delta
    }

    /// The place of what comes next, if it adds `length` bytes of text.
    fn here(&self, length: usize) -> Place {
        Place { calls: self.calls, start: self.text.len(), end: self.text.len() + length }
    }

    // === What comes beside the parts ===

    pub(super) fn sources(
        &mut self,
        grounding: Option<Value>,
        urls: Option<Value>,
        citations: Option<Value>,
    ) {
        if let Some(grounding) = grounding {
            self.searches = annotations::searches(&grounding);
            self.grounding = Some(grounding);
        }
        self.urls = urls.or(self.urls.take());
        for one in citations.as_ref().map(annotations::sources).unwrap_or_default() {
            if !self.citations.contains(&one) {
                self.citations.push(one);
            }
        }
    }

    pub(super) fn finish(&mut self, reason: String, ratings: Option<Value>) {
        self.reason = Some(reason);
        self.ratings = ratings.or(self.ratings.take());
    }

    /// How many searches grounded the answer.
    pub(super) fn searches(&self) -> u64 {
        self.searches
    }

    /// The answer's end. A body that came whole needs no finish reason; a stream does.
    pub(super) fn close(&mut self, complete: bool) -> Result<Ending, ProviderError> {
        let reason = match &self.reason {
            Some(reason) => reason.as_str(),
            None if complete => "",
            None => return Err(ProviderError::truncated()),
        };
        if self.parts == 0 && finish::must_have_said(reason) {
            return Err(ProviderError::empty());
        }
        let finish_reason = finish::openai(reason, self.calls > 0);
        let mut extra = Extra::new();
        if !reason.is_empty() {
            extra.insert("native_finish_reason".to_owned(), reason.into());
        }
        let annotations = annotations::annotations(&self.text, self.grounding.as_ref(), &self.citations);
        let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
        let mut delta = Delta { annotations, ..Delta::default() };
        let ratings = self.ratings.take().filter(|_| finish_reason == "content_filter");
        for (name, value) in [
            ("grounding_metadata", self.grounding.take()),
            ("url_context_metadata", self.urls.take()),
            ("safety_ratings", ratings),
        ] {
            if let Some(value) = value {
                set_google(&mut delta.extra, name, value);
            }
        }
        Ok(Ending { index: self.index, delta, finish_reason, extra })
    }
}

// === Whole messages ===

/// Adds a piece to a message.
pub(super) fn join(message: &mut Message, delta: Delta) {
    if let Some(Content::Text(text)) = delta.content {
        match &mut message.content {
            Some(Content::Text(said)) => said.push_str(&text),
            other => *other = Some(Content::Text(text)),
        }
    }
    if let Some(text) = delta.reasoning_content {
        message.reasoning_content.get_or_insert_default().push_str(&text);
    }
    for mut call in delta.tool_calls.into_iter().flatten() {
        call.index = None;
        message.tool_calls.get_or_insert_default().push(call);
    }
    for detail in delta.reasoning_details.into_iter().flatten() {
        let details = message.reasoning_details.get_or_insert_default();
        match details.last_mut().filter(|last| last.index == detail.index) {
            Some(last) => {
                last.text.get_or_insert_default().push_str(&detail.text.unwrap_or_default());
                last.signature = detail.signature.or(last.signature.take());
            }
            None => details.push(detail),
        }
    }
    if let Some(audio) = delta.audio {
        match (&mut message.audio, audio["data"].as_str()) {
            (Some(said), Some(more)) => {
                let data = said["data"].as_str().unwrap_or_default().to_owned() + more;
                said["data"] = data.into();
            }
            (said, _) => *said = Some(audio),
        }
    }
    message.annotations = delta.annotations.or(message.annotations.take());
    for (name, value) in delta.extra {
        match (message.extra.get_mut(&name), value) {
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (_, value) => drop(message.extra.insert(name, value)),
        }
    }
}

/// Completes a message to which all pieces were added.
pub(super) fn settle(message: &mut Message) {
    message.role = "assistant".to_owned();
    let other =
        message.tool_calls.is_some() || message.audio.is_some() || message.extra.contains_key("images");
    if message.content.is_none() && !other {
        message.content = Some(Content::Text(String::new()));
    }
}
