//! The body of an error.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{"error": {…}}` without its wrapper.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Error {
    /// What to change.
    pub message: String,
    /// `invalid_request_error`, `rate_limit_error`, `insufficient_quota`, `upstream_error`, `server_error`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// A word for programs.
    pub code: Option<String>,
    /// Whom to blame, and what was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weir: Option<Value>,
}

impl Error {
    /// An error with a type, a code and a message.
    pub fn new(kind: &str, code: &str, message: impl Into<String>) -> Error {
        Error {
            message: message.into(),
            kind: kind.to_owned(),
            code: Some(code.to_owned()),
            ..Error::default()
        }
    }

    /// The whole body.
    pub fn to_body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wrapper<'e> {
            error: &'e Error,
        }
        serde_json::to_vec(&Wrapper { error: self }).expect("strings are JSON")
    }
}
