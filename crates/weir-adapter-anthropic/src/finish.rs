//! Why an answer ends, in both dialects.

/// Anthropic's words, and OpenAI's for each.
const REASONS: [(&str, &str); 8] = [
    ("end_turn", "stop"),
    ("tool_use", "tool_calls"),
    ("max_tokens", "length"),
    ("refusal", "content_filter"),
    ("stop_sequence", "stop"),
    ("pause_turn", "stop"),
    ("model_context_window_exceeded", "length"),
    ("compaction", "stop"),
];

/// The first words of [`REASONS`] come back from OpenAI's word alone; the others need `native_finish_reason`.
const REVERSIBLE: usize = 4;

/// OpenAI's word, and the native one where that says more.
pub(crate) fn to_openai(reason: &str) -> (&'static str, Option<&str>) {
    match REASONS.iter().position(|(native, _)| *native == reason) {
        Some(at) => (REASONS[at].1, (at >= REVERSIBLE).then_some(reason)),
        None => ("stop", Some(reason)),
    }
}

/// Anthropic's word for OpenAI's; `native` rules where it is a word of Anthropic's.
pub(crate) fn to_anthropic(reason: &str, native: Option<&str>, called: bool) -> &'static str {
    let native = native.and_then(|native| REASONS.iter().find(|(word, _)| *word == native));
    if let Some((word, _)) = native {
        return word;
    }
    match reason {
        "length" => "max_tokens",
        "content_filter" => "refusal",
        "tool_calls" | "tool_call" | "function_call" => "tool_use",
        _ if called => "tool_use",
        _ => "end_turn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back() {
        for (native, openai) in REASONS {
            let (word, more) = to_openai(native);
            assert_eq!(word, openai);
            assert_eq!(to_anthropic(word, more, false), native);
        }
        assert_eq!(to_openai("something_new"), ("stop", Some("something_new")));
        assert_eq!(to_anthropic("stop", Some("STOP"), true), "tool_use");
        assert_eq!(to_anthropic("error", None, false), "end_turn");
    }
}
