//! What a request's head and body say: who calls, and what is asked.

pub mod address;
pub mod caller;
pub mod form;
pub mod gemini;
pub mod passthrough;
pub mod request;
pub mod upload;
