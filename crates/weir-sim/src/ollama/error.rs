//! Ollama's error bodies.

use serde_json::json;

use crate::reply::Refusal;

/// An error of that status.
pub(crate) fn refusal(status: u16, message: &str) -> Refusal {
    Refusal { status, headers: Vec::new(), body: json!({"error": message}) }
}

/// A 400.
pub(crate) fn invalid(message: &str) -> Refusal {
    refusal(400, message)
}
