//! Simulated providers that speak the real wire formats and fail on script.
//!
//! One simulator answers as OpenAI, Anthropic, Gemini, Bedrock or Ollama (or as all of them, told apart by path). It is as strict about
//! requests as the vendors are, counts tokens by a simple rule that anybody can recompute, and keeps a truth log of
//! what each call would have been billed. It serves three masters: the end-to-end tests and `weir simulate`
//! ([`Sim::start`]), the gateway's built-in `demo` provider ([`serve_connection`] over any byte stream), and the
//! benches (models `bench`, `bench-stream-N`, `bench-slow-N`).
//!
//! What it does is chosen by, from weak to strong: the model's name (`gpt-4o+delay=50ms+stall_at=3`), a marker
//! `[[sim:…]]` with the same words in the last user message, and rules sent to `POST /_sim/script`.
//! The words are listed at [`Behaviour`]. A prompt can also dictate calls of tools: `[[call NAME {ARGUMENTS}]]`.
//!
//! **Architecture invariant:** this crate depends on no other crate of weir, so that it cannot share a mistake with it.

mod answer;
mod anthropic;
mod ask;
mod bedrock;
mod behaviour;
mod bench;
mod config;
mod conn;
mod control;
mod fault;
mod form;
mod gemini;
mod ollama;
mod openai;
mod plan;
mod player;
mod reply;
mod route;
mod schema;
mod script;
mod server;
mod service;
mod signature;
mod state;
mod tokens;
mod truth;

pub use behaviour::Behaviour;
pub use config::{Provider, SimConfig, StartError, Tls};
pub use script::{Match, Rule, Script};
pub use server::{Sim, serve_connection};
pub use state::{Captured, SimState};
pub use tokens::{Tokens, count};
pub use truth::TruthLog;
