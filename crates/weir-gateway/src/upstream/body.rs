//! The body of an answer, whichever way it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;

use super::h1::{self, Opened, Pool};

/// The body of an answer. Dropped before its end, it ends the call on the provider's side, too.
pub struct AnswerBody(Way);

enum Way {
    Alone(h1::Body),
    Shared(Incoming),
    /// It was broken from its first bytes on.
    Broken(Option<BodyError>),
}

/// Why a body did not come whole.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BodyError(Box<dyn std::error::Error + Send + Sync>);

impl AnswerBody {
    pub(super) fn alone(opened: Opened, pool: &Arc<Pool>) -> AnswerBody {
        AnswerBody(match h1::Body::new(opened, pool) {
            Ok(body) => Way::Alone(body),
            Err(error) => Way::Broken(Some(BodyError(error.into()))),
        })
    }

    pub(super) fn shared(body: Incoming) -> AnswerBody {
        AnswerBody(Way::Shared(body))
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Way::Alone(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| BodyError(error.into())))),
            Way::Shared(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| BodyError(error.into())))),
            Way::Broken(error) => Poll::Ready(error.take().map(Err)),
        }
    }
}
