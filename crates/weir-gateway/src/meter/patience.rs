//! How long a stream is waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cut::Cut;

/// How long the meter waits.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// For the first content.
    pub first_token: Duration,
    /// Between pieces.
    pub idle: Duration,
    /// Until when at all.
    pub deadline: Instant,
    /// The whole time that the deadline stands for, for messages.
    pub total: Duration,
    /// After how long a silence the client gets a comment.
    pub keepalive: Option<Duration>,
    /// Whether a client that leaves is outlived, for the usage.
    pub drains: bool,
    /// When the process ends.
    pub cut: Arc<Cut>,
}
