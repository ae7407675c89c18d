//! Which targets may serve a call, and in what order.

pub mod affinity;
pub mod explain;
pub mod health;
pub mod hedge;
pub mod needs;
mod plan;
pub mod preferences;
pub mod retries;
pub mod strategy;

pub use plan::Plan;
pub use preferences::Preferences;
