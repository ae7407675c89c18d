//! The truth log: what reached the simulator and what it would bill, one JSON object a line.
//!
//! A `start` line is written when a request has been read, an `end` line when its answer has left or can leave no more.
//! Each line is one `write` on a file opened for appending, so it is with the operating system before the first byte of
//! the answer, and no crash of the gateway or of the simulator tears or loses it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::tokens::Tokens;

/// An append-only log, shared by all calls of a simulator.
#[derive(Debug)]
pub struct TruthLog {
    file: File,
    calls: AtomicU64,
}

impl TruthLog {
    /// Opens the file for appending, making it if needed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, calls: AtomicU64::new(0) })
    }

    fn write(&self, line: &impl Serialize) {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        // A full disk must not change how the simulator answers; the audit then finds the line missing.
        let _ = (&self.file).write_all(&bytes);
    }
}

/// How a call ended, as the simulator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// All bytes were handed to the connection.
    Completed,
    /// The client left, or the connection broke, before that.
    ClientGone,
    /// A scripted fault cut the answer.
    Fault,
    /// An error status was answered; nothing is billed.
    Refused,
}

#[derive(Serialize)]
struct StartLine<'a> {
    event: &'static str,
    call: u64,
    attempt: &'a str,
    provider: &'static str,
    operation: &'static str,
    model: &'a str,
    at_us: u64,
    bytes_in: u64,
    stream: bool,
}

#[derive(Serialize)]
struct EndLine<'a> {
    event: &'static str,
    call: u64,
    attempt: &'a str,
    provider: &'static str,
    model: &'a str,
    at_us: u64,
    status: u16,
    bytes_out: u64,
    end: End,
    /// Whether the final usage stood in the bytes that were handed to the connection.
    usage_sent: bool,
    /// Usage as written on the wire, in disjoint classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported: Option<Tokens>,
    /// What the provider would bill.
    billed: Tokens,
    /// The service tier at whose rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
}

/// What identifies a call in the log.
#[derive(Debug, Clone)]
pub(crate) struct CallInfo {
    pub(crate) attempt: String,
    pub(crate) provider: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) model: String,
    pub(crate) bytes_in: u64,
    pub(crate) stream: bool,
}

/// One call's open entry; dropping it writes the `end` line.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Arc<TruthLog>,
    call: u64,
    info: CallInfo,
    pub(crate) status: u16,
    pub(crate) bytes_out: u64,
    pub(crate) output_sent: u64,
    pub(crate) usage_sent: bool,
    pub(crate) end: End,
    pub(crate) reported: Option<Tokens>,
    pub(crate) billed: Tokens,
    pub(crate) tier: Option<String>,
}

impl Entry {
    /// Writes the `start` line.
    pub(crate) fn start(log: &Arc<TruthLog>, info: CallInfo) -> Self {
        let call = log.calls.fetch_add(1, Ordering::Relaxed);
        log.write(&StartLine {
            event: "start",
            call,
            attempt: &info.attempt,
            provider: info.provider,
            operation: info.operation,
            model: &info.model,
            at_us: now_us(),
            bytes_in: info.bytes_in,
            stream: info.stream,
        });
        Self {
            log: log.clone(),
            call,
            info,
            status: 0,
            bytes_out: 0,
            output_sent: 0,
            usage_sent: false,
            end: End::ClientGone,
            reported: None,
            billed: Tokens::default(),
            tier: None,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let billed = match self.end {
            End::Completed => self.billed,
            End::Refused => Tokens::default(),
            End::ClientGone | End::Fault => self.billed.cut_output(self.output_sent),
        };
        self.log.write(&EndLine {
            event: "end",
            call: self.call,
            attempt: &self.info.attempt,
            provider: self.info.provider,
            model: &self.info.model,
            at_us: now_us(),
            status: self.status,
            bytes_out: self.bytes_out,
            end: self.end,
            usage_sent: self.usage_sent,
            reported: self.reported,
            billed,
            tier: self.tier.as_deref(),
        });
    }
}

pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
