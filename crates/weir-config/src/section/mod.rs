//! The sections of `weir.yaml`, one a file. The doc comments are the reference: `config/schema.json` has them.

pub mod agents;
pub mod budgets;
pub mod cache;
pub mod coordination;
pub mod keys;
pub mod logging;
pub mod models;
pub mod prices;
pub mod providers;
pub mod routing;
pub mod server;
pub mod storage;
pub mod telemetry;
