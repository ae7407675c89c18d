//! The books against the truth.
//!
//! Three sources: the simulator's truth log (what reached a provider and what it billed), drive's log (what the client
//! saw), the ledger's tables. The audit prints each difference and fails if there is any:
//!
//! - `lost`: an attempt that reached the simulator has no row; a call that was answered has none.
//! - `duplicated`: one attempt was sent twice; one request has several calls.
//! - `mispriced`: tokens or cost differ from what was reported, by an arithmetic of the audit's own.
//! - `state`: a row without a final state, a source or a reason; a good end without the usage that was sent.
//! - `totals`: sums that are not the sums of their rows.

mod check;
mod ledger;
mod logs;
mod prices;
mod totals;

pub use check::{Found, Report, check};
pub use ledger::{Attempt, Books, Call, read};
pub use logs::{Tokens, Truth, read_drive, read_truth};
pub use prices::Prices;
pub use totals::check_totals;
