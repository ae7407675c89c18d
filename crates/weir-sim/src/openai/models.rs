//! Which models there are, what they are for, and the models endpoint.

use serde_json::{Value, json};

use super::error;
use crate::reply::{Outcome, Reply};
use crate::service::Call;

/// Models that the list names when the configuration names none.
const LISTED: [&str; 22] = [
    "gpt-4o",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini",
    "gpt-4o-mini-2024-07-18",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-audio",
    "o3",
    "o4-mini",
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-instruct",
    "davinci-002",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-embedding-ada-002",
    "bench",
    "bench-stream-100",
    "bench-slow-60",
];

/// Beginnings of the names that are taken for models.
const FAMILIES: [&str; 20] = [
    "gpt-",
    "o1",
    "o3",
    "o4",
    "chatgpt-",
    "codex-",
    "davinci-",
    "babbage-",
    "text-embedding-",
    "ft:",
    "sim-",
    "bench",
    "echo",
    "story",
    "tools",
    "flaky",
    "embed",
    "local",
    // Of others that speak this dialect.
    "deepseek-",
    "mistral-",
];

/// When all models were made, in seconds since 1970.
const CREATED: u64 = 1_715_367_049;

/// What a model can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    /// Chat that reasons: refuses `max_tokens`, sampling parameters and `stop`.
    Reasoning,
    Completions,
    Embeddings,
}

/// The model's kind, if there is such a model.
pub(crate) fn kind(call: &Call<'_>, model: &str) -> Option<Kind> {
    let known = match &call.state.config.models {
        Some(models) => models.iter().any(|known| known == model),
        None => FAMILIES.iter().any(|family| model.starts_with(family)) && !model.contains("does-not-exist"),
    };
    known.then(|| kind_of(model))
}

fn kind_of(model: &str) -> Kind {
    let base = model.strip_prefix("ft:").unwrap_or(model);
    if base.starts_with("text-embedding-") || base == "embed" {
        Kind::Embeddings
    } else if base.contains("-instruct") || base.starts_with("davinci-") || base.starts_with("babbage-") {
        Kind::Completions
    } else if is_reasoning(base) {
        Kind::Reasoning
    } else {
        Kind::Chat
    }
}

/// `o1`, `o3-mini`, `gpt-5`, `gpt-5.1-codex`, but not `gpt-5-chat-latest`.
fn is_reasoning(model: &str) -> bool {
    let o_series = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let generation =
        model.strip_prefix("gpt-").and_then(|rest| rest.chars().next()).and_then(|c| c.to_digit(10));
    o_series || (generation >= Some(5) && !model.contains("-chat"))
}

/// The dated name that an alias stands for.
pub(crate) fn dated(model: &str) -> &str {
    match model {
        "gpt-4o" => "gpt-4o-2024-08-06",
        "gpt-4o-mini" => "gpt-4o-mini-2024-07-18",
        "gpt-4.1" => "gpt-4.1-2025-04-14",
        "gpt-4.1-mini" => "gpt-4.1-mini-2025-04-14",
        "gpt-4.1-nano" => "gpt-4.1-nano-2025-04-14",
        "gpt-5" => "gpt-5-2025-08-07",
        "gpt-5-mini" => "gpt-5-mini-2025-08-07",
        "o3" => "o3-2025-04-16",
        "o4-mini" => "o4-mini-2025-04-16",
        other => other,
    }
}

fn entry(model: &str) -> Value {
    json!({"id": model, "object": "model", "created": CREATED, "owned_by": "system"})
}

/// The list.
pub(crate) fn list(call: &Call<'_>) -> Value {
    let data: Vec<Value> = match &call.state.config.models {
        Some(models) => models.iter().map(|model| entry(model)).collect(),
        None => LISTED.iter().map(|model| entry(model)).collect(),
    };
    json!({"object": "list", "data": data})
}

/// One model.
pub(crate) fn one(call: &Call<'_>, model: &str) -> Outcome {
    match kind(call, model) {
        Some(_) => Ok(Reply::json(&entry(model))),
        None => Err(error::unknown_model(model)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_name() {
        let cases = [
            ("gpt-4o", Kind::Chat),
            ("gpt-5-chat-latest", Kind::Chat),
            ("gpt-5.1", Kind::Reasoning),
            ("o4-mini", Kind::Reasoning),
            ("gpt-3.5-turbo-instruct", Kind::Completions),
            ("text-embedding-3-small", Kind::Embeddings),
            ("echo", Kind::Chat),
        ];
        for (model, expected) in cases {
            assert_eq!(kind_of(model), expected, "{model}");
        }
    }
}
