//! The logs of the simulator and of drive.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::drive::Line;

/// Token counts in the ledger's classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Plain input.
    pub input: i64,
    /// Read from a cache.
    pub cache_read: i64,
    /// Written for five minutes.
    pub cache_write_5m: i64,
    /// Written for an hour.
    pub cache_write_1h: i64,
    /// Audio in the input.
    pub audio_in: i64,
    /// Images in the input.
    pub image_in: i64,
    /// Plain output.
    pub output: i64,
    /// Reasoning.
    pub reasoning: i64,
    /// Audio in the output.
    pub audio_out: i64,
}

impl Tokens {
    /// The classes in the order of the ledger's columns.
    pub fn classes(&self) -> [(&'static str, i64); 9] {
        [
            ("input", self.input),
            ("cache_read", self.cache_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
            ("audio_in", self.audio_in),
            ("image_in", self.image_in),
            ("output", self.output),
            ("reasoning", self.reasoning),
            ("audio_out", self.audio_out),
        ]
    }
}

/// One attempt as the simulator saw it: its `start` line, and its `end` line if there is one.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The attempt's id; empty when the header was missing.
    pub attempt: String,
    /// Whose format.
    pub provider: String,
    /// The model without the simulator's words.
    pub model: String,
    /// The end; none when the simulator was killed, or has not ended yet.
    pub end: Option<TruthEnd>,
}

/// How it ended.
#[derive(Debug, Clone, Deserialize)]
pub struct TruthEnd {
    /// The HTTP status; 0: none was sent.
    pub status: u16,
    /// `completed`, `client_gone`, `fault`, `refused`.
    pub end: String,
    /// Whether the final usage left the simulator.
    pub usage_sent: bool,
    /// Usage as written on the wire.
    #[serde(default)]
    pub reported: Option<Tokens>,
    /// What is billed.
    pub billed: Tokens,
    /// In which service tier.
    #[serde(default)]
    pub tier: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    event: String,
    call: u64,
    attempt: String,
    provider: String,
    model: String,
    #[serde(default)]
    operation: String,
    #[serde(flatten)]
    end: Option<TruthEnd>,
}

/// Reads truth logs; calls that cost nothing by nature (token counting) are left out.
///
/// # Errors
/// A file that cannot be read, or a line that is not of the log.
pub fn read_truth(paths: &[impl AsRef<Path>]) -> Result<Vec<Truth>, String> {
    let mut all = Vec::new();
    for path in paths {
        let mut open: HashMap<u64, usize> = HashMap::new();
        for entry in lines::<Entry>(path.as_ref())? {
            match entry.event.as_str() {
                "start" if entry.operation != "count_tokens" => {
                    // A simulator that was started again counts from 0 again.
                    open.insert(entry.call, all.len());
                    let Entry { attempt, provider, model, .. } = entry;
                    all.push(Truth { attempt, provider, model, end: None });
                }
                "end" => {
                    if let Some(index) = open.remove(&entry.call) {
                        all[index].end = entry.end;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(all)
}

/// Reads drive's logs.
///
/// # Errors
/// As [`read_truth`].
pub fn read_drive(paths: &[impl AsRef<Path>]) -> Result<Vec<Line>, String> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(lines::<Line>(path.as_ref())?);
    }
    Ok(all)
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, String> {
    let text = std::fs::read_to_string(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(value) => out.push(value),
            // The last line of a process that was killed may be torn.
            Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => {}
            Err(cause) => return Err(format!("{}:{}: {cause}", path.display(), index + 1)),
        }
    }
    Ok(out)
}
