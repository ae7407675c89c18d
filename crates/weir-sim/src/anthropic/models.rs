//! Claude models, what each accepts, and the models endpoint.

use serde_json::{Value, json};

use super::error;
use crate::reply::{Outcome, Reply};
use crate::service::Call;

/// Models that the list names.
const LISTED: [&str; 9] = [
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5-20251001",
    "claude-3-haiku-20240307",
];

/// What a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// Most output tokens.
    pub(super) max_output: u64,
    /// Whether it thinks adaptively when asked to.
    pub(super) adaptive: bool,
    /// Whether it refuses temperature, `top_p`, `top_k` and a thinking budget.
    pub(super) no_sampling: bool,
    /// Whether temperature and `top_p` exclude each other.
    pub(super) one_sampler: bool,
    /// Whether it thinks unless told not to.
    pub(super) thinks_by_default: bool,
    /// Whether it can think at all.
    pub(super) thinks: bool,
}

/// The model's traits, if there is such a model.
pub(super) fn traits(call: &Call<'_>, model: &str) -> Option<Traits> {
    let known = match &call.state.config.models {
        Some(models) => models.iter().any(|known| known == model),
        None => {
            ["claude-", "sim-", "echo", "story", "tools", "flaky", "bench"]
                .iter()
                .any(|f| model.starts_with(f))
                && !["nonexistent", "does-not-exist"].iter().any(|part| model.contains(part))
        }
    };
    known.then(|| traits_of(model))
}

fn traits_of(model: &str) -> Traits {
    let is = |parts: &[&str]| parts.iter().any(|part| model.contains(part));
    let newest = is(&["opus-4-7", "opus-4-8", "opus-5", "sonnet-5", "fable", "mythos"]);
    let adaptive = newest || is(&["opus-4-6", "sonnet-4-6"]);
    let four_five = is(&["opus-4-5", "sonnet-4-5", "haiku-4-5"]);
    let max_output = if adaptive {
        128_000
    } else if four_five || is(&["sonnet-4-", "3-7-sonnet"]) {
        64_000
    } else if is(&["opus-4"]) {
        32_000
    } else if is(&["3-5-"]) {
        8192
    } else if model.starts_with("claude-") {
        4096
    } else {
        64_000
    };
    Traits {
        max_output,
        adaptive,
        no_sampling: newest,
        one_sampler: adaptive || four_five || is(&["opus-4-1"]),
        thinks_by_default: is(&["sonnet-5"]),
        thinks: adaptive || four_five || is(&["-4-", "3-7-sonnet"]) || !model.starts_with("claude-"),
    }
}

fn entry(model: &str) -> Value {
    let traits = traits_of(model);
    json!({
        "type": "model",
        "id": model,
        "display_name": model.replace('-', " "),
        "created_at": "2025-09-29T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": traits.max_output,
    })
}

/// The list, in one page.
pub(super) fn list(call: &Call<'_>) -> Value {
    let ids: Vec<String> = match &call.state.config.models {
        Some(models) => models.clone(),
        None => LISTED.map(str::to_owned).to_vec(),
    };
    let data: Vec<Value> = ids.iter().map(|model| entry(model)).collect();
    json!({"data": data, "has_more": false, "first_id": ids.first(), "last_id": ids.last()})
}

/// One model.
pub(super) fn one(call: &Call<'_>, model: &str) -> Outcome {
    match traits(call, model) {
        Some(_) => Ok(Reply::json(&entry(model))),
        None => Err(unknown(model)),
    }
}

/// What a request for an unknown model gets.
pub(super) fn unknown(model: &str) -> crate::reply::Refusal {
    error::refusal(404, "not_found_error", &format!("model: {model}"))
}
