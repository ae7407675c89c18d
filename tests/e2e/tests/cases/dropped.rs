//! W-011: a call is dropped after N polls, for every N from 0 to its last: always one terminal row, nothing left open.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body::Body as _;
use serde_json::{Value, json};
use tower::Service;
use weir_adapter::Front;
use weir_gateway::Body;
use weir_ledger::{CallId, Durability, End, State};

use crate::inside::Inside;

/// Two targets, the first of which fails.
const ROUTES: &str = "models:\n  twice:\n    targets: [openai/gpt-4o, anthropic/claude-haiku-4-5]\n    retry: { attempts: 1 }\n    breaker: off\n";

/// Polls the call to its end, body included, but at most `polls` times; whether it came to its end.
async fn polled(inside: &Inside, front: Arc<dyn Front>, body: &Value, polls: usize) -> (CallId, bool) {
    let call = inside.call(front, body);
    let id = call.id;
    let mut stack = inside.stack.clone();
    let mut left = polls;
    let mut whole = Box::pin(async move {
        let reply = stack.call(call).await;
        let Ok(reply) = reply else { return };
        if let Body::Stream(mut meter) = reply.body {
            while std::future::poll_fn(|cx| Pin::new(meter.as_mut()).poll_frame(cx)).await.is_some() {
                // Each frame is a point at which a client can leave.
                tokio::task::yield_now().await;
            }
        }
    });
    let ended = std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        whole.as_mut().poll(cx).map(|()| true)
    })
    .await;
    (id, ended)
}

async fn at_every_poll(front: Arc<dyn Front>, body: Value, durability: Durability) {
    let inside = Inside::start(ROUTES, weir_adapter_openai::adapter, durability);
    let mut calls = Vec::new();
    for polls in 0.. {
        assert!(polls < 2000, "the call does not end");
        let (id, ended) = polled(&inside, front.clone(), &body, polls).await;
        calls.push(id);
        if ended {
            break;
        }
    }
    // At least: never polled, left while the provider is waited for, ended.
    assert!(calls.len() >= 3, "only {} polls", calls.len());
    assert!(inside.ledger.flush(Duration::from_secs(10)).await);
    let (rows, attempts) = (inside.store.calls(), inside.store.attempts());
    assert_eq!(inside.ledger.stats().written_replayed, 0, "a row was written twice");
    // What was never polled never began.
    assert!(rows.iter().all(|row| row.id != calls[0]));
    for (polls, id) in calls.iter().enumerate().skip(1) {
        let row =
            rows.iter().find(|row| row.id == *id).unwrap_or_else(|| panic!("no row after {polls} polls"));
        let own: Vec<_> = attempts.iter().filter(|attempt| attempt.id.call == *id).collect();
        assert_eq!(usize::from(row.attempts), own.len(), "after {polls} polls");
        let cost: i64 = own.iter().map(|attempt| attempt.cost_nanousd.unwrap()).sum();
        assert_eq!(row.cost_nanousd, Some(cost), "after {polls} polls: {row:?}");
        let left = polls + 1 < calls.len();
        let expected = if left { [End::ClientGone, End::Complete] } else { [End::Complete; 2] };
        assert!(expected.contains(&row.end), "after {polls} polls: {row:?}");
        if let Some(last) = own.last().filter(|last| last.state == State::ClientGone) {
            assert!(
                last.reason.is_some() || last.usage_source.name() == "reported",
                "after {polls} polls: {last:?}"
            );
        }
    }
    assert_eq!(rows.len(), calls.len() - 1);
    assert_eq!(inside.ledger.stats().reserved_bytes, 0, "room is left open");
    assert_eq!(inside.ledger.stats().abandoned, 0, "a call's row was made up");
    assert!(inside.ledger.flush_and_stop(Duration::from_secs(5)).await);
    println!("dropped after each of {} polls", calls.len());
}

fn ask(model: &str, stream: bool, text: &str) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 64, "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn w011_a_whole_native_call() {
    at_every_poll(weir_adapter_openai::front(), ask("openai/gpt-4o", false, "hi"), Durability::Interval)
        .await;
}

#[tokio::test]
async fn w011_a_native_stream() {
    at_every_poll(
        weir_adapter_openai::front(),
        ask("openai/gpt-4o", true, "hi [[sim:len=6]]"),
        Durability::Interval,
    )
    .await;
}

#[tokio::test]
async fn w011_a_translated_stream() {
    let body = ask("anthropic/claude-haiku-4-5", true, "hi [[sim:len=6]]");
    at_every_poll(weir_adapter_openai::front(), body, Durability::Interval).await;
}

#[tokio::test]
async fn w011_messages_from_gemini() {
    let body = ask("gemini/gemini-2.5-flash", true, "hi [[sim:len=6]]");
    at_every_poll(weir_adapter_anthropic::front(), body, Durability::Interval).await;
}

#[tokio::test]
async fn w011_a_call_that_fails_over() {
    // The word is OpenAI's only: the second target answers.
    let script = br#"{"rules":[{"match":{"model":"gpt-4o"},"then":"status=500"}]}"#;
    let inside = Inside::start(ROUTES, weir_adapter_openai::adapter, Durability::Interval);
    drop(inside.sim.set_script(weir_sim::Script::from_json(script).unwrap()));
    at_every_poll_scripted(inside).await;
}

async fn at_every_poll_scripted(inside: Inside) {
    let mut calls = 0;
    for polls in 1.. {
        assert!(polls < 2000, "the call does not end");
        calls += 1;
        let (_, ended) =
            polled(&inside, weir_adapter_openai::front(), &ask("twice", true, "hi [[sim:len=3]]"), polls)
                .await;
        if ended {
            break;
        }
    }
    assert!(inside.ledger.flush(Duration::from_secs(10)).await);
    let (rows, attempts) = (inside.store.calls(), inside.store.attempts());
    assert_eq!((rows.len(), inside.ledger.stats().reserved_bytes), (calls, 0));
    assert_eq!(attempts.len(), rows.iter().map(|row| usize::from(row.attempts)).sum::<usize>());
    let last = rows.last().unwrap();
    assert_eq!((last.attempts, last.end), (2, End::Complete));
    assert!(rows.iter().any(|row| row.attempts == 2 && row.end == End::ClientGone));
}

#[tokio::test]
async fn w011_a_stream_in_strict_mode() {
    at_every_poll(
        weir_adapter_openai::front(),
        ask("openai/gpt-4o", true, "hi [[sim:len=4]]"),
        Durability::Strict,
    )
    .await;
}
