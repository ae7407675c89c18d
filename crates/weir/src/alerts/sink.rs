//! Who is told: webhooks, and chats that take Slack's shape. Telling waits for nobody and holds up nobody.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::board::Alert;

/// How many messages may wait for one receiver. Those beyond are dropped, and the log says so.
const WAITING: usize = 1000;
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause after a failure; it doubles up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How often one message is tried: with these pauses for about a quarter of an hour.
const TRIES: u32 = 20;

/// In which shape a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The alert as JSON.
    Webhook,
    /// `{"text": …}`, as Slack and those that take its shape read it.
    Slack,
}

/// One receiver.
#[derive(Clone)]
pub struct Sink {
    queue: mpsc::Sender<Value>,
    shape: Shape,
}

impl Sink {
    /// A receiver at `url`, told by a task of its own.
    pub fn start(client: reqwest::Client, url: String, shape: Shape) -> Sink {
        let (queue, mut waiting) = mpsc::channel::<Value>(WAITING);
        tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                if !tell(&client, &url, &message).await {
                    // The address may hold a secret: it is not shown.
                    tracing::error!("an alert could not be delivered to its receiver after {TRIES} tries");
                }
            }
        });
        Sink { queue, shape }
    }

    /// Tells of an alert, later.
    pub fn send(&self, alert: &Alert) {
        let message = match self.shape {
            Shape::Webhook => alert.shown(),
            Shape::Slack => json!({ "text": alert.text() }),
        };
        if self.queue.try_send(message).is_err() {
            tracing::error!("an alert was dropped: too many wait for their receiver");
        }
    }
}

/// Whether the receiver took it in the end.
async fn tell(client: &reqwest::Client, url: &str, message: &Value) -> bool {
    let mut pause = PAUSES.0;
    for _ in 0..TRIES {
        let request = client.post(url).json(message).timeout(PATIENCE);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer)
                if answer.status().is_client_error() && answer.status() != 429 && answer.status() != 408 =>
            {
                tracing::error!(status = answer.status().as_u16(), "the receiver of alerts refuses them");
                return false;
            }
            Ok(answer) => {
                tracing::warn!(status = answer.status().as_u16(), "an alert is delivered again later")
            }
            Err(error) => tracing::warn!(error = %error.without_url(), "an alert is delivered again later"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    false
}
