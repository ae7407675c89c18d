//! What several replicas share through Redis: limits, stored answers, and values with a lifetime.
//!
//! Redis is asked with a short patience. Whoever is first to wait in vain opens the breaker: until a task of its own has
//! found Redis again, nobody else asks, and `coordination.on_loss` says what holds meanwhile. Money never stands here.

mod cache;
mod limits;
mod link;
mod settle;
mod tend;
mod values;

pub use link::{Error, OnLoss, Redis, Settings, Stats};
pub use values::{MAX_VALUE, Unavailable};
