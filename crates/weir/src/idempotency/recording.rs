//! One answer as it is made: several may read it from its beginning, while it runs and after.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Either;
use parking_lot::Mutex;
use tokio::sync::watch;
use weir_gateway::GatewayError;

use super::Refusal;
use crate::respond::ResponseBody;

/// Says that an answer was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// An answer, as far as it has come.
pub struct Recording {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    head: Option<(StatusCode, HeaderMap)>,
    pieces: Vec<Bytes>,
    /// Whether it has ended, and as a whole.
    ended: Option<bool>,
    /// Why it never begins.
    refused: Option<Refusal>,
}

impl Default for Recording {
    fn default() -> Recording {
        Recording { state: Mutex::default(), changed: watch::channel(()).0 }
    }
}

impl Recording {
    /// The answer has begun.
    pub fn head(&self, status: StatusCode, headers: HeaderMap) {
        self.state.lock().head = Some((status, headers));
        self.changed.send_replace(());
    }

    /// A piece of it has come.
    pub fn push(&self, piece: Bytes) {
        self.state.lock().pieces.push(piece);
        self.changed.send_replace(());
    }

    /// It has ended; what was said first holds.
    pub fn end(&self, whole: bool) {
        self.state.lock().ended.get_or_insert(whole);
        self.changed.send_replace(());
    }

    /// It will not begin.
    pub fn refuse(&self, refusal: Refusal) {
        self.state.lock().refused = Some(refusal);
        self.end(false);
    }

    /// Status, headers and body of an answer that has ended.
    pub fn whole(&self) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
        let state = self.state.lock();
        let (status, headers) = state.head.clone().filter(|_| state.ended == Some(true))?;
        Some((status, headers, state.pieces.concat()))
    }

    /// The answer, once it has begun.
    ///
    /// # Errors
    /// It is refused, or ended before it began.
    pub async fn response(self: Arc<Self>, again: bool) -> Result<Response<ResponseBody>, GatewayError> {
        let mut changes = self.changed.subscribe();
        let (status, mut headers) = loop {
            {
                let state = self.state.lock();
                match &state.head {
                    Some(head) => break head.clone(),
                    None if state.refused.is_some() => {
                        return Err(state.refused.map_or(GatewayError::Internal, GatewayError::from));
                    }
                    None if state.ended.is_some() => return Err(GatewayError::Internal),
                    None => {}
                }
            }
            changes.changed().await.map_err(|_| GatewayError::Internal)?;
        };
        if again {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        let mut response = Response::new(Either::Right(Either::Right(self.body())));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    fn body(self: Arc<Self>) -> axum::body::Body {
        let changes = self.changed.subscribe();
        axum::body::Body::from_stream(stream::unfold(
            (self, changes, 0),
            async |(recording, mut changes, at)| {
                loop {
                    {
                        let state = recording.state.lock();
                        if let Some(piece) = state.pieces.get(at) {
                            let piece = piece.clone();
                            drop(state);
                            return Some((Ok(piece), (recording, changes, at + 1)));
                        }
                        match state.ended {
                            Some(true) => return None,
                            Some(false) => break,
                            None => {}
                        }
                    }
                    if changes.changed().await.is_err() {
                        break;
                    }
                }
                // The reader must not take this for the end.
                let broken = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off");
                Some((Err(broken), (recording, changes, usize::MAX)))
            },
        ))
    }
}
