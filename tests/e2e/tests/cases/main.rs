//! The reliability cases in their short form, against the real binary and simulated providers. Each module says which.
//!
//! Cases that are proved nearer to their code: W-005, W-006 and W-008 in `weir-ledger` (spool and its simulated disk),
//! W-032 in `weir-catalog`, W-035 in `weir-wire` and the adapters. The full forms are run by `tests/long/run`.

mod abuse;
mod accounts;
mod alerts;
mod bombs;
mod bounds;
mod budget_calls;
mod budgets;
mod cache;
mod cache_redis;
mod clocks;
mod continuation;
mod cuts;
mod deadlines;
mod degrade;
mod dialects;
mod dropped;
mod ends;
mod errors;
mod explain;
mod failover;
mod handover;
mod hedging;
mod idempotency;
mod identities;
mod inside;
mod invoice;
mod kills;
mod limits;
mod market;
mod media;
mod outage;
mod overload;
mod panics;
mod passthrough;
mod pooled;
mod pressure;
mod random;
mod readers;
mod replicas;
mod rolling;
mod routing;
mod settings;
mod sinks;
mod spools;
mod stops;
mod stores;
mod streams;
mod thinking;
mod unread;
mod upgrade;
mod uploads;
mod usage;
mod waits;
