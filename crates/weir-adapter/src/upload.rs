//! A form with files on its way through: its beginning was read, the rest goes on as it comes.

use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use crate::adapter::WireBody;
use crate::front::InvalidRequest;

/// What a body may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// What is still to come of a form.
pub type Rest = UnsyncBoxBody<Bytes, BoxError>;

/// A form with files.
pub struct Upload {
    /// Its `content-type`, boundary included.
    pub content_type: HeaderValue,
    /// What was read of it: all of it, or up to its first file.
    pub head: Bytes,
    /// Where the model's name stands in the head; `None` where the form has none.
    pub model: Option<Range<usize>>,
    /// The bytes of all of it, where the client said how many.
    pub length: Option<u64>,
    /// What its largest file begins with, and how many bytes it has at most.
    pub file: Option<FileHead>,
    whole: bool,
    rest: Mutex<Option<Rest>>,
    broken: Broken,
    spent: AtomicBool,
}

/// Why the client's side of a form broke off, once it has.
#[derive(Debug, Clone, Default)]
pub struct Broken(Arc<Mutex<Option<InvalidRequest>>>);

impl Broken {
    /// It broke off; the first reason counts.
    pub fn tell(&self, why: InvalidRequest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// The reason.
    pub fn why(&self) -> Option<InvalidRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The beginning of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileHead {
    /// Its first bytes, 4 KiB at most.
    pub bytes: Bytes,
    /// Its size, at most.
    pub at_most: u64,
}

impl Upload {
    /// A form that was read whole: it can be sent more than once.
    pub fn whole(content_type: HeaderValue, body: Bytes, model: Option<Range<usize>>) -> Upload {
        Upload {
            content_type,
            length: Some(body.len() as u64),
            head: body,
            model,
            file: None,
            whole: true,
            rest: Mutex::new(None),
            broken: Broken::default(),
            spent: AtomicBool::new(false),
        }
    }

    /// A form whose rest is still to come: it can be sent once.
    pub fn begun(
        content_type: HeaderValue,
        head: Bytes,
        model: Option<Range<usize>>,
        length: Option<u64>,
        rest: Rest,
        broken: Broken,
    ) -> Upload {
        Upload {
            length,
            whole: false,
            broken,
            rest: Mutex::new(Some(rest)),
            ..Upload::whole(content_type, head, model)
        }
    }

    /// Whether all of it is in memory.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether it can't be sent any more.
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Why the client's side broke off.
    pub fn failure(&self) -> Option<InvalidRequest> {
        self.broken.why()
    }

    /// The body for a provider, with the model's name there. `None` where it was sent before and is gone.
    pub fn body(self: &Arc<Upload>, model: &str) -> Option<WireBody> {
        if self.is_spent() {
            return None;
        }
        let head = self.renamed(model);
        if self.whole {
            return Some(WireBody::Bytes(head));
        }
        let length = self.length.map(|length| length - self.head.len() as u64 + head.len() as u64);
        let body = UploadBody { upload: self.clone(), head: Some(head), rest: None, left: length };
        Some(WireBody::Stream(UnsyncBoxBody::new(body)))
    }

    fn renamed(&self, model: &str) -> Bytes {
        match &self.model {
            Some(at) if &self.head[at.clone()] != model.as_bytes() => {
                let parts = [&self.head[..at.start], model.as_bytes(), &self.head[at.end..]];
                Bytes::from(parts.concat())
            }
            _ => self.head.clone(),
        }
    }

    fn take_rest(&self) -> Option<Rest> {
        self.spent.store(true, Ordering::Release);
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The head, then the rest; nothing of the rest is touched before the first byte of the head was asked for.
struct UploadBody {
    upload: Arc<Upload>,
    head: Option<Bytes>,
    rest: Option<Rest>,
    left: Option<u64>,
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(head) = this.head.take() {
            let Some(rest) = this.upload.take_rest() else {
                return Poll::Ready(Some(Err("the form was sent before".into())));
            };
            this.rest = Some(rest);
            this.left = this.left.map(|left| left.saturating_sub(head.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
        let frame = std::task::ready!(rest.poll_frame_unpin(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Polls a boxed body without pinning it first.
trait PollUnpin {
    fn poll_frame_unpin(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;
}

impl PollUnpin for Rest {
    fn poll_frame_unpin(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(self).poll_frame(cx)
    }
}

/// A body that is there already, as what is still to come; for tests and for whole forms.
pub fn rest_of(body: Bytes) -> Rest {
    http_body_util::Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(body: WireBody) -> (Option<u64>, Vec<u8>) {
        match body {
            WireBody::Bytes(bytes) => (Some(bytes.len() as u64), bytes.to_vec()),
            WireBody::Stream(mut body) => {
                let hint = body.size_hint().exact();
                let mut all = Vec::new();
                let mut cx = Context::from_waker(std::task::Waker::noop());
                while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
                    all.extend_from_slice(&frame.unwrap().into_data().unwrap());
                }
                (hint, all)
            }
            WireBody::Upgrade => panic!("no form"),
        }
    }

    #[test]
    fn a_form_in_memory_can_be_sent_again_and_one_that_streams_once() {
        let kind = HeaderValue::from_static("multipart/form-data; boundary=b");
        let whole = Arc::new(Upload::whole(kind.clone(), Bytes::from_static(b"--m--file"), Some(2..3)));
        for _ in 0..2 {
            assert_eq!(collect(whole.body("whisper").unwrap()), (Some(15), b"--whisper--file".to_vec()));
        }
        let rest = rest_of(Bytes::from_static(b"file"));
        let begun = Arc::new(Upload::begun(
            kind,
            Bytes::from_static(b"--m--"),
            Some(2..3),
            Some(9),
            rest,
            Broken::default(),
        ));
        assert!(!begun.is_spent());
        assert_eq!(collect(begun.body("whisper").unwrap()), (Some(15), b"--whisper--file".to_vec()));
        assert!(begun.is_spent() && begun.body("whisper").is_none());
    }
}
