//! OpenAI's dialect, and every provider that speaks it, by descriptor.
//!
//! Where the client speaks it too, bytes pass: a request is edited by splices in its outermost object (its messages
//! are opened only where a rule of the provider is about them), a reply is glanced at by [`read`]. Where the client
//! speaks another dialect, [`foreign`] writes the request from OpenAI's types with what this provider takes, and
//! [`decode`] turns the reply into OpenAI's types, free of the provider's peculiarities.
//! What a provider wants differently stands in `config/providers/NAME.yaml`; no provider has a line of Rust here.

mod adapter;
mod chunk;
mod decode;
mod encode;
mod error;
mod foreign;
mod front;
mod ids;
mod media;
mod messages;
mod parameters;
mod read;
mod replay;
pub mod responses;
mod rules;
mod scan;
mod scrub;

use std::sync::Arc;

use weir_adapter::{Adapter, Descriptor, Front};

/// The name of this dialect in descriptors.
pub const DIALECT: &str = "openai";

/// A provider that speaks OpenAI's format.
pub fn adapter(descriptor: Descriptor) -> Arc<dyn Adapter> {
    Arc::new(adapter::OpenAi::new(descriptor))
}

/// Clients that speak OpenAI's format.
pub fn front() -> Arc<dyn Front> {
    Arc::new(front::OpenAi)
}

/// Clients of OpenAI's Responses API.
pub fn responses_front() -> Arc<dyn Front> {
    Arc::new(responses::Responses)
}
