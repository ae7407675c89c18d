//! What a request asks for, whatever the dialect it came in.

use serde_json::Value;

use crate::tokens::{self, Tokens};

/// A tool the model may call.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// JSON schema of its arguments, or Gemini's subset of one.
    pub(crate) schema: Value,
}

/// Which tools may or must be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The model chooses: the simulated one calls the first tool when the last turn is the user's.
    #[default]
    Auto,
    None,
    Required,
    /// One of these.
    Among(Vec<String>),
}

/// A request in neutral form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// The last user message's text.
    pub(crate) user_text: String,
    /// Differs between requests that differ.
    pub(crate) seed: u64,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    /// Whether more than one tool may be called at once.
    pub(crate) parallel: bool,
    /// Results that stand after the last assistant turn.
    pub(crate) tool_results: Vec<String>,
    /// Schema the answer must follow.
    pub(crate) schema: Option<Value>,
    /// What the answer begins with, as the request says: only the rest is said.
    pub(crate) start: String,
    /// Whether the answer must be a JSON object.
    pub(crate) json: bool,
    /// Most output tokens, reasoning included.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    /// How many tokens the model reasons.
    pub(crate) reasoning: u64,
    /// The input's tokens.
    pub(crate) input: Tokens,
}

impl Ask {
    /// The tools that may be called.
    pub(crate) fn callable(&self) -> Vec<&Tool> {
        match &self.choice {
            Choice::None => Vec::new(),
            Choice::Among(names) => self.tools.iter().filter(|tool| names.contains(&tool.name)).collect(),
            _ => self.tools.iter().collect(),
        }
    }
}

/// Tokens of an image given as base64 data or as a URL: 85 and 170 more for each 100,000 bytes, as low detail and tiles go.
pub(crate) fn image_tokens(data_or_url: &str) -> u64 {
    85 + 170 * (data_or_url.len() as u64 / 100_000)
}

/// Tokens of audio data in base64: one for each 1,000 bytes, at least one.
pub(crate) fn audio_tokens(base64: &str) -> u64 {
    (base64.len() as u64 * 3 / 4).div_ceil(1000).max(1)
}

/// Tokens of a document in base64: 250, and one for each 100 bytes.
pub(crate) fn document_tokens(base64: &str) -> u64 {
    250 + base64.len() as u64 * 3 / 400
}

/// Tokens of a JSON value as written.
pub(crate) fn json_tokens(value: &Value) -> u64 {
    if value.is_null() { 0 } else { tokens::count(&value.to_string()) }
}
