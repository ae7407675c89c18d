//! The `usage` member of OpenAI-shaped replies, and what its counts contain at which host.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::Extra;
use crate::usage::Class;

/// Token counts as OpenAI reports them: the prompt contains the cached tokens, the completion the reasoning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All input.
    #[serde(deserialize_with = "count")]
    pub prompt_tokens: u64,
    /// All output.
    #[serde(deserialize_with = "count")]
    pub completion_tokens: u64,
    /// Both.
    #[serde(deserialize_with = "count")]
    pub total_tokens: u64,
    /// Parts of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptDetails>,
    /// Parts of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionDetails>,
    /// USD, as OpenRouter has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Number>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Parts of the input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Written to it, as OpenRouter has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_tokens: Option<u64>,
    /// Pictures, at hosts that count them apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_tokens: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Parts of the output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompletionDetails {
    /// Reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_tokens: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the counts of a host contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Convention {
    /// `prompt_tokens` contains the tokens read from and written to the cache.
    pub input_includes_cache: bool,
    /// `completion_tokens` contains the reasoning tokens (not so at xAI's chat endpoint).
    pub output_includes_reasoning: bool,
}

/// OpenAI's own.
impl Default for Convention {
    fn default() -> Convention {
        Convention { input_includes_cache: true, output_includes_reasoning: true }
    }
}

/// In the input details: how many of the tokens written to a cache stay for an hour (weir's own member).
const HOURLY: &str = "cache_write_1h_tokens";

impl Usage {
    /// In disjoint classes.
    pub fn classes(&self, convention: Convention) -> crate::Usage {
        let prompt = self.prompt_tokens_details.clone().unwrap_or_default();
        let completion = self.completion_tokens_details.clone().unwrap_or_default();
        let cached = prompt
            .cached_tokens
            .or_else(|| self.number("prompt_cache_hit_tokens"))
            .or_else(|| self.number("cached_tokens"))
            .or_else(|| self.number("num_cached_tokens"))
            .unwrap_or(0);
        let written = prompt.cache_write_tokens.unwrap_or(0);
        let hourly = prompt.extra.get(HOURLY).and_then(Value::as_u64).unwrap_or(0).min(written);
        let (audio, image) = (prompt.audio_tokens.unwrap_or(0), prompt.image_tokens.unwrap_or(0));
        // Mistral's audio stands beside the prompt; the total tells.
        let whole = self.prompt_tokens.saturating_add(if self.beside() == Some(audio) { audio } else { 0 });
        let (cached, written, fresh) = self.cache(cached, written, whole, convention);
        let hourly = hourly.min(written);
        let audio = audio.min(fresh);
        let image = image.min(fresh - audio);
        let reasoning = completion.reasoning_tokens.or_else(|| self.number("reasoning_tokens")).unwrap_or(0);
        let (visible, reasoning) = self.reasoning(reasoning, convention);
        let spoken = completion.audio_tokens.unwrap_or(0).min(visible);
        crate::Usage::new()
            .with(Class::Input, fresh - audio - image)
            .with(Class::CacheRead, cached)
            .with(Class::CacheWrite5m, written - hourly)
            .with(Class::CacheWrite1h, hourly)
            .with(Class::AudioIn, audio)
            .with(Class::ImageIn, image)
            .with(Class::Output, visible - spoken)
            .with(Class::Reasoning, reasoning)
            .with(Class::AudioOut, spoken)
    }

    /// Tokens read from the cache, written to it, and neither, of a prompt of `whole` tokens.
    fn cache(&self, cached: u64, written: u64, whole: u64, convention: Convention) -> (u64, u64, u64) {
        let both = cached.saturating_add(written);
        if !convention.input_includes_cache {
            return (cached, written, whole);
        }
        // More cached tokens than prompt tokens: where the total has no room for them beside the prompt, they are
        // the prompt (some hosts count a prompt of their own into them); without a total, they stand beside it.
        if both > whole && self.beside().is_none_or(|beside| beside >= both) {
            return (cached, written, whole);
        }
        let cached = cached.min(whole);
        let written = written.min(whole - cached);
        (cached, written, whole - cached - written)
    }

    /// Tokens of the completion that are no reasoning, and those that are.
    fn reasoning(&self, reasoning: u64, convention: Convention) -> (u64, u64) {
        let beside = self.beside().map(|beside| reasoning > 0 && beside == reasoning);
        if !convention.output_includes_reasoning || beside.unwrap_or(reasoning > self.completion_tokens) {
            return (self.completion_tokens, reasoning);
        }
        let reasoning = reasoning.min(self.completion_tokens);
        (self.completion_tokens - reasoning, reasoning)
    }

    /// What the total has beside the prompt and the completion; `None` where there is no total.
    fn beside(&self) -> Option<u64> {
        let both = self.prompt_tokens.saturating_add(self.completion_tokens);
        (self.total_tokens > 0).then(|| self.total_tokens.saturating_sub(both))
    }

    /// As OpenAI would report these classes.
    pub fn report(classes: &crate::Usage) -> Usage {
        let mut extra = Extra::new();
        if classes.tokens(Class::CacheWrite1h) > 0 {
            extra.insert(HOURLY.to_owned(), classes.tokens(Class::CacheWrite1h).into());
        }
        let some = |class: Class| Some(classes.tokens(class)).filter(|count| *count > 0);
        let written = classes.tokens(Class::CacheWrite5m) + classes.tokens(Class::CacheWrite1h);
        Usage {
            prompt_tokens: classes.prompt_tokens(),
            completion_tokens: classes.completion_tokens(),
            total_tokens: classes.prompt_tokens() + classes.completion_tokens(),
            prompt_tokens_details: Some(PromptDetails {
                cached_tokens: Some(classes.tokens(Class::CacheRead)),
                cache_write_tokens: Some(written).filter(|count| *count > 0),
                audio_tokens: some(Class::AudioIn),
                image_tokens: some(Class::ImageIn),
                extra,
            }),
            completion_tokens_details: Some(CompletionDetails {
                reasoning_tokens: Some(classes.tokens(Class::Reasoning)),
                audio_tokens: some(Class::AudioOut),
                extra: Extra::new(),
            }),
            ..Usage::default()
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.extra.get(name).and_then(Value::as_u64)
    }
}

/// A count that some hosts send as `null`.
fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, convention: Convention, expected: &str) {
        let usage: Usage = serde_json::from_str(json).unwrap();
        assert_eq!(format!("{:?}", usage.classes(convention)), expected);
    }

    #[test]
    fn classes_are_disjoint() {
        let xai = Convention { output_includes_reasoning: false, ..Convention::default() };
        check(
            r#"{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":60,"audio_tokens":10},
                "completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":5}}"#,
            Convention::default(),
            r#"{"input": 30, "cache_read": 60, "audio_in": 10, "output": 15, "reasoning": 30, "audio_out": 5}"#,
        );
        check(
            r#"{"prompt_tokens":432,"completion_tokens":68,"completion_tokens_details":{"reasoning_tokens":136}}"#,
            xai,
            r#"{"input": 432, "output": 68, "reasoning": 136}"#,
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_cache_hit_tokens":4}"#,
            Convention::default(),
            r#"{"input": 6, "cache_read": 4, "output": 1}"#,
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":null,"prompt_tokens_details":{"cached_tokens":64}}"#,
            Convention::default(),
            r#"{"input": 10, "cache_read": 64}"#,
        );
    }

    #[test]
    fn the_total_tells_what_stands_beside() {
        let openais = Convention::default();
        check(
            r#"{"prompt_tokens":9,"completion_tokens":201,"total_tokens":585,"prompt_tokens_details":{"audio_tokens":375}}"#,
            openais,
            r#"{"input": 9, "audio_in": 375, "output": 201}"#,
        );
        check(
            r#"{"prompt_tokens":154,"completion_tokens":274,"total_tokens":428,"prompt_tokens_details":{"cached_tokens":164}}"#,
            openais,
            r#"{"cache_read": 154, "output": 274}"#,
        );
        check(
            r#"{"prompt_tokens":43,"completion_tokens":10,"total_tokens":53,"completion_tokens_details":{"reasoning_tokens":11}}"#,
            openais,
            r#"{"input": 43, "reasoning": 10}"#,
        );
        check(
            r#"{"prompt_tokens":20,"completion_tokens":55,"total_tokens":388,"completion_tokens_details":{"reasoning_tokens":313}}"#,
            openais,
            r#"{"input": 20, "output": 55, "reasoning": 313}"#,
        );
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let most = u64::MAX;
        check(
            &format!(
                r#"{{"prompt_tokens":{most},"completion_tokens":{most},"total_tokens":{most},
                "prompt_tokens_details":{{"cached_tokens":{most},"cache_write_tokens":{most},"audio_tokens":{most}}}}}"#
            ),
            Convention::default(),
            &format!(r#"{{"cache_read": {most}, "output": {most}}}"#),
        );
    }
}
