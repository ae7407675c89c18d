//! The moment at which calls that are still under way are cut, once the process is asked to end.
//!
//! One per process, carried over by reloads. Until it is announced it costs a call one relaxed read now and then.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// When calls are cut.
#[derive(Default)]
pub struct Cut {
    at: OnceLock<Instant>,
    announced: Notify,
}

impl Cut {
    /// Calls that are under way in `left` from now are cut. Only the first announcement counts.
    pub fn announce(&self, left: Duration) {
        self.at.get_or_init(|| Instant::now() + left);
        self.announced.notify_waiters();
    }

    /// When calls are cut, if that is known yet.
    pub fn at(&self) -> Option<Instant> {
        self.at.get().copied()
    }

    /// Done when calls are cut.
    pub async fn wait(&self) {
        let at = loop {
            // Waits before it looks: an announcement in between is not missed.
            let announced = self.announced.notified();
            let mut announced = std::pin::pin!(announced);
            announced.as_mut().enable();
            if let Some(at) = self.at() {
                break at;
            }
            announced.await;
        };
        tokio::time::sleep_until(at).await;
    }
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut").field("at", &self.at()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_end_at_the_moment_that_was_announced_first() {
        let cut = Cut::default();
        assert_eq!(cut.at(), None);
        let early = cut.wait();
        let mut early = std::pin::pin!(early);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut early).await.is_err());
        cut.announce(Duration::from_millis(30));
        cut.announce(Duration::from_secs(60));
        tokio::time::timeout(Duration::from_secs(5), early).await.expect("it is cut");
        tokio::time::timeout(Duration::from_secs(5), cut.wait()).await.expect("it was cut");
    }
}
