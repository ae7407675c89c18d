//! The reliability cases in their short form, against the real binary and simulated providers. Each module says which.
//!
//! Cases that are proved nearer to their code: W-005, W-006 and W-008 in `weir-ledger` (spool and its simulated disk),
//! W-032 in `weir-catalog`, W-035 in `weir-wire` and the adapters. The full forms are run by `tests/long`.

mod abuse;
mod accounts;
mod alerts;
mod bounds;
mod budget_calls;
mod budgets;
mod cache;
mod dialects;
mod dropped;
mod ends;
mod errors;
mod failover;
mod idempotency;
mod inside;
mod kills;
mod limits;
mod overload;
mod panics;
mod routing;
mod settings;
mod spools;
mod stores;
mod streams;
mod thinking;
mod usage;
