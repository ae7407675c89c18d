//! Glances at replies to these calls: what they used, whether they are what they should be, where a stream ends.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::Value;
use weir_adapter::descriptor::CallRules;
use weir_adapter::{Glance, Operation, ProviderError, Reader, Request};
use weir_wire::framing::Framing;
use weir_wire::openai::usage::Convention;
use weir_wire::peek::as_str;
use weir_wire::splice::Splice;
use weir_wire::{Class, Usage};

use super::usage;
use crate::chunk::{self, Step};
use crate::error;
use crate::read::{members, present};

/// Reads one reply.
pub(crate) struct MediaReader {
    operation: Operation,
    convention: Convention,
    /// Members that the provider calls otherwise: theirs, and what the client knows.
    names: Vec<(String, String)>,
    /// The member that holds the sound.
    audio: Option<String>,
    /// The form in which sound was asked for.
    sound: &'static str,
    streams: bool,
    choices: u32,
    usage: Option<Usage>,
    rewritten: Option<Bytes>,
    begun: bool,
    finished: u32,
    done: bool,
}

impl MediaReader {
    pub(crate) fn new(request: &Request, convention: Convention, calls: Option<&CallRules>) -> MediaReader {
        let names = calls.map(|calls| calls.reply.clone().into_iter().collect()).unwrap_or_default();
        let member = |name: &str| request.peek().members.value(request.raw(), name).and_then(as_str);
        let mut asked = Usage::new();
        if request.operation == Operation::Speech {
            asked.set(Class::Character, member("input").map_or(0, |text| text.chars().count()) as u64);
        }
        MediaReader {
            operation: request.operation,
            convention,
            names,
            audio: calls.and_then(|calls| calls.audio.clone()),
            sound: sound(member("response_format").as_deref()),
            streams: request.peek().stream,
            choices: request.peek().choices.max(1),
            // What stands in the request: characters to be spoken.
            usage: (!asked.is_empty()).then_some(asked),
            rewritten: None,
            begun: false,
            finished: 0,
            done: false,
        }
    }

    /// The list or text that a reply must have.
    fn content(&self) -> &'static [&'static str] {
        match self.operation {
            Operation::Rerank | Operation::Moderations => &["results"],
            Operation::Transcriptions | Operation::Translations => &["text", "segments"],
            _ => &["data"],
        }
    }

    /// Adds what was reported to what the request says.
    fn take(&mut self, reported: Option<Usage>) {
        if let Some(reported) = reported {
            let usage = self.usage.get_or_insert_with(Usage::new);
            for ((class, unit), count) in reported.iter() {
                usage.set_in(class, unit, count);
            }
        }
    }

    fn json(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|_| ProviderError::nonsense("the provider's answer is no JSON"))?;
        if value.get("error").is_some_and(|error| !error.is_null()) || value["object"] == "error" {
            return Err(error::inside(&value));
        }
        if let Some(name) = &self.audio {
            let sound = value.get(name).and_then(Value::as_str);
            let sound = sound.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            let sound = sound
                .ok_or_else(|| ProviderError::nonsense(format!("the provider's answer has no `{name}`")))?;
            self.take(value.get("usage").and_then(|reported| usage::of(reported, self.convention)));
            self.rewritten = Some(sound.into());
            return Ok(Glance { semantic: true, ..Glance::default() });
        }
        let theirs = |ours: &str| {
            let own = self.names.iter().find(|(_, name)| name == ours);
            own.map_or_else(|| ours.to_owned(), |(own, _)| own.clone())
        };
        let content = self.content();
        let Some(found) =
            content.iter().find_map(|name| value.get(theirs(name)).filter(|found| !found.is_null()))
        else {
            return Err(ProviderError::nonsense(format!("the provider's answer has no `{}`", content[0])));
        };
        let made = found.as_array().map_or(0, Vec::len);
        let is_image =
            matches!(self.operation, Operation::Images | Operation::ImageEdits | Operation::ImageVariations);
        if is_image && made == 0 {
            return Err(ProviderError::empty());
        }
        let mut counted = value.get("usage").and_then(|reported| usage::of(reported, self.convention));
        if is_image {
            counted.get_or_insert_with(Usage::new).set(Class::Image, made as u64);
        }
        if counted.is_none() && self.content()[0] == "text" {
            let millis = value.get("duration").and_then(usage::millis);
            counted = millis.map(|millis| Usage::new().with(Class::Duration, millis));
        }
        self.take(counted);
        self.rewritten = self.renamed(body, &value);
        // Where the cost can be put in: not into what is written anew.
        let at = members(body)?;
        let usage_end = present(body, &at, "usage")
            .filter(|member| body[member.value.clone()].starts_with(b"{"))
            .filter(|_| self.rewritten.is_none() && value["usage"].get("cost").is_none())
            .map(|member| member.value.end - 1);
        Ok(Glance { semantic: true, usage_end, ..Glance::default() })
    }

    /// The reply in the client's words, where the provider has others.
    fn renamed(&self, body: &[u8], value: &Value) -> Option<Bytes> {
        if self.operation == Operation::Moderations {
            return flagged(value);
        }
        let at = members(body).ok()?;
        let mut splice = Splice::new();
        let mut changed = false;
        for (own, ours) in &self.names {
            if let Some(member) = at.get(body, own).filter(|_| at.get(body, ours).is_none()) {
                splice.replace(member.key.clone(), serde_json::to_vec(ours).expect("a string is JSON"));
                changed = true;
            }
        }
        changed.then(|| splice.apply(&Bytes::copy_from_slice(body)))
    }

    fn event(&mut self, json: &[u8], failed: bool, at: Option<usize>) -> Result<Glance, ProviderError> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|_| ProviderError::nonsense("the provider sent an event that is not JSON"))?;
        let kind = value["type"].as_str().unwrap_or_default();
        if failed || kind == "error" || value.get("error").is_some_and(|error| !error.is_null()) {
            return Err(error::inside(&value));
        }
        let ends = [".done", ".completed"].iter().any(|end| kind.ends_with(end));
        if ends {
            self.finished += 1;
        }
        let mut glance = Glance { semantic: !kind.is_empty(), ..Glance::default() };
        glance.output_bytes = value["delta"].as_str().map_or(0, str::len);
        self.begun |= glance.semantic;
        let image = ends && kind.starts_with("image");
        let mut reported = value.get("usage").and_then(|reported| usage::of(reported, self.convention));
        if image {
            // One event for each image, each with its own usage.
            let mut sum = self.usage.clone().unwrap_or_default();
            let mut one = reported.take().unwrap_or_default();
            one.set(Class::Image, 1);
            sum.add(&one);
            self.usage = Some(sum);
        }
        self.take(reported);
        if value["usage"].is_object() && value["usage"].get("cost").is_none() {
            let at_members = members(json)?;
            let end = present(json, &at_members, "usage").map(|member| member.value.end - 1);
            glance.usage_end = end.zip(at).map(|(end, at)| at + end);
        }
        Ok(glance)
    }
}

impl Reader for MediaReader {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        self.begun = true;
        self.done = true;
        let text = body.trim_ascii_start();
        if text.starts_with(b"{") {
            return self.json(body);
        }
        let speaks = matches!(self.operation, Operation::Transcriptions | Operation::Translations);
        if !speaks || text.starts_with(b"<") {
            return Err(ProviderError::nonsense("the provider's answer is no JSON"));
        }
        // `text`, `srt`, `vtt`: nothing is said of usage.
        Ok(Glance { semantic: true, ..Glance::default() })
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError> {
        match chunk::step(frame, self.begun, &mut self.done)? {
            Step::Seen(glance) => Ok(glance),
            Step::Json { json, at, error } => self.event(&json, error, at),
        }
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        match (self.done || self.finished >= self.choices, self.begun) {
            (true, _) => Ok(Bytes::new()),
            (false, false) => Err(ProviderError::empty()),
            (false, true) => Err(ProviderError::truncated()),
        }
    }

    fn done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    fn is_opaque(&self) -> bool {
        self.operation == Operation::Speech && !self.streams && self.audio.is_none()
    }

    fn rewritten(&mut self) -> Option<Bytes> {
        self.rewritten.take()
    }

    fn content_type(&self) -> Option<&'static str> {
        (self.operation == Operation::Speech).then_some(self.sound)
    }
}

/// A result that does not say whether it is flagged is where one of its categories is.
fn flagged(value: &Value) -> Option<Bytes> {
    let lacks = |result: &Value| result["categories"].is_object() && result.get("flagged").is_none();
    if !value["results"].as_array().is_some_and(|results| results.iter().any(lacks)) {
        return None;
    }
    let mut value = value.clone();
    for result in value["results"].as_array_mut().into_iter().flatten().filter(|result| lacks(result)) {
        let any = result["categories"].as_object().is_some_and(|all| all.values().any(|flag| *flag == true));
        result["flagged"] = any.into();
    }
    Some(serde_json::to_vec(&value).expect("a value is JSON").into())
}

fn sound(format: Option<&str>) -> &'static str {
    match format {
        Some("opus") => "audio/ogg",
        Some("aac") => "audio/aac",
        Some("flac") => "audio/flac",
        Some("wav") => "audio/wav",
        Some("pcm") => "audio/pcm",
        _ => "audio/mpeg",
    }
}
