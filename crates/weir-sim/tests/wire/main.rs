//! The simulator over the wire, vendor by vendor.

mod anthropic;
mod client;
mod connection;
mod gemini;
mod openai;
mod shapes;
