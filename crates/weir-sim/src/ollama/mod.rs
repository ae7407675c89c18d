//! Ollama's own endpoints: chat, generate, embed and the list of models.

mod ask;
mod chat;
mod check;
pub(crate) mod error;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::openai::vector;
use crate::reply::{Outcome, Refusal, Reply};
use crate::route::Endpoint;
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Models that the list names.
const LISTED: [&str; 4] = ["llama3.2:latest", "qwen3:4b", "gpt-oss:20b", "nomic-embed-text:latest"];
/// Beginnings of the names that are taken for models.
const FAMILIES: [&str; 14] = [
    "llama",
    "qwen",
    "gpt-oss",
    "gemma",
    "mistral",
    "deepseek",
    "granite",
    "nomic-embed",
    "mxbai-embed",
    "sim-",
    "echo",
    "story",
    "tools",
    "flaky",
];

/// Answers a call in Ollama's format. A key is needed by its cloud only.
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    match call.endpoint {
        Endpoint::Tags => Ok(Reply::json(&tags(call))),
        Endpoint::OllamaChat | Endpoint::OllamaGenerate => chat::answer(call),
        Endpoint::OllamaEmbed => embed(call),
        _ => Err(error::refusal(404, "404 page not found")),
    }
}

/// Whether the model has been pulled.
fn known(call: &Call<'_>) -> Result<(), Refusal> {
    let listed = match &call.state.config.models {
        Some(models) => models.iter().any(|model| model == call.model),
        None => FAMILIES.iter().any(|family| call.model.starts_with(family)),
    };
    match call.model {
        "" => Err(error::refusal(400, "model is required")),
        _ if listed => Ok(()),
        model => Err(error::refusal(404, &format!("model '{model}' not found"))),
    }
}

fn tags(call: &Call<'_>) -> Value {
    let entry = |name: &str| json!({"name": name, "model": name, "size": 2_019_393_189_u64, "digest": "a80c4f17acd5"});
    let models: Vec<Value> = match &call.state.config.models {
        Some(models) => models.iter().map(|model| entry(model)).collect(),
        None => LISTED.iter().map(|model| entry(model)).collect(),
    };
    json!({"models": models})
}

fn embed(call: &Call<'_>) -> Outcome {
    known(call)?;
    let input = &call.body["input"];
    let texts: Vec<&str> = match input {
        Value::String(text) => vec![text],
        Value::Array(texts) if texts.iter().all(Value::is_string) => {
            texts.iter().filter_map(Value::as_str).collect()
        }
        _ => return Err(error::refusal(400, "invalid input type")),
    };
    let full = if call.model.starts_with("nomic") { 768 } else { 256 };
    let dimensions = call.body["dimensions"].as_u64().and_then(|wanted| usize::try_from(wanted).ok());
    let vectors: Vec<Vec<f32>> = texts
        .iter()
        .map(|text| vector(hash((text, call.model)), dimensions.unwrap_or(full).min(full)))
        .collect();
    let billed = Tokens { input: texts.iter().map(|text| tokens::count(text)).sum(), ..Tokens::default() };
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let mut whole = json!({"model": call.model, "embeddings": vectors, "total_duration": 14_143_917, "load_duration": 1_019_500});
    let shows = !call.behaviour.has("no_usage");
    if shows {
        whole["prompt_eval_count"] = json!(reported.input);
    }
    Ok(Reply::json(&whole).costing(shows.then_some(reported), billed))
}

/// The line that ends a failed stream.
pub(crate) fn error_event() -> Bytes {
    Bytes::from_static(b"{\"error\":\"an error was encountered while running the model: CUDA error\"}\n")
}
