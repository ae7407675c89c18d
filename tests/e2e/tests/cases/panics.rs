//! W-012: a panic in translation or metering: one row that says `internal_error`, and the process goes on.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use serde_json::{Value, json};
use tower::Service;
use weir_adapter::{
    Adapter, Credential, Decoder, Descriptor, EncodeError, EncodeOptions, Front, Glance, Operation,
    ProviderError, Reader, ReplyForm, Request, WireRequest,
};
use weir_gateway::Body;
use weir_ledger::{Durability, End, State};
use weir_wire::framing::Framing;
use weir_wire::{Usage, openai};

use crate::inside::Inside;

/// OpenAI's adapter, which panics where the request's text says so.
struct Fragile(Arc<dyn Adapter>);

fn fragile(descriptor: Descriptor) -> Arc<dyn Adapter> {
    Arc::new(Fragile(weir_adapter_openai::adapter(descriptor)))
}

fn told(request: &Request, word: &str) -> bool {
    String::from_utf8_lossy(request.raw()).contains(&format!("panic:{word}"))
}

impl Adapter for Fragile {
    fn serves(&self, operation: Operation) -> bool {
        self.0.serves(operation)
    }

    fn encode(&self, request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
        assert!(!told(request, "encode"), "told to panic");
        self.0.encode(request, options)
    }

    fn authorize(
        &self,
        request: &mut WireRequest,
        key: &Credential,
        now: SystemTime,
    ) -> Result<(), EncodeError> {
        self.0.authorize(request, key, now)
    }

    fn reply_form(&self, request: &Request) -> ReplyForm {
        assert!(!told(request, "form"), "told to panic");
        match self.0.reply_form(request) {
            ReplyForm::Native(inner) => {
                let at = if told(request, "first") {
                    0
                } else if told(request, "fourth") {
                    3
                } else {
                    u64::MAX
                };
                ReplyForm::Native(Box::new(FragileReader {
                    inner,
                    at,
                    whole: told(request, "whole"),
                    end: told(request, "end"),
                }))
            }
            ReplyForm::Foreign(inner) => {
                ReplyForm::Foreign(Box::new(FragileDecoder { inner, fails: told(request, "fourth") }))
            }
        }
    }

    fn error(&self, _: StatusCode, _: &HeaderMap, _: &[u8]) -> ProviderError {
        panic!("told to panic")
    }
}

struct FragileReader {
    inner: Box<dyn Reader>,
    at: u64,
    whole: bool,
    end: bool,
}

impl Reader for FragileReader {
    fn framing(&self) -> Framing {
        self.inner.framing()
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        assert!(!self.whole, "told to panic");
        self.inner.whole(body)
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError> {
        assert!(self.at != 0, "told to panic");
        self.at -= 1;
        self.inner.frame(frame)
    }

    fn done(&self) -> bool {
        self.inner.done()
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        assert!(!self.end, "told to panic");
        self.inner.end()
    }

    fn usage(&self) -> Option<&Usage> {
        self.inner.usage()
    }
}

struct FragileDecoder {
    inner: Box<dyn Decoder>,
    fails: bool,
}

impl Decoder for FragileDecoder {
    fn framing(&self) -> Framing {
        self.inner.framing()
    }

    fn whole(&mut self, body: &[u8]) -> Result<openai::Response, ProviderError> {
        self.inner.whole(body)
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        static FRAMES: AtomicU64 = AtomicU64::new(0);
        assert!(!self.fails || FRAMES.fetch_add(1, Ordering::Relaxed) < 3, "told to panic");
        self.inner.frame(frame, out)
    }

    fn end(&mut self, out: &mut Vec<openai::Chunk>) -> Result<(), ProviderError> {
        self.inner.end(out)
    }

    fn usage(&self) -> Option<&Usage> {
        self.inner.usage()
    }
}

/// One call in a task of its own, as the server runs it; whether it panicked.
async fn panics(inside: &Inside, front: Arc<dyn Front>, body: &Value) -> bool {
    let call = inside.call(front, body);
    let mut stack = inside.stack.clone();
    let task = tokio::spawn(async move {
        let Ok(reply) = stack.call(call).await else { return };
        if let Body::Stream(mut meter) = reply.body {
            while std::future::poll_fn(|cx| Pin::new(meter.as_mut()).poll_frame(cx)).await.is_some() {}
        }
    });
    AssertUnwindSafe(task).await.is_err_and(|error| error.is_panic())
}

async fn check(word: &str, stream: bool, front: Arc<dyn Front>, attempts: u16) {
    let inside = Inside::start("", fragile, Durability::Interval);
    let ask = |text: &str| json!({"model": "openai/gpt-4o", "stream": stream, "max_tokens": 64, "messages": [{"role": "user", "content": text}]});
    // One in a hundred.
    for number in 0..100 {
        let text = if number == 50 {
            format!("panic:{word} [[sim:len=9]]")
        } else {
            format!("well [[sim:len={}]]", number % 7 + 1)
        };
        assert_eq!(panics(&inside, front.clone(), &ask(&text)).await, number == 50, "{word}, call {number}");
    }
    assert!(inside.ledger.flush(Duration::from_secs(10)).await);
    let (rows, all) = (inside.store.calls(), inside.store.attempts());
    assert_eq!(rows.len(), 100, "{word}");
    let bad: Vec<_> = rows.iter().filter(|row| row.end != End::Complete).collect();
    let [bad] = &bad[..] else { panic!("{word}: {bad:?}") };
    assert_eq!((bad.end, bad.attempts), (End::GatewayError, attempts), "{word}: {bad:?}");
    let own: Vec<_> = all.iter().filter(|row| row.id.call == bad.id).collect();
    assert_eq!(own.len(), usize::from(attempts), "{word}");
    assert!(own.iter().all(|row| row.state == State::InternalError), "{word}: {own:?}");
    assert_eq!(inside.ledger.stats().reserved_bytes, 0, "{word}");
    assert!(inside.ledger.flush_and_stop(Duration::from_secs(5)).await, "{word}");
}

#[tokio::test]
async fn w012_a_panic_while_the_request_is_written() {
    check("encode", false, weir_adapter_openai::front(), 0).await;
}

#[tokio::test]
async fn w012_a_panic_while_a_whole_reply_is_read() {
    check("whole", false, weir_adapter_openai::front(), 1).await;
    check("form", false, weir_adapter_openai::front(), 1).await;
}

#[tokio::test]
async fn w012_a_panic_before_the_first_content() {
    check("first", true, weir_adapter_openai::front(), 1).await;
}

#[tokio::test]
async fn w012_a_panic_in_the_middle_of_a_stream() {
    check("fourth", true, weir_adapter_openai::front(), 1).await;
    check("fourth", true, weir_adapter_anthropic::front(), 1).await;
}

#[tokio::test]
async fn w012_a_panic_at_the_end_of_a_stream() {
    check("end", true, weir_adapter_openai::front(), 1).await;
}
