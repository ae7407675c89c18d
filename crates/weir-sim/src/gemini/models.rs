//! Gemini models, how each thinks, and the models endpoint.

use serde_json::{Value, json};

use super::error;
use crate::reply::{Outcome, Refusal, Reply};
use crate::service::Call;

/// Models that the list names.
const LISTED: [&str; 9] = [
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3.1-pro-preview",
    "gemini-embedding-001",
    "text-embedding-004",
];

/// How a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Does not.
    Two,
    /// By budget, unless it is 0.
    TwoFive {
        /// Cannot be told not to.
        always: bool,
        /// Thinks when not told anything.
        by_default: bool,
    },
    /// By level, always; gives calls ids, and wants signatures back.
    Three,
}

/// The model's generation.
pub(super) fn generation(model: &str) -> Generation {
    if model.starts_with("gemini-2.5") {
        Generation::TwoFive { always: model.contains("pro"), by_default: !model.contains("lite") }
    } else if model.starts_with("gemini-3") || model.ends_with("-latest") {
        Generation::Three
    } else {
        Generation::Two
    }
}

fn known(call: &Call<'_>, model: &str) -> bool {
    let families = [
        "gemini-",
        "text-embedding-",
        "embedding-",
        "gemma-",
        "sim-",
        "echo",
        "story",
        "tools",
        "flaky",
        "embed",
        "bench",
    ];
    match &call.state.config.models {
        Some(models) => models.iter().any(|known| known == model),
        None => {
            families.iter().any(|family| model.starts_with(family))
                && !["nonexistent", "does-not-exist"].iter().any(|part| model.contains(part))
        }
    }
}

/// Whether the model exists and has that method.
pub(super) fn check(call: &Call<'_>, method: &str) -> Result<(), Refusal> {
    let embeds = call.model.contains("embed");
    let fits = match method {
        "embedContent" => embeds,
        "generateContent" => !embeds,
        _ => true,
    };
    if known(call, call.model) && fits { Ok(()) } else { Err(missing(call.model, method)) }
}

fn missing(model: &str, method: &str) -> Refusal {
    let message = format!(
        "models/{model} is not found for API version v1beta, or is not supported for {method}. Call ListModels to see the list of available models and their supported methods."
    );
    error::refusal(404, &message)
}

fn entry(model: &str) -> Value {
    let embeds = model.contains("embed");
    let methods =
        if embeds { vec!["embedContent", "countTokens"] } else { vec!["generateContent", "countTokens"] };
    let mut entry = json!({
        "name": format!("models/{model}"),
        "version": "001",
        "displayName": model.replace('-', " "),
        "description": "A simulated model.",
        "inputTokenLimit": if embeds { 2048 } else { 1_048_576 },
        "outputTokenLimit": if embeds { 1 } else { 65_536 },
        "supportedGenerationMethods": methods,
    });
    if !embeds && generation(model) != Generation::Two {
        entry["thinking"] = json!(true);
    }
    entry
}

/// The list, in one page.
pub(super) fn list(call: &Call<'_>) -> Value {
    let models: Vec<Value> = match &call.state.config.models {
        Some(models) => models.iter().map(|model| entry(model)).collect(),
        None => LISTED.iter().map(|model| entry(model)).collect(),
    };
    json!({"models": models})
}

/// One model.
pub(super) fn one(call: &Call<'_>, model: &str) -> Outcome {
    if known(call, model) { Ok(Reply::json(&entry(model))) } else { Err(missing(model, "generateContent")) }
}
