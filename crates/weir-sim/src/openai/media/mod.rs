//! Endpoints beside chats: what they answer, and what they bill.

pub(super) mod images;
pub(super) mod moderations;
pub(super) mod rerank;
pub(super) mod speech;
pub(super) mod transcribe;

use serde_json::Value;

use super::error;
use crate::reply::Refusal;
use crate::service::Call;
use crate::state::hash;

/// Sees to it that the model is one of these families.
fn model(call: &Call<'_>, families: &[&str]) -> Result<(), Refusal> {
    if call.model.is_empty() {
        return Err(error::invalid("you must provide a model parameter", None, None));
    }
    let known = match &call.state.config.models {
        Some(models) => models.iter().any(|model| model == call.model),
        None => families.iter().any(|family| call.model.starts_with(family)),
    };
    if known { Ok(()) } else { Err(error::unknown_model(call.model)) }
}

/// Refuses members that the vendor does not know.
fn known(call: &Call<'_>, names: &[&str]) -> Result<(), Refusal> {
    if !call.state.config.strict_fields {
        return Ok(());
    }
    let base = |name: &str| name.strip_suffix("[]").unwrap_or(name).to_owned();
    let mut members = call.body.as_object().into_iter().flatten();
    match members.find(|(name, _)| *name != "model" && !names.contains(&base(name).as_str())) {
        Some((name, _)) => Err(error::unknown_parameter(name)),
        None => Ok(()),
    }
}

/// A whole number, which a form has as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Whether it is on, which a form has as text.
fn is_on(value: &Value) -> bool {
    value == true || value == "true"
}

/// Bytes that depend on the seed alone.
fn bytes(seed: impl std::hash::Hash, length: usize) -> Vec<u8> {
    let mut state = hash(seed) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// An event with its name.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
