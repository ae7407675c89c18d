//! What drive saw, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// How a request ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// A whole answer, or a stream with its end marker and no error.
    Complete,
    /// An error status.
    Refused,
    /// A stream that told of an error, or ended without its marker.
    Broken,
    /// The connection failed.
    Failed,
    /// drive left.
    Left,
    /// It took too long.
    TimedOut,
}

/// One request and what came back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// The `x-request-id` that was sent.
    pub id: String,
    /// What was asked.
    pub kind: String,
    /// Which question it was.
    #[serde(default)]
    pub question: u64,
    /// Of which model.
    pub model: String,
    /// When it was sent, in microseconds since 1970.
    pub at_us: u64,
    /// From when it was due until its end.
    pub total_us: u64,
    /// Until the first byte of the body.
    pub first_us: Option<u64>,
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// How it ended.
    pub end: Seen,
    /// Bytes of the body.
    pub bytes: u64,
    /// Events of a stream.
    pub events: u64,
    /// Hash of the text, 16 hex digits; none when not read.
    pub text_hash: Option<String>,
    /// Input tokens of the usage, as the client's dialect counts them.
    pub input: Option<u64>,
    /// Output tokens of it.
    pub output: Option<u64>,
    /// `x-weir-cost` of a whole answer.
    pub cost: Option<String>,
    /// Microseconds between two reads of its stream, where that was asked for.
    #[serde(skip)]
    pub gaps_us: Vec<u32>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A log file, buffered.
#[derive(Debug)]
pub struct Log {
    file: Mutex<BufWriter<File>>,
}

impl Log {
    /// Opens it for appending.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(BufWriter::new(file)) })
    }

    /// Appends a line.
    pub fn write(&self, line: &Line) {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        let _ = self.file.lock().write_all(&bytes);
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// What the file system says.
    pub fn flush(&self) -> std::io::Result<()> {
        self.file.lock().flush()
    }
}
