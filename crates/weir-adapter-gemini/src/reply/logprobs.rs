//! Log probabilities in OpenAI's shape.

use serde_json::{Value, json};

use crate::wire::{LogprobsResult, TokenLogprob};

pub(super) fn openai(result: &LogprobsResult) -> Option<Value> {
    if result.chosen_candidates.is_empty() {
        return None;
    }
    let content: Vec<Value> = result
        .chosen_candidates
        .iter()
        .enumerate()
        .map(|(at, chosen)| {
            let top = result.top_candidates.get(at).map(|top| top.candidates.iter().map(token).collect());
            let mut token = token(chosen);
            token["top_logprobs"] = Value::Array(top.unwrap_or_default());
            token
        })
        .collect();
    Some(json!({"content": content, "refusal": null}))
}

fn token(token: &TokenLogprob) -> Value {
    json!({"token": token.token, "logprob": token.log_probability, "bytes": token.token.as_bytes()})
}
