//! Glances at answers of the Responses API that pass through: usage, the first content, the end, and errors.

use bytes::Bytes;
use serde_json::Value;
use weir_adapter::{Glance, ProviderError, Reader};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::openai::usage::{CompletionDetails, Convention, PromptDetails, Usage as Reported};
use weir_wire::peek::{Members, as_str};

use crate::chunk::{self, Data};
use crate::error;
use crate::read::{members, present};
use crate::scan::{COST, spoken};

/// Reads one answer that passes through.
pub(crate) struct ResponseReader {
    convention: Convention,
    usage: Option<Usage>,
    /// Something was said.
    begun: bool,
    done: bool,
}

impl ResponseReader {
    pub(crate) fn new(convention: Convention) -> ResponseReader {
        ResponseReader { convention, usage: None, begun: false, done: false }
    }

    /// One event; `at` is where its JSON begins in the frame.
    fn event(&mut self, json: &[u8], at: Option<usize>, failed: bool) -> Result<Glance, ProviderError> {
        let members = members(json)?;
        let kind = members.value(json, "type").and_then(as_str).unwrap_or_default();
        if failed || kind == "error" {
            return Err(error::inside(&serde_json::from_slice(json).unwrap_or(Value::Null)));
        }
        let mut glance = Glance::default();
        match &*kind {
            "response.completed" | "response.incomplete" | "response.failed" => {
                let response = present(json, &members, "response").ok_or_else(lacks)?;
                let raw = &json[response.value.clone()];
                let end = self.object(raw)?;
                glance.usage_end = end.zip(at).map(|(end, at)| at + response.value.start + end);
                self.done = true;
                glance.semantic = true;
            }
            _ if kind.ends_with(".delta") => {
                glance.output_bytes = members.value(json, "delta").map_or(0, spoken);
                glance.semantic = true;
            }
            // A tool's item, or a whole text that came without deltas.
            "response.output_item.added" | "response.output_item.done" => {
                let item = members.value(json, "item");
                let kind = item.and_then(|raw| Some((raw, Members::read(raw).ok()?)));
                let kind = kind.and_then(|(raw, item)| item.value(raw, "type").and_then(as_str));
                glance.semantic = kind.is_some_and(|kind| kind != "message" && kind != "reasoning");
            }
            _ => {}
        }
        self.begun |= glance.semantic;
        Ok(glance)
    }

    /// Reads the response object; the offset of its usage's closing brace, where a cost can be put in.
    fn object(&mut self, raw: &[u8]) -> Result<Option<usize>, ProviderError> {
        let members = members(raw)?;
        let usage = present(raw, &members, "usage").map(|member| member.value.clone());
        let end = usage.and_then(|range| {
            let text = &raw[range.clone()];
            self.usage = Some(reported(text)?.classes(self.convention));
            (!COST.is_in(text)).then_some(range.end - 1)
        });
        let status = members.value(raw, "status").and_then(as_str);
        if status.as_deref() == Some("failed") || present(raw, &members, "error").is_some() {
            let value: Value = serde_json::from_slice(raw).unwrap_or(Value::Null);
            let mut error = error::inside(&value["error"]);
            error.usage = self.usage.clone();
            return Err(error);
        }
        Ok(end)
    }
}

impl Reader for ResponseReader {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        let members = members(body)?;
        let Some(output) = present(body, &members, "output") else {
            let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
            return Err(match value.get("error").is_some_and(|error| !error.is_null()) {
                true => error::inside(&value),
                false => lacks(),
            });
        };
        let output_bytes = spoken(&body[output.value.clone()]);
        let usage_end = self.object(body)?;
        (self.begun, self.done) = (true, true);
        Ok(Glance { semantic: true, usage_end, output_bytes, ..Glance::default() })
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError> {
        if self.done {
            return Ok(Glance { withhold: true, ..Glance::default() });
        }
        match chunk::data(frame)? {
            Data::None => Ok(Glance::default()),
            Data::Done => Err(ProviderError::truncated()),
            Data::Json { json, at, error } => self.event(&json, at, error),
            Data::Bare(json) => Err(error::bare(json)),
        }
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        match (self.done, self.begun) {
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
}

fn lacks() -> ProviderError {
    ProviderError::nonsense("the provider's answer is not a response")
}

/// The counts under chat's names.
fn reported(raw: &[u8]) -> Option<Reported> {
    let value: Value = serde_json::from_slice(raw).ok()?;
    let number = |value: &Value| value.as_u64();
    let (input, output) = (&value["input_tokens_details"], &value["output_tokens_details"]);
    Some(Reported {
        prompt_tokens: number(&value["input_tokens"])?,
        completion_tokens: number(&value["output_tokens"])?,
        total_tokens: number(&value["total_tokens"]).unwrap_or(0),
        prompt_tokens_details: Some(PromptDetails {
            cached_tokens: number(&input["cached_tokens"]),
            cache_write_tokens: number(&input["cache_write_tokens"]),
            audio_tokens: number(&input["audio_tokens"]),
            image_tokens: None,
            ..PromptDetails::default()
        }),
        completion_tokens_details: Some(CompletionDetails {
            reasoning_tokens: number(&output["reasoning_tokens"]),
            audio_tokens: number(&output["audio_tokens"]),
            ..CompletionDetails::default()
        }),
        ..Reported::default()
    })
}
