//! Less than was asked for, where a route allows it, and said aloud: an answer whose time is over, a smaller model, no
//! tools.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

const CHAT: &str = "/v1/chat/completions";

fn script(bench: &Bench, rules: &[(&str, &str)]) {
    let rules: Vec<Value> =
        rules.iter().map(|(model, then)| json!({"match": {"model": model}, "then": then})).collect();
    let script = json!({"rules": rules}).to_string();
    bench.sim.state.set_script(weir_sim::Script::from_json(script.as_bytes()).unwrap()).unwrap();
}

/// With room for the whole answer: one that is cut short is not stored.
fn body(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 200})
}

fn degraded(answer: &Answer) -> (u16, &str, &str) {
    (answer.status, answer.header("x-weir-cache"), answer.header("x-weir-degraded"))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_target_failed_an_answer_whose_time_is_over_serves() {
    let more = "models:\n  x: { targets: [openai/gpt-4o, openai/gpt-4o-mini], cache: { mode: exact, ttl: 300ms }, degrade: { stale: 1h }, retry: { attempts: 1 }, breaker: { failures: 2, cooldown: 1m } }\n  strict: { targets: [openai/gpt-4o], cache: { mode: exact, ttl: 300ms } }\n";
    let bench = Bench::start(more).await;
    let ask = async |model: &str, text: &str, stream: bool, headers: &[(&str, &str)]| {
        let mut body = body(model, text);
        body["stream"] = json!(stream);
        bench.post_with(CHAT, &body, headers).await
    };
    let first = ask("x", "one", false, &[]).await;
    assert_eq!(degraded(&first), (200, "miss", ""));
    ask("strict", "one", false, &[]).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    // Its time is over: as long as anybody answers, there is a new one.
    assert_eq!(degraded(&ask("x", "one", false, &[]).await), (200, "miss", ""));
    tokio::time::sleep(Duration::from_millis(350)).await;
    script(&bench, &[("gpt-4o", "status=503"), ("gpt-4o-mini", "status=500")]);
    let stale = ask("x", "one", false, &[]).await;
    assert_eq!(degraded(&stale), (200, "hit", "stale"), "{}", stale.text());
    assert_eq!(stale.json()["choices"], first.json()["choices"]);
    assert!(stale.header("age").parse::<u64>().is_ok());
    assert_eq!((stale.header("x-weir-attempts"), stale.header("x-weir-cost")), ("2", "0"));
    let streamed = ask("x", "one", true, &[]).await;
    assert!(degraded(&streamed) == (200, "hit", "stale") && streamed.finished());
    // Both rest by now: at once.
    let resting = ask("x", "one", false, &[]).await;
    assert_eq!((degraded(&resting), resting.header("x-weir-attempts")), ((200, "hit", "stale"), "0"));
    // What nobody stored, who wants none, who wants a new one, and a route that doesn't allow it get the error.
    for answer in [
        ask("x", "two", false, &[]).await,
        ask("x", "one", false, &[("x-weir-cache", "off")]).await,
        ask("x", "one", false, &[("x-weir-cache", "refresh")]).await,
        ask("strict", "one", false, &[]).await,
    ] {
        assert!(answer.status >= 500 && answer.header("x-weir-degraded").is_empty(), "{}", answer.text());
    }
    assert!(bench.metric("weir_cache_requests_total", &["result=\"stale\""]).await >= 3.0);
    let (calls, _) = bench.rows_of(10).await;
    assert_eq!(calls.iter().filter(|call| call.end == "complete").count(), 6, "{calls:?}");
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_model_serves_when_all_others_have_failed() {
    let more = "models:\n  x: { targets: [openai/gpt-4o], fallbacks: [y], degrade: { model: small }, cache: { mode: exact, ttl: 1h } }\n  y: openai/gpt-4.1\n  small: openai/gpt-4o-mini\n";
    let bench = Bench::start(more).await;
    let by = async |headers: &[(&str, &str)]| {
        let answer = bench.post_with(CHAT, &body("x", "hello"), headers).await;
        (answer.status, answer.header("x-weir-model").to_owned(), answer.header("x-weir-degraded").to_owned())
    };
    script(&bench, &[("gpt-4o", "status=500"), ("gpt-4.1", "status=500")]);
    assert_eq!(by(&[]).await, (200, "gpt-4o-mini".into(), "model".into()));
    assert_eq!(by(&[("x-weir-fallback", "off")]).await, (500, "gpt-4o".into(), String::new()));
    // That answer was not stored: who asks again gets what was asked for, and a fallback is nothing less.
    script(&bench, &[("gpt-4o", "status=500")]);
    assert_eq!(by(&[]).await, (200, "gpt-4.1".into(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_left_out_for_a_target_that_can_use_none() {
    let more = "models:\n  x: { targets: [openai/gpt-4o, openai/gpt-3.5-turbo-16k], degrade: { tools: drop }, breaker: off }\n  keep: { targets: [openai/gpt-4o, openai/gpt-3.5-turbo-16k], breaker: off }\n";
    let bench = Bench::start(more).await;
    script(&bench, &[("gpt-4o", "status=500")]);
    let chat = |model: &str, more: Value| {
        let mut body = body(model, "hello");
        body["tools"] =
            json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let messages = json!({"model": "x", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"}});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]});
    let used = json!({"messages": [{"role": "user", "content": "hello"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"}]});
    let cases = [
        (CHAT, chat("x", json!({"tool_choice": "auto", "parallel_tool_calls": true})), true),
        ("/v1/messages", messages, true),
        ("/v1beta/models/x:generateContent", gemini, true),
        // Demanded, used already, or not allowed by the route: as it is.
        (CHAT, chat("x", json!({"tool_choice": "required"})), false),
        (CHAT, chat("x", used), false),
        (CHAT, chat("keep", json!({})), false),
    ];
    for (path, body, bare) in cases {
        let answer = bench.post(path, &body).await;
        assert_eq!(answer.header("x-weir-model"), "gpt-3.5-turbo-16k", "{path} {body}: {}", answer.text());
        assert_eq!(answer.header("x-weir-degraded"), if bare { "tools" } else { "" }, "{path} {body}");
        let sent = bench.sim.state.captured().pop().unwrap().body;
        let sent: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(sent["tools"].is_null(), bare, "{sent}");
        assert!(!bare || sent["tool_choice"].is_null() && sent["parallel_tool_calls"].is_null(), "{sent}");
    }
    // Who can use them gets them.
    script(&bench, &[]);
    let answer = bench.post(CHAT, &chat("x", json!({}))).await;
    assert_eq!((answer.header("x-weir-model"), answer.header("x-weir-degraded")), ("gpt-4o", ""));
    // A conversation without tools is nothing less there.
    script(&bench, &[("gpt-4o", "status=500")]);
    let answer = bench.post(CHAT, &body("x", "hello")).await;
    assert_eq!((answer.status, answer.header("x-weir-degraded")), (200, ""));
}
