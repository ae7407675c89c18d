//! Embeddings.

use base64::Engine as _;
use serde_json::{Value, json};

use super::error;
use super::models::{self, Kind};
use crate::reply::{Outcome, Refusal, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Most inputs of one request.
const MOST_INPUTS: usize = 2048;

/// Answers an embeddings request.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    let body = call.body;
    if call.model.is_empty() {
        return Err(error::invalid("you must provide a model parameter", None, None));
    }
    match models::kind(call, call.model) {
        None => return Err(error::unknown_model(call.model)),
        Some(Kind::Embeddings) => {}
        Some(_) => {
            let message =
                format!("You are not allowed to generate embeddings from this model: {}", call.model);
            return Err(error::wrong_endpoint(&message));
        }
    }
    if call.state.config.strict_fields {
        let known = ["input", "model", "encoding_format", "dimensions", "user"];
        let unknown =
            body.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
        if let Some((name, _)) = unknown {
            return Err(error::unknown_parameter(name));
        }
    }
    let dimensions = dimensions(call)?;
    let in_base64 = match body["encoding_format"].as_str() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(error::bad_value("encoding_format", "expected 'float' or 'base64'.")),
    };
    let inputs = inputs(&body["input"])?;
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, (seed, _))| {
            let vector = vector(hash((seed, call.model)), dimensions);
            let embedding = if in_base64 { json!(base64(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let billed = Tokens { input: inputs.iter().map(|(_, tokens)| tokens).sum(), ..Tokens::default() };
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let mut whole = json!({"object": "list", "data": data, "model": call.model});
    let shows = !call.behaviour.has("no_usage");
    if shows {
        whole["usage"] = json!({"prompt_tokens": reported.input, "total_tokens": reported.input});
    }
    Ok(Reply::json(&whole).costing(shows.then_some(reported), billed))
}

fn dimensions(call: &Call<'_>) -> Result<usize, Refusal> {
    let full = match call.model {
        "text-embedding-3-large" => 3072,
        "embed" => 256,
        _ => 1536,
    };
    match &call.body["dimensions"] {
        Value::Null => Ok(full),
        _ if call.model == "text-embedding-ada-002" => {
            Err(error::invalid("This model does not support specifying dimensions.", None, None))
        }
        value => match value.as_i64() {
            Some(wanted) if wanted < 1 => {
                let message = format!("{wanted} is less than the minimum of 1 - 'dimensions'");
                Err(error::invalid(&message, None, None))
            }
            Some(wanted) => match usize::try_from(wanted) {
                Ok(wanted) if wanted <= full => Ok(wanted),
                _ => Err(error::bad_value("dimensions", &format!("must be at most {full}."))),
            },
            None => Err(error::wrong_type("dimensions", "an integer")),
        },
    }
}

/// Each input as a seed and its tokens: a string, strings, tokens, or lists of tokens.
fn inputs(input: &Value) -> Result<Vec<(u64, u64)>, Refusal> {
    let bad = || error::invalid("'$.input' is invalid. Please check the API reference.", Some("input"), None);
    let one = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Ok((hash(text), tokens::count(text))),
        Value::Array(ids) if !ids.is_empty() && ids.iter().all(Value::is_u64) => {
            Ok((hash(value.to_string()), ids.len() as u64))
        }
        _ => Err(bad()),
    };
    match input {
        Value::Null => Err(error::missing("input")),
        Value::Array(list) if list.len() > MOST_INPUTS => {
            Err(error::bad_value("input", &format!("array too long. Expected at most {MOST_INPUTS}.")))
        }
        Value::Array(list) if list.first().is_some_and(|first| !first.is_u64()) => {
            list.iter().map(one).collect()
        }
        value => Ok(vec![one(value)?]),
    }
}

/// A unit vector that depends on the seed alone.
pub(crate) fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut vector: Vec<f32> = (0..dimensions)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let twelve_bits = u16::try_from(state % 4096).unwrap_or(0);
            f32::from(twelve_bits) / 2048.0 - 1.0
        })
        .collect();
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::EPSILON);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

/// Little-endian 32-bit floats in base64.
fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
