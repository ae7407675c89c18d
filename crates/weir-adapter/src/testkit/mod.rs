//! What the adapters' conformance tests share: recorded cases, differences of JSON with committed exceptions,
//! streams cut anywhere and put together again, and a report that counts what ran.
//!
//! Tests only: it reads files and panics where a fixture is not what it says it is.

pub mod case;
pub mod diff;
pub mod message;
pub mod plain;
pub mod report;
pub mod stream;

pub use case::Case;
pub use diff::{Difference, Exceptions, diff};
pub use message::{Answer, Call, Whole};
pub use report::Report;
