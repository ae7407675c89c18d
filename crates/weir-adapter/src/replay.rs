//! What a cache must know of a client's dialect: how a stream and a whole answer become each other.
//!
//! A stored answer is always a whole one, in the dialect of the client that got it. A stream is put together once it
//! has ended well; for a client that wants a stream it is taken apart again, in few and large pieces.

use bytes::Bytes;

use crate::request::Operation;

/// Whole answers and streams of one dialect. Pure; everything that is not understood is `None`, and is not stored.
pub trait Replay: Send + Sync {
    /// The whole answer that these events (`data` of each, in order) add up to. `None` where that can't be said
    /// exactly: an event that is not known, or a stream without its end.
    fn assemble(&self, operation: Operation, events: &[&[u8]]) -> Option<Bytes>;

    /// The stream of a whole answer, to its very end. With a usage chunk where the client asked for one.
    fn stream(&self, operation: Operation, whole: &[u8], include_usage: bool) -> Option<Bytes>;

    /// Whether the model said all that it wanted to: not cut by a limit, not stopped by a filter, no refusal.
    fn is_complete(&self, operation: Operation, whole: &[u8]) -> bool;

    /// Members of a request's outermost object that don't change the answer: who asks, and in which form.
    fn insignificant(&self) -> &'static [&'static str];
}
