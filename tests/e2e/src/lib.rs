//! The whole process against simulated providers: what the tests in `tests/cases` stand on.
//!
//! [`Weir`] is the real binary in a folder of its own on a free port; [`Bench`] is one with a simulator behind it, and
//! knows how to ask, to wait for rows and to audit them.

mod answer;
mod bench;
mod front;
mod machine;
mod process;
mod redis;
mod redis_process;

pub use answer::{Answer, Event, client, events};
pub use bench::{Bench, COMPAT_PRICES, PRICES, PROVIDER_KEY, compat, config, rows_by_request};
pub use front::Front;
pub use machine::{processor, resident, scale};
pub use process::{Weir, binary, connections_to, descriptors, free_port, root, signal};
pub use redis::RedisServer;

/// Tells what was measured, in a line that `tests/long/run` keeps.
pub fn figure(what: impl std::fmt::Display) {
    println!("figure: {what}");
}
