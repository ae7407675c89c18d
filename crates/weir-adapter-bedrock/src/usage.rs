//! What Bedrock counts: input without what came from or went to the cache, output with the reasoning.

use serde_json::Value;
use weir_wire::openai::usage::Usage as Report;
use weir_wire::{Class, Usage};

/// Bedrock's usage in classes.
pub(crate) fn classes(usage: &Value) -> Option<Usage> {
    usage.is_object().then(|| {
        let count = |names: &[&str]| names.iter().find_map(|name| usage[*name].as_u64()).unwrap_or(0);
        // Both spellings occur.
        let written = count(&["cacheWriteInputTokens", "cacheWriteInputTokenCount"]);
        let details = usage["cacheDetails"].as_array().into_iter().flatten();
        let hourly: u64 = details
            .filter(|detail| detail["ttl"] == "1h")
            .filter_map(|detail| detail["inputTokens"].as_u64())
            .sum();
        let hourly = hourly.min(written);
        Usage::new()
            .with(Class::Input, count(&["inputTokens"]))
            .with(Class::CacheRead, count(&["cacheReadInputTokens", "cacheReadInputTokenCount"]))
            .with(Class::CacheWrite5m, written - hourly)
            .with(Class::CacheWrite1h, hourly)
            .with(Class::Output, count(&["outputTokens"]))
    })
}

/// The same as OpenAI would report it.
pub(crate) fn report(usage: &Value) -> Option<Report> {
    classes(usage).map(|classes| Report::report(&classes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_are_disjoint() {
        let usage = json!({"inputTokens": 3, "outputTokens": 121, "totalTokens": 2072, "cacheReadInputTokenCount": 1712,
            "cacheWriteInputTokens": 236, "cacheDetails": [{"inputTokens": 200, "ttl": "1h"}, {"inputTokens": 36, "ttl": "5m"}]});
        let seen = classes(&usage).unwrap();
        let counts =
            [Class::Input, Class::CacheRead, Class::CacheWrite5m, Class::CacheWrite1h, Class::Output]
                .map(|class| seen.tokens(class));
        assert_eq!(counts, [3, 1712, 36, 200, 121]);
        let report = report(&usage).unwrap();
        assert_eq!((report.prompt_tokens, report.completion_tokens, report.total_tokens), (1951, 121, 2072));
        assert!(classes(&Value::Null).is_none());
    }
}
