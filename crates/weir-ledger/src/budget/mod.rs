//! Budgets without overspend: what a call can cost at most is reserved before it is sent, what it did cost is settled.
//!
//! The store is the authority. A process leases slices of what is free, and reserves from them in memory; what an
//! attempt cost is charged when its row reaches the store, in the same transaction. What a process holds counts as
//! spent until it gives it back, or until its spool has been drained by whoever took it over: a lease never comes back
//! by time alone.
//!
//! `authority` is what a store has to do, `account` the arithmetic of one budget in this process, `table` all of them
//! without any waiting, `engine` the waiting. Windows are functions of time (`period`); nothing is ever reset.

mod account;
mod authority;
mod charge;
mod engine;
mod lane;
mod memory;
#[cfg(test)]
mod models;
mod period;
mod reservation;
mod scope;
mod set;
#[cfg(test)]
mod sim;
mod table;
#[cfg(test)]
mod tests;
mod worker;

pub use account::{BudgetState, Refused};
pub use authority::{Ask, Authority, Debits, Exchange, Holding, Report, Signals, grant};
pub use charge::{Charge, Charges};
pub use engine::{Budgets, BudgetsConfig};
pub use memory::MemoryAuthority;
pub use period::{Period, Window};
pub use reservation::Reservation;
pub use scope::{Budget, CallScopes, Scope};
pub use set::{BudgetSet, Paying};
