//! What Cohere counts: `billed_units` is what it charges, `tokens` what the model saw.

use serde_json::Value;
use weir_wire::openai::usage::Usage as Report;
use weir_wire::{Class, Usage};

/// Cohere's usage in classes: what is billed, else what was seen. Embeddings have it under `meta`.
pub(crate) fn classes(usage: &Value) -> Option<Usage> {
    let count = |of: &Value, name: &str| whole(&of[name]);
    let billed = &usage["billed_units"];
    if billed.is_object() {
        return Some(
            Usage::new()
                .with(Class::Input, count(billed, "input_tokens"))
                .with(Class::ImageIn, count(billed, "image_tokens"))
                .with(Class::Output, count(billed, "output_tokens"))
                .with(Class::Search, count(billed, "search_units"))
                .with(Class::Image, count(billed, "images")),
        );
    }
    let seen = &usage["tokens"];
    if !seen.is_object() {
        return None;
    }
    let cached = whole(&usage["cached_tokens"]).min(count(seen, "input_tokens"));
    let reasoning = count(seen, "reasoning_tokens").min(count(seen, "output_tokens"));
    Some(
        Usage::new()
            .with(Class::Input, count(seen, "input_tokens") - cached)
            .with(Class::CacheRead, cached)
            .with(Class::Output, count(seen, "output_tokens") - reasoning)
            .with(Class::Reasoning, reasoning),
    )
}

/// The same as OpenAI would report it, with Cohere's own counts beside.
pub(crate) fn report(usage: &Value) -> Option<Report> {
    let mut report = Report::report(&classes(usage)?);
    for (name, value) in usage.as_object().into_iter().flatten() {
        report.extra.insert(name.clone(), value.clone());
    }
    Some(report)
}

/// A count; older replies write them as floating-point numbers.
fn whole(count: &Value) -> u64 {
    count
        .as_u64()
        .or_else(|| count.as_f64().filter(|count| *count >= 0.0).map(|count| count as u64))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_billed_counts() {
        let usage = json!({"billed_units": {"input_tokens": 8.0, "output_tokens": 3}, "tokens": {"input_tokens": 503, "output_tokens": 5}, "cached_tokens": 144});
        let seen = classes(&usage).unwrap();
        assert_eq!((seen.tokens(Class::Input), seen.tokens(Class::Output)), (8, 3));
        let report = report(&usage).unwrap();
        assert_eq!((report.prompt_tokens, report.completion_tokens, report.total_tokens), (8, 3, 11));
        assert_eq!(report.extra["tokens"]["input_tokens"], 503);
    }

    #[test]
    fn without_a_bill_what_was_seen_counts() {
        let usage = json!({"tokens": {"input_tokens": 500, "output_tokens": 30, "reasoning_tokens": 10}, "cached_tokens": 144});
        let seen = classes(&usage).unwrap();
        let counts =
            [Class::Input, Class::CacheRead, Class::Output, Class::Reasoning].map(|class| seen.tokens(class));
        assert_eq!(counts, [356, 144, 20, 10]);
        assert!(classes(&json!({})).is_none());
    }
}
