//! `POST /v1/embeddings`.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::Extra;
use super::usage::Usage;

/// The body of an embeddings request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// What to embed.
    pub input: Input,
    /// How long the vectors shall be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// `float` or `base64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<String>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What to embed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// One list of tokens.
    Tokens(Vec<u64>),
    /// Several lists of tokens.
    TokenLists(Vec<Vec<u64>>),
    /// Something else, such as a provider's own content parts.
    Other(Value),
}

impl Default for Input {
    fn default() -> Input {
        Input::Text(String::new())
    }
}

/// A whole reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// `list`.
    pub object: String,
    /// One entry for each input.
    pub data: Vec<Embedding>,
    /// The model that answered.
    pub model: String,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One vector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Embedding {
    /// `embedding`.
    pub object: String,
    /// Which input.
    pub index: u32,
    /// The vector.
    pub embedding: Vector,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A vector in either encoding. Numbers keep the text they came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vector {
    /// A list of numbers.
    Float(Vec<Number>),
    /// Little-endian 32-bit floats in base64.
    Base64(String),
}

impl Default for Vector {
    fn default() -> Vector {
        Vector::Float(Vec::new())
    }
}
