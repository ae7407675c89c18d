//! The accounts: rows, keys, and the spool that no crash loses.
//!
//! A call takes a [`Room`] from the [`Ledger`] before it is routed, writes an [`Open`] before each dispatch and a
//! terminal [`AttemptRow`] after it, and ends with one [`CallRow`]. All of that is appended to files of the process's
//! own (`spool`); one background task moves it to a [`Store`] (`drain`). A process that dies leaves its files behind;
//! the next one that can take their lock finishes the work, and closes what it finds open as `orphaned`.
//!
//! Money is integers throughout: nano-dollars per row. Nothing here knows SQL, HTTP or a provider.

pub mod accounts;
pub mod budget;
pub mod clock;
pub mod drain;
pub mod key;
mod ledger;
mod memory;
pub mod repeats;
pub mod responses;
pub mod row;
pub mod spool;
mod stats;
mod store;
mod sync;

pub use ledger::{Full, Ledger, LedgerConfig, Room, StartError};
pub use memory::MemoryStore;
pub use row::{
    AttemptId, AttemptRow, Cache, CallId, CallRow, End, Facts, MICROS_PER_DAY, Micros, Open, State, Text,
    UsageSource,
};
pub use spool::{Durability, OpenError, Position, Write};
pub use stats::{Health, LedgerStats, StatsView};
pub use store::{
    Answer, Batch, CallColumn, CallFilter, CallRecord, Fault, Group, Mismatch, Page, Recent, Spend,
    SpendQuery, SpendRow, Store, StoreError, StoreHealth, Totals, Written, civil, day_name,
};
