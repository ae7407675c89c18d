//! The bytes: OpenAI's types, cheap readers over raw JSON, and stream framing.
//!
//! Nothing here knows a provider, does I/O or keeps state between calls.

pub mod framing;
pub mod openai;
pub mod peek;
pub mod percent;
pub mod splice;
pub mod usage;

pub use usage::{Class, Unit, Usage};
