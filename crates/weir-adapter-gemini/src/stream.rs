//! A reply as it arrives.

mod bare;

use std::sync::Arc;

use weir_adapter::{Decoder, Descriptor, ErrorKind, Operation, ProviderError, Request};
use weir_wire::framing::{Framing, sse};
use weir_wire::openai::chat::{Chunk, ChunkChoice, Content, Delta};
use weir_wire::openai::{self, Extra};
use weir_wire::{Usage, openai::usage};

use crate::reply::{Piece, Reading, embeddings, unreadable};
use crate::wire::Reply;
use bare::Bare;

/// Reads the reply to one request.
///
/// A stream's frames are whole replies, each with what is new. Google may set `finishReason` in a frame that is not the last, so
/// the end of an answer is told when the body ends, with the usage. A stream may also be one JSON list, or end in
/// an error outside of any event: what is no event is read as JSON.
pub(crate) struct GeminiDecoder {
    operation: Operation,
    reading: Reading,
    /// The vectors of embeddings shall be in base64.
    base64: bool,
    embedded: Option<Usage>,
    /// The answers whose first piece went out.
    begun: Vec<u32>,
    bare: Bare,
    /// What was last asked for by [`Decoder::usage`].
    usage: Option<Usage>,
}

impl GeminiDecoder {
    pub(crate) fn new(descriptor: Arc<Descriptor>, request: &Request) -> GeminiDecoder {
        let base64 = match request.typed() {
            Ok(openai::Request::Embeddings(request)) => request.encoding_format.as_deref() == Some("base64"),
            _ => false,
        };
        GeminiDecoder {
            operation: request.operation,
            reading: Reading::new(descriptor, request.raw().clone(), request.model()),
            base64,
            embedded: None,
            begun: Vec::new(),
            bare: Bare::default(),
            usage: None,
        }
    }

    fn reply(&mut self, json: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(nonsense());
        }
        let reply: Reply = serde_json::from_slice(json).map_err(|problem| unreadable(&problem))?;
        let mut pieces = Vec::new();
        let result = self.reading.take(reply, &mut pieces);
        self.usage = self.reading.usage();
        for piece in pieces {
            let chunk = self.piece(piece);
            out.push(openai::Chunk::Chat(chunk));
        }
        result
    }

    fn piece(&mut self, mut piece: Piece) -> Chunk {
        if !self.begun.contains(&piece.index) {
            self.begun.push(piece.index);
            piece.delta.role = Some("assistant".to_owned());
            piece.delta.content.get_or_insert_with(|| Content::Text(String::new()));
        }
        let choice = ChunkChoice {
            index: piece.index,
            delta: piece.delta,
            logprobs: piece.logprobs,
            ..ChunkChoice::default()
        };
        self.chunk(vec![choice], None)
    }

    fn chunk(&mut self, choices: Vec<ChunkChoice>, usage: Option<usage::Usage>) -> Chunk {
        Chunk {
            id: self.reading.id(),
            object: "chat.completion.chunk".to_owned(),
            created: self.reading.created,
            model: self.reading.model.clone(),
            extra: if usage.is_some() { self.reading.extra() } else { Extra::new() },
            choices,
            usage,
        }
    }
}

impl Decoder for GeminiDecoder {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        if self.operation == Operation::Embeddings {
            let (response, used) = embeddings(body, &self.reading.model, self.base64)?;
            self.embedded.clone_from(&used);
            self.usage = used;
            return Ok(openai::Response::Embeddings(response));
        }
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(nonsense());
        }
        let reply: Reply = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
        let result = self.reading.whole(reply);
        self.usage = self.reading.usage();
        result.map(openai::Response::Chat)
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        match sse::data(frame) {
            Some(data) if data.is_empty() || &data[..] == b"[DONE]" => Ok(()),
            Some(data) => self.reply(&data, out),
            None => {
                for json in self.bare.push(frame)? {
                    self.reply(&json, out)?;
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        if self.bare.is_open() {
            return Err(ProviderError::truncated());
        }
        if self.begun.is_empty() && self.reading.is_untouched() {
            return Err(ProviderError::truncated());
        }
        let endings = self.reading.close(false)?;
        for ending in endings {
            let mut delta: Delta = ending.delta;
            if !self.begun.contains(&ending.index) {
                self.begun.push(ending.index);
                delta.role = Some("assistant".to_owned());
            }
            let choice = ChunkChoice {
                index: ending.index,
                delta,
                finish_reason: Some(ending.finish_reason.to_owned()),
                extra: ending.extra,
                ..ChunkChoice::default()
            };
            let chunk = self.chunk(vec![choice], None);
            out.push(openai::Chunk::Chat(chunk));
        }
        if let Some(used) = self.reading.usage() {
            let chunk = self.chunk(Vec::new(), Some(usage::Usage::report(&used)));
            out.push(openai::Chunk::Chat(chunk));
        }
        Ok(())
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}

/// What is neither an event nor a JSON object.
fn nonsense() -> ProviderError {
    ProviderError::reported(
        ErrorKind::Nonsense,
        502,
        "the provider's reply holds what is neither an event nor a JSON object",
    )
}
