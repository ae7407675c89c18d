//! Usage as these calls report it: tokens by kind of content, seconds, or both.

use serde_json::Value;
use weir_wire::openai::usage::Convention;
use weir_wire::{Class, Usage};

use crate::chunk;

/// A `usage` object in disjoint classes; `None` where it counts nothing that weir knows.
pub(super) fn of(usage: &Value, convention: Convention) -> Option<Usage> {
    let mut found = match usage.get("input_tokens").or_else(|| usage.get("output_tokens")) {
        Some(_) => by_content(usage),
        None => chats(usage, convention),
    };
    let seconds = ["seconds", "prompt_audio_seconds"].iter().find_map(|name| usage.get(*name));
    if let Some(millis) = seconds.and_then(millis) {
        found.set(Class::Duration, millis);
    }
    (!found.is_empty()).then_some(found)
}

/// Seconds, whole or not, in milliseconds; a part of one counts whole.
pub(super) fn millis(seconds: &Value) -> Option<u64> {
    let seconds = seconds.as_f64().or_else(|| seconds.as_str()?.parse().ok())?;
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1000.0).ceil() as u64)
}

/// OpenAI's newer form: all input, with its parts by kind of content.
fn by_content(usage: &Value) -> Usage {
    let count = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).unwrap_or(0);
    let details = usage.get("input_tokens_details").or_else(|| usage.get("input_token_details"));
    let details = details.unwrap_or(&Value::Null);
    let input = count(usage, "input_tokens");
    let cached = count(details, "cached_tokens").min(input);
    let audio = count(details, "audio_tokens").min(input - cached);
    let image = count(details, "image_tokens").min(input - cached - audio);
    let output = count(usage, "output_tokens");
    let made = usage.get("output_tokens_details").or_else(|| usage.get("output_token_details"));
    let spoken = made.map_or(0, |made| count(made, "audio_tokens")).min(output);
    Usage::new()
        .with(Class::Input, input - cached - audio - image)
        .with(Class::CacheRead, cached)
        .with(Class::AudioIn, audio)
        .with(Class::ImageIn, image)
        .with(Class::Output, output - spoken)
        .with(Class::AudioOut, spoken)
}

/// As chats report it; where nothing but a total stands there, all of it went in.
fn chats(usage: &Value, convention: Convention) -> Usage {
    let Some(report) = chunk::lenient(usage.clone()) else { return Usage::new() };
    if report.prompt_tokens == 0 && report.completion_tokens == 0 {
        return Usage::new().with(Class::Input, report.total_tokens);
    }
    report.classes(convention)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(usage: Value, expected: &str) {
        let found = of(&usage, Convention::default());
        assert_eq!(
            found.map_or_else(|| "none".to_owned(), |usage| format!("{usage:?}")),
            expected,
            "{usage}"
        );
    }

    #[test]
    fn counts_as_they_were_recorded() {
        // openai: whisper-1, gpt-4o-transcribe-diarize; openrouter; mistral; together; voyage.
        check(json!({"type": "duration", "seconds": 7}), r#"{"duration": 7000}"#);
        check(
            json!({"type": "tokens", "total_tokens": 182, "input_tokens": 37, "input_token_details": {"text_tokens": 0, "audio_tokens": 37}, "output_tokens": 145}),
            r#"{"audio_in": 37, "output": 145}"#,
        );
        check(json!({"cost": 0.0006, "seconds": 6}), r#"{"duration": 6000}"#);
        check(
            json!({"prompt_audio_seconds": 3, "prompt_tokens": 5, "total_tokens": 391, "completion_tokens": 11, "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375}}),
            r#"{"input": 5, "audio_in": 375, "output": 11, "duration": 3000}"#,
        );
        check(
            json!({"prompt_tokens": 2966, "completion_tokens": 0, "total_tokens": 2966}),
            r#"{"input": 2966}"#,
        );
        check(json!({"total_tokens": 12}), r#"{"input": 12}"#);
        // OpenAI's description of an image made.
        check(
            json!({"total_tokens": 4210, "input_tokens": 50, "output_tokens": 4160, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}),
            r#"{"input": 10, "image_in": 40, "output": 4160}"#,
        );
    }

    #[test]
    fn nonsense_counts_nothing() {
        check(json!({}), "none");
        check(json!({"seconds": -1, "input_tokens": "x"}), "none");
        check(json!({"cost_in_usd_ticks": 700000000}), "none");
        check(
            json!({"input_tokens": 5, "input_tokens_details": {"audio_tokens": 9, "image_tokens": 9}}),
            r#"{"audio_in": 5}"#,
        );
    }
}
