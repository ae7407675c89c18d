//! OpenAI's usage: `prompt_tokens` holds the cached ones, `completion_tokens` the reasoning ones.

use serde_json::{Value, json};

use crate::tokens::Tokens;

/// The usage object of chat.
pub(crate) fn chat(tokens: &Tokens) -> Value {
    let (prompt, completion) = (tokens.all_input(), tokens.all_output());
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "audio_tokens": tokens.audio_in},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": tokens.audio_out,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// The usage object of completions.
pub(crate) fn completions(tokens: &Tokens) -> Value {
    let (prompt, completion) = (tokens.all_input(), tokens.all_output());
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}
