//! Which targets may serve a call, and in what order.

mod plan;

pub use plan::Plan;
