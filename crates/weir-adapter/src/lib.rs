//! The seam between weir and the dialects that providers and clients speak.
//!
//! An [`Adapter`] is a provider's dialect, a [`Front`] a client's. Both are pure functions to and from OpenAI's types
//! in [`weir_wire::openai`]: they never do I/O, never read the clock or the environment, never log. Where client and
//! provider speak the same dialect nothing is translated: the bytes pass, and a [`Reader`] glances at them.

pub mod adapter;
pub mod count;
pub mod credential;
pub mod descriptor;
pub mod error;
pub mod front;
mod going_on;
pub mod ids;
pub mod replay;
pub mod request;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod upload;
pub mod wait;

pub use adapter::{
    Adapter, Decoder, EncodeError, EncodeOptions, Glance, Reader, ReplyForm, WireBody, WireRequest,
};
pub use credential::Credential;
pub use descriptor::Descriptor;
pub use error::{ErrorKind, ProviderError, Retry};
pub use front::{Encoder, Front, InvalidRequest};
pub use replay::Replay;
pub use request::{Operation, Peek, Request, Verbatim};
pub use upload::Upload;
