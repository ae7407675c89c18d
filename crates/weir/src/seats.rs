//! Room for connections: so many are answered, a few more are told that there is no room, the others wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_gateway::GatewayError;

/// So many connections above the limit are taken: health checks among them are answered, calls are refused.
const EXTRA: usize = 64;

/// Room for connections.
pub struct Seats(Arc<Semaphore>);

/// Room for one connection.
pub struct Seat {
    extra: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// Room for so many.
    pub fn new(most: usize) -> Seats {
        Seats(Arc::new(Semaphore::new(most.saturating_add(EXTRA).min(Semaphore::MAX_PERMITS))))
    }

    /// Room for the next connection, as soon as there is.
    pub async fn take(&self) -> Seat {
        Seat { extra: false, _permit: self.0.clone().acquire_owned().await.ok() }
    }

    /// The seat of a connection that has come now: whether it is one above the limit shows only then.
    pub fn sit(&self, seat: Seat) -> Seat {
        Seat { extra: self.0.available_permits() < EXTRA, ..seat }
    }
}

impl Seat {
    /// Whether the connection is one above the limit.
    pub fn is_extra(&self) -> bool {
        self.extra
    }
}

/// What a call on a connection above the limit is told.
pub fn no_seat() -> GatewayError {
    GatewayError::Overloaded {
        code: "overloaded",
        message: "weir has as many connections as it takes",
        retry_after: Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_seats_are_extra() {
        let seats = Seats::new(2);
        let mut taken = Vec::new();
        for number in 0..2 + EXTRA {
            taken.push(seats.sit(seats.take().await));
            assert_eq!(taken[number].is_extra(), number >= 2);
        }
        assert!(tokio::time::timeout(Duration::from_millis(10), seats.take()).await.is_err());
        taken.clear();
        assert!(!seats.sit(seats.take().await).is_extra());
    }
}
