//! `POST /v1/completions`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;
use super::chat::StreamOptions;
use super::usage::Usage;

/// The body of a completions request. Members that no adapter acts on stay in `extra`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// Text, several texts, tokens, or several lists of tokens.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub prompt: Value,
    /// Whether to answer as a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// How to stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// The most tokens to make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// How many choices to make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A whole reply, or one piece of a streamed one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// Its id.
    pub id: String,
    /// `text_completion`.
    pub object: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The model that answered.
    pub model: String,
    /// The answers.
    pub choices: Vec<Choice>,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// Which one.
    pub index: u32,
    /// The text.
    pub text: String,
    /// Log probabilities.
    pub logprobs: Option<Value>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}
