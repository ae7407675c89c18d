//! `logging:` what weir writes to standard error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What weir writes to standard error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// From which level on.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
    /// What of prompts and answers is logged.
    pub content: LogContent,
}

/// From which level on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing.
    #[serde(alias = "false")]
    Off,
    /// What someone must act on.
    Error,
    /// Also what went worse than it should.
    Warn,
    /// Also starts, stops, reloads.
    #[default]
    Info,
    /// Also each call.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word for it in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The form of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `text` on a terminal, else `json`.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What of prompts and answers is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogContent {
    /// Nothing.
    #[default]
    #[serde(alias = "false")]
    Off,
    /// Sizes, roles, tool names.
    Metadata,
    /// Everything, redacted.
    Full,
}
