//! Gemini's replies in OpenAI's form, whole and frame by frame.
//!
//! Choices that are not obvious:
//!
//! - A prompt that was blocked (`promptFeedback.blockReason`, no candidate) is an error of the kind `ContentFilter`, so
//!   that a route can fall back. An answer that was cut by a filter is an answer with the finish reason `content_filter`.
//! - A reply without any part that ends with `STOP` or `OTHER` is an error of the kind `Empty`.
//! - `created` is `createTime`, where the reply has it, else 0: nothing here reads a clock.

mod annotations;
mod answer;
mod embeddings;
mod finish;
mod logprobs;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use weir_adapter::{Descriptor, ErrorKind, ProviderError};
use weir_wire::Usage;
use weir_wire::openai::chat::{Choice, Delta, Response};
use weir_wire::openai::{self, Extra};
use weir_wire::usage::Class;

use crate::error;
use crate::facts::Facts;
use crate::ids::Ids;
use crate::wire::{Candidate, Reply};
use answer::Answer;
pub(crate) use embeddings::embeddings;

/// What is known of a reply that is being read.
pub(crate) struct Reading {
    descriptor: Arc<Descriptor>,
    ids: Ids,
    id: Option<String>,
    /// The model that answers; the one that was asked for until the reply tells.
    pub(crate) model: String,
    pub(crate) created: u64,
    usage: Option<Usage>,
    service_tier: Option<String>,
    answers: BTreeMap<u32, Answer>,
}

/// A piece of one answer.
pub(crate) struct Piece {
    pub(crate) index: u32,
    pub(crate) delta: Delta,
    pub(crate) logprobs: Option<Value>,
}

/// The end of one answer.
pub(crate) struct Ending {
    pub(crate) index: u32,
    /// What could be told only now: citations.
    pub(crate) delta: Delta,
    pub(crate) finish_reason: &'static str,
    /// Members of the choice beyond OpenAI's.
    pub(crate) extra: Extra,
}

impl Reading {
    pub(crate) fn new(descriptor: Arc<Descriptor>, request: Bytes, model: &str) -> Reading {
        Reading {
            descriptor,
            ids: Ids::new(request),
            id: None,
            model: model.to_owned(),
            created: 0,
            usage: None,
            service_tier: None,
            answers: BTreeMap::new(),
        }
    }

    /// A reply, or one frame of it.
    pub(crate) fn take(&mut self, reply: Reply, out: &mut Vec<Piece>) -> Result<(), ProviderError> {
        self.head(&reply);
        if let Some(status) = &reply.error {
            return Err(self.with_usage(error::in_body(status)));
        }
        let blocked = reply.prompt_feedback.filter(|feedback| feedback.block_reason.is_some());
        if let Some(feedback) = blocked.filter(|_| reply.candidates.is_empty()) {
            return Err(self.with_usage(error::blocked(&feedback)));
        }
        for candidate in reply.candidates {
            self.candidate(candidate, out)?;
        }
        Ok(())
    }

    fn head(&mut self, reply: &Reply) {
        if let Some(id) = reply.response_id.as_deref().filter(|_| self.id.is_none()) {
            self.ids.reply(id);
        }
        let ids = &mut self.ids;
        self.id.get_or_insert_with(|| ids.of_reply());
        if let Some(model) = &reply.model_version {
            self.model.clone_from(model);
        }
        if let Some(seconds) = reply.create_time.as_deref().and_then(seconds).filter(|_| self.created == 0) {
            self.created = seconds;
        }
        if let Some(metadata) = &reply.usage_metadata {
            self.usage = usage::classes(metadata).or(self.usage.take());
            self.service_tier = metadata.service_tier.clone().or(self.service_tier.take());
        }
    }

    fn candidate(&mut self, candidate: Candidate, out: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let answer = self.answers.entry(candidate.index).or_insert_with(|| Answer::new(candidate.index));
        let deltas = answer.take(candidate.content.parts, &mut self.ids);
        let mut logprobs = candidate.logprobs_result.as_ref().and_then(logprobs::openai);
        let index = candidate.index;
        for delta in deltas {
            out.push(Piece { index, delta, logprobs: logprobs.take() });
        }
        if logprobs.is_some() {
            out.push(Piece { index, delta: Delta::default(), logprobs });
        }
        answer.sources(
            candidate.grounding_metadata,
            candidate.url_context_metadata,
            candidate.citation_metadata,
        );
        if let Some(reason) = candidate.finish_reason {
            let reason = finish::name(&reason);
            if let Some(error) = finish::error(&reason, candidate.finish_message.as_deref()) {
                return Err(self.with_usage(error));
            }
            answer.finish(reason, candidate.safety_ratings);
        }
        Ok(())
    }

    /// The ends of all answers.
    pub(crate) fn close(&mut self, complete: bool) -> Result<Vec<Ending>, ProviderError> {
        if self.answers.is_empty() {
            return Err(self.with_usage(ProviderError::empty()));
        }
        let mut endings = Vec::new();
        let mut failure = None;
        for answer in self.answers.values_mut() {
            match answer.close(complete) {
                Ok(ending) => endings.push(ending),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => Err(self.with_usage(error)),
            None => Ok(endings),
        }
    }

    /// A whole reply.
    pub(crate) fn whole(&mut self, reply: Reply) -> Result<Response, ProviderError> {
        let mut pieces = Vec::new();
        self.take(reply, &mut pieces)?;
        let endings = self.close(true)?;
        let mut choices: BTreeMap<u32, Choice> = BTreeMap::new();
        for piece in pieces {
            let choice = choices.entry(piece.index).or_default();
            answer::join(&mut choice.message, piece.delta);
            choice.logprobs = piece.logprobs.or(choice.logprobs.take());
        }
        for ending in endings {
            let choice = choices.entry(ending.index).or_default();
            answer::join(&mut choice.message, ending.delta);
            answer::settle(&mut choice.message);
            choice.index = ending.index;
            choice.finish_reason = Some(ending.finish_reason.to_owned());
            choice.extra = ending.extra;
        }
        Ok(Response {
            id: self.id(),
            object: "chat.completion".to_owned(),
            created: self.created,
            model: self.model.clone(),
            choices: choices.into_values().collect(),
            usage: self.usage().as_ref().map(openai::usage::Usage::report),
            extra: self.extra(),
        })
    }

    /// Whether nothing was read yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.id.is_none()
    }

    pub(crate) fn id(&mut self) -> String {
        let ids = &mut self.ids;
        self.id.get_or_insert_with(|| ids.of_reply()).clone()
    }

    /// Members of the reply beyond OpenAI's own types: the tier that served it, in OpenAI's words.
    pub(crate) fn extra(&self) -> Extra {
        let tier = self.service_tier.as_deref().map(|tier| match tier.to_ascii_lowercase().as_str() {
            "standard" | "default" => "default".to_owned(),
            other => other.to_owned(),
        });
        tier.map(|tier| ("service_tier".to_owned(), tier.into())).into_iter().collect()
    }

    /// What was reported so far, with the searches that grounded the answer.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let mut usage = self.usage.clone()?;
        let searches: u64 = self.answers.values().map(Answer::searches).sum();
        if searches > 0 {
            let by_query = Facts::new(&self.descriptor, &self.model).search_by_query();
            usage.set(Class::Search, if by_query { searches } else { 1 });
        }
        Some(usage)
    }

    fn with_usage(&self, mut error: ProviderError) -> ProviderError {
        error.usage = error.usage.or_else(|| self.usage());
        error
    }
}

/// A body that is no reply.
pub(crate) fn unreadable(problem: &serde_json::Error) -> ProviderError {
    ProviderError::reported(
        ErrorKind::Nonsense,
        502,
        format!("the provider's reply does not read: {problem}"),
    )
}

/// Seconds since 1970 of an RFC 3339 time in UTC; fractions are cut.
fn seconds(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !time.ends_with('Z') {
        return None;
    }
    // Years begin in March here, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    (days.checked_sub(719_469)?).checked_mul(86_400)?.checked_add(hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests;
