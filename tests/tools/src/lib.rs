//! Tools that load weir, break what it stands on, and check its books. For tests only.
//!
//! - `drive` sends requests and writes what it saw, one JSON line each.
//! - `audit` joins the simulator's truth log, drive's log and the ledger, and fails on any difference.
//! - `cut` is a TCP proxy that delays, narrows, stalls, resets and closes.
//! - `chaos` starts a command and kills or freezes it at seeded moments.
//!
//! **Architecture invariant:** nothing here depends on weir's own crates: what checks the books must not keep them.

pub mod args;
pub mod audit;
pub mod chaos;
pub mod cut;
pub mod drive;
