//! `logging:` what weir writes to standard error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Duration, Share, Size};

/// What weir writes to standard error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// From which level on.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
    /// What of prompts and answers is written to `calls`, redacted.
    pub content: LogContent,
    /// Writes a JSON line for each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallLog>,
}

/// A JSON line for each call: who, what, where, how long, tokens, cost, each attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallLog {
    /// `stdout`, or a file; a relative one starts in `data_dir`.
    pub to: String,
    /// How large a file gets before another is begun.
    #[serde(default = "max_size")]
    pub max_size: Size,
    /// How many full files are kept.
    #[serde(default = "keep")]
    pub keep: u32,
    /// How long full files are kept at most; a file is full after a tenth of that, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<Duration>,
    /// Whose prompts and answers are written, by names of keys, where `content` is on; without it, everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_keys: Option<Vec<String>>,
    /// The share of calls whose prompts and answers are written.
    #[serde(default = "all")]
    pub content_sample: Share,
    /// The longest piece of a request, and of an answer, that is written.
    #[serde(default = "content_max")]
    pub content_max: Size,
}

fn max_size() -> Size {
    Size(100 << 20)
}

fn keep() -> u32 {
    5
}

fn all() -> Share {
    Share::percent(100)
}

fn content_max() -> Size {
    Size(16 << 10)
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
