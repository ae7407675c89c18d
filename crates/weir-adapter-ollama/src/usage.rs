//! What Ollama counts. The prompt's count is left out where all of it was cached.

use serde_json::Value;
use weir_wire::openai::usage::Usage as Report;
use weir_wire::{Class, Usage};

/// Members of a last line that tell how long each part took, in nanoseconds.
const DURATIONS: &[&str] = &["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"];

/// The counts of a reply, or of the last line of a stream; `None` where it has none.
pub(crate) fn classes(told: &Value) -> Option<Usage> {
    let count = |name: &str| told[name].as_u64();
    let (input, output) = (count("prompt_eval_count"), count("eval_count"));
    if input.is_none() && output.is_none() {
        return None;
    }
    Some(Usage::new().with(Class::Input, input.unwrap_or(0)).with(Class::Output, output.unwrap_or(0)))
}

/// The same as OpenAI would report it, with Ollama's durations beside.
pub(crate) fn report(told: &Value) -> Option<Report> {
    let mut report = Report::report(&classes(told)?);
    for name in DURATIONS {
        if let Some(value) = told.get(*name).filter(|value| !value.is_null()) {
            report.extra.insert((*name).to_owned(), value.clone());
        }
    }
    Some(report)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cached_prompt_has_no_count() {
        let told = json!({"eval_count": 79, "eval_duration": 5, "prompt_eval_duration": 4});
        let report = report(&told).unwrap();
        assert_eq!((report.prompt_tokens, report.completion_tokens, report.total_tokens), (0, 79, 79));
        assert_eq!(report.extra["eval_duration"], 5);
        assert!(classes(&json!({"done": false})).is_none());
    }
}
