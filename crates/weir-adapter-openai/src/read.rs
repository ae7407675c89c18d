//! Glances at replies that pass through: usage, the first content, the end, and errors under status 200.
//! JSON is parsed only in frames that have a usage or an error; all others are searched for four keys.

use bytes::Bytes;
use serde_json::Value;
use weir_adapter::{Glance, Operation, ProviderError, Reader};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::openai::usage::Convention;
use weir_wire::peek::{Member, Members};

use crate::chunk::{self, Step};
use crate::error;
use crate::scan::{COST, DELTA, ERROR, FINISH, TEXT, USAGE, spoken, string};

/// Reads one reply that passes through.
pub(crate) struct NativeReader {
    operation: Operation,
    convention: Convention,
    choices: u32,
    usage: Option<Usage>,
    tier: Option<&'static str>,
    /// Something was said.
    begun: bool,
    /// How many answers have ended.
    finished: u32,
    /// The end mark came.
    done: bool,
}

impl NativeReader {
    pub(crate) fn new(operation: Operation, convention: Convention, choices: u32) -> NativeReader {
        let choices = choices.max(1);
        let (usage, tier) = (None, None);
        NativeReader { operation, convention, choices, usage, tier, begun: false, finished: 0, done: false }
    }

    fn json(&mut self, json: &[u8], at: Option<usize>, failed: bool) -> Result<Glance, ProviderError> {
        if failed || ERROR.is_in(json) {
            let members = members(json)?;
            if failed || present(json, &members, "error").is_some() {
                return Err(error::inside(&serde_json::from_slice(json).unwrap_or(Value::Null)));
            }
        }
        let mut glance = Glance { output_bytes: self.said(json), ..Glance::default() };
        let ended = self.ended(json)?;
        glance.semantic = glance.output_bytes > 0 || ended;
        self.begun |= glance.semantic;
        if USAGE.is_in(json) {
            let members = members(json)?;
            let end = self.read_usage(json, &members);
            glance.usage_end = end.zip(at).map(|(end, at)| at + end);
            let no_choice = present(json, &members, "choices").is_none_or(|choices| choices.value.len() == 2);
            let after = no_choice || self.finished >= self.choices;
            glance.usage_only = self.usage.is_some() && !glance.semantic && after;
        }
        Ok(glance)
    }

    /// How many bytes of an answer the frame holds.
    fn said(&self, json: &[u8]) -> usize {
        match self.operation {
            Operation::Completions => TEXT.values(json).filter_map(string).map(<[u8]>::len).sum(),
            _ => DELTA.values(json).map(spoken).sum(),
        }
    }

    /// Whether an answer ends in this frame.
    fn ended(&mut self, json: &[u8]) -> Result<bool, ProviderError> {
        let mut ended = false;
        for reason in FINISH.values(json).filter_map(string) {
            if let Ok(reason) = std::str::from_utf8(reason) {
                chunk::finish(reason)?;
            }
            self.finished += 1;
            ended = true;
        }
        Ok(ended)
    }

    /// Takes the usage over; the offset of its closing brace, where a cost can be put in.
    fn read_usage(&mut self, json: &[u8], members: &Members) -> Option<usize> {
        self.tier =
            present(json, members, "service_tier").and_then(|member| tier(&json[member.value.clone()]));
        if let Some(member) = present(json, members, "usage") {
            let raw = &json[member.value.clone()];
            self.usage = Some(chunk::usage(raw)?.classes(self.convention));
            // A host that states a cost itself keeps the word: a second `cost` would be a duplicate key.
            return (!COST.is_in(raw)).then_some(member.value.end - 1);
        }
        let groq = present(json, members, "x_groq")?;
        let groq: Value = serde_json::from_slice(&json[groq.value.clone()]).ok()?;
        let usage = groq.get("usage").cloned().and_then(chunk::lenient)?;
        self.usage = Some(usage.classes(self.convention));
        None
    }
}

impl Reader for NativeReader {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        let members = members(body)?;
        let list = if self.operation == Operation::Embeddings { "data" } else { "choices" };
        let Some(answers) = present(body, &members, list) else {
            let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
            return Err(
                match value.get("error").is_some_and(|error| !error.is_null()) || value["object"] == "error" {
                    true => error::inside(&value),
                    false => ProviderError::nonsense(format!("the provider's answer has no `{list}`")),
                },
            );
        };
        let answers = &body[answers.value.clone()];
        if answers.strip_prefix(b"[").is_some_and(|rest| rest.trim_ascii() == b"]") {
            return Err(ProviderError::empty());
        }
        if present(body, &members, "error").is_some() {
            return Err(error::inside(&serde_json::from_slice(body).unwrap_or(Value::Null)));
        }
        self.ended(answers)?;
        self.begun = true;
        self.done = true;
        let usage_end = self.read_usage(body, &members);
        // Only where there is no usage does it matter how much was said.
        let counted = self.usage.is_some() || self.operation == Operation::Embeddings;
        let output_bytes = if counted { 0 } else { spoken(answers) };
        Ok(Glance { semantic: true, usage_end, output_bytes, ..Glance::default() })
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError> {
        match chunk::step(frame, self.begun, &mut self.done)? {
            Step::Seen(glance) => Ok(glance),
            Step::Json { json, at, error } => self.json(&json, at, error),
        }
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        match (self.done, self.begun) {
            (true, _) => Ok(Bytes::new()),
            (false, false) => Err(ProviderError::empty()),
            (false, true) if self.finished >= self.choices => Ok(Bytes::from_static(b"data: [DONE]\n\n")),
            (false, true) => Err(ProviderError::truncated()),
        }
    }

    fn done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    fn tier(&self) -> Option<&'static str> {
        self.tier
    }
}

/// One of the tiers that OpenAI prices; hosts have others of their own.
fn tier(value: &[u8]) -> Option<&'static str> {
    match value {
        b"\"default\"" => Some("default"),
        b"\"flex\"" => Some("flex"),
        b"\"priority\"" => Some("priority"),
        _ => None,
    }
}

/// The members of a reply or of a frame's data.
pub(crate) fn members(json: &[u8]) -> Result<Members, ProviderError> {
    Members::read(json).map_err(|_| ProviderError::nonsense("the provider's answer is not a JSON object"))
}

/// A member that is there and not null.
pub(crate) fn present<'m>(json: &[u8], members: &'m Members, name: &str) -> Option<&'m Member> {
    members.get(json, name).filter(|member| &json[member.value.clone()] != b"null")
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
