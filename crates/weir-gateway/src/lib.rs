//! The engine: the tower stack, routing, dispatch, upstream connections.
//!
//! One [`Call`] travels down the stack in [`stack`]: it becomes a [`Routed`] call with a plan, then an [`Attempt`] at
//! one target, and comes back as a [`Reply`] whose body is metered to its end. Nothing here knows a provider by name,
//! speaks SQL or knows the HTTP server in front.

pub mod accounts;
pub mod bound;
pub mod cache;
pub mod call;
pub mod credentials;
pub mod cut;
pub mod dispatch;
pub mod error;
pub mod errors;
pub mod gather;
pub mod layers;
pub mod limits;
pub mod meter;
pub mod metrics;
pub mod names;
pub mod overload;
pub mod passing;
pub mod purse;
pub mod reply;
pub mod routing;
pub mod snapshot;
pub mod stack;
pub mod trace;
pub mod upstream;
pub mod watch;
pub mod write;

pub use cache::{Cache, CacheControl};
pub use call::{Attempt, Call, CallOptions, Caller, Routed};
pub use cut::Cut;
pub use error::{AttemptError, GatewayError, Wait};
pub use metrics::Metrics;
pub use reply::{Body, Outcome, Reply, ReplyHead};
pub use snapshot::Snapshot;
pub use stack::{Stack, stack};
pub use write::{WritePatience, WriteWatch};
