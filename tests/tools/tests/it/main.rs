//! The tools against a simulator and a ledger's schema.

mod audit;
mod drive;
