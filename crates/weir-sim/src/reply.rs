//! An answer before faults: status, headers, and a body whole or in events.

use bytes::Bytes;
use serde_json::Value;

use crate::tokens::Tokens;

/// One event of a stream, as bytes on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Output tokens that the client has once it has this piece.
    pub(crate) output: u64,
    /// Whether the final usage stands in it.
    pub(crate) usage: bool,
}

/// The body.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Whole(Bytes),
    Stream(Vec<Piece>),
}

/// A success.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload,
    /// Usage as the body says it; none when the body has none.
    pub(crate) reported: Option<Tokens>,
    /// What would be billed.
    pub(crate) billed: Tokens,
    /// The service tier it was served in, where the vendor has several.
    pub(crate) tier: Option<String>,
}

impl Reply {
    /// A JSON body.
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            content_type: "application/json",
            headers: Vec::new(),
            payload: Payload::Whole(Bytes::from(body.to_string())),
            reported: None,
            billed: Tokens::default(),
            tier: None,
        }
    }

    /// Events.
    pub(crate) fn stream(content_type: &'static str, pieces: Vec<Piece>) -> Self {
        let payload = Payload::Stream(pieces);
        let (headers, reported, billed) = (Vec::new(), None, Tokens::default());
        Self { content_type, headers, payload, reported, billed, tier: None }
    }

    /// Says what the answer costs: `reported` stands in the body.
    pub(crate) fn costing(self, reported: Option<Tokens>, billed: Tokens) -> Self {
        Self { reported, billed, ..self }
    }

    /// Says in which service tier it was served.
    pub(crate) fn in_tier(self, tier: &str) -> Self {
        Self { tier: Some(tier.to_owned()), ..self }
    }
}

/// An error in the vendor's shape.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Value,
}

/// What a vendor's endpoint gives.
pub(crate) type Outcome = Result<Reply, Refusal>;

/// Collects the events of one stream and counts the output tokens on the way.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
    output: u64,
}

impl Pieces {
    /// Adds an event that brings `tokens` more of output.
    pub(crate) fn add(&mut self, bytes: impl Into<Bytes>, tokens: u64) {
        self.output += tokens;
        self.pieces.push(Piece { bytes: bytes.into(), output: self.output, usage: false });
    }

    /// Adds the event with the final usage.
    pub(crate) fn add_usage(&mut self, bytes: impl Into<Bytes>) {
        self.add_final(bytes, 0);
    }

    /// Adds an event with the final usage and `tokens` more of output.
    pub(crate) fn add_final(&mut self, bytes: impl Into<Bytes>, tokens: u64) {
        self.output += tokens;
        self.pieces.push(Piece { bytes: bytes.into(), output: self.output, usage: true });
    }

    pub(crate) fn finish(self) -> Vec<Piece> {
        self.pieces
    }
}
