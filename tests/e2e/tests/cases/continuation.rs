//! `on_broken_stream: continue`: a stream that breaks after its first words goes on at a model that takes the start of an
//! answer. What the client reads is one answer; the books have each attempt.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, Front, compat};

const ASK: &str = "tell me of the sea";

/// Providers that are asked in different ways, all at the simulator.
fn models(sim: &str) -> String {
    let route = |name: &str, targets: &str, more: &str| {
        format!(
            "  {name}: {{ targets: [{targets}], on_broken_stream: continue, breaker: off, timeouts: {{ idle: 400ms, first_token: 2s }}{more} }}\n"
        )
    };
    format!(
        "{}  deepseek: {{ base_url: \"{sim}\", api_key: k }}\n  mistral: {{ base_url: \"{sim}/v1\", api_key: k }}\nmodels:\n{}{}{}{}{}{}",
        compat("compat", sim),
        route("claude", "anthropic/claude-haiku-4-5", ""),
        route("over", "openai/gpt-4o-mini, compat/gpt-4o, anthropic/claude-haiku-4-5", ""),
        route("gemini", "gemini/gemini-2.5-flash, anthropic/claude-haiku-4-5", ""),
        route("deep", "deepseek/deepseek-v4-flash", ""),
        route("mist", "mistral/mistral-large-3", ""),
        "  ends: { targets: [anthropic/claude-haiku-4-5] }\n",
    )
}

async fn bench() -> Bench {
    let mut bench = Bench::prepare("", None).await;
    let sim = bench.sim.url();
    bench.weir.configure(&weir_e2e::config(&sim, &models(&sim)));
    bench.weir.run().await;
    bench
}

/// One model once does `first`, then, as whichever goes on, `then`.
fn script(bench: &Bench, broken: &str, first: &str, then: &str) {
    bench.rules(&json!([{"match": {"model": broken}, "sequence": [first], "then": then}]));
}

async fn ask(bench: &Bench, front: Front, model: &str) -> Answer {
    bench.post(&front.path(model, true), &front.body(model, ASK, true, 200)).await
}

/// An answer that went on: one beginning, one proper end, no error, and the mark.
#[track_caller]
fn went_on(front: Front, answer: &Answer) -> String {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert!(front.finished(answer) && front.errors(answer).is_empty(), "{front:?}: {text}");
    assert_eq!(front.beginnings(answer), 1, "{front:?}: {text}");
    assert_eq!(text.matches(": weir-continued\n\n").count(), 1, "{front:?}: {text}");
    front.text(answer, true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_goes_on_without_a_repeated_or_a_missing_word() {
    let bench = bench().await;
    // Of the client's own dialect and translated; the same model goes on, by each way to ask it.
    let routes = [
        ("claude", "claude-haiku-4-5", ""),
        ("deep", "deepseek-v4-flash", ""),
        ("mist", "mistral-large-3", "echo_start"),
    ];
    let mut calls = 0;
    for (model, name, then) in routes {
        for front in Front::ALL {
            script(&bench, name, "", "");
            let whole = ask(&bench, front, model).await;
            let whole = (front.finished(&whole), front.text(&whole, true));
            assert!(whole.0 && whole.1.starts_with("You said"), "{model} {front:?}: {whole:?}");
            calls += 1;
            for first in ["reset_at=7", "end_at=8", "stall_at=6", "gap=10ms+error_event_at=9"] {
                script(&bench, name, first, then);
                let answer = ask(&bench, front, model).await;
                assert!(
                    answer.text().contains(": weir-continued"),
                    "{model} {front:?} {first}: {}",
                    answer.text()
                );
                assert_eq!(went_on(front, &answer), whole.1, "{model} {front:?} {first}: {}", answer.text());
                calls += 1;
            }
        }
    }
    let (calls, attempts) = bench.rows_of(calls).await;
    assert_eq!(attempts.len(), calls.len() / 5 * 9);
    assert!(calls.iter().all(|call| call.end == "complete" && call.status == 200));
    let broken: Vec<_> = attempts.iter().filter(|attempt| attempt.state != "ok").collect();
    assert_eq!(broken.len(), calls.len() / 5 * 4);
    // What was said before it broke is paid for, too.
    assert!(broken.iter().all(|attempt| attempt.cost_nanousd.unwrap_or(0) > 0), "{broken:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_model_that_can_goes_on_for_one_that_can_not() {
    let bench = bench().await;
    for (route, model, first) in
        [("over", "gpt-4o-mini", "reset_at=6"), ("gemini", "gemini-2.5-flash", "reset_at=2")]
    {
        for front in Front::ALL {
            // A native stream of the Responses API has names of its own for what it says: it ends as it always did.
            if (route, front) == ("over", Front::Responses) {
                continue;
            }
            script(&bench, model, first, "");
            let answer = ask(&bench, front, route).await;
            let text = went_on(front, &answer);
            assert!(text.starts_with("You said: tell me of the sea"), "{front:?}: {text}");
            assert_eq!(text.matches("You said").count(), 1, "{front:?}: {text}");
            let sent = bench.sim.state.captured();
            let sent: Value = serde_json::from_str(&sent.last().unwrap().body).unwrap();
            let last = sent["messages"].as_array().unwrap().last().unwrap();
            assert_eq!(last["role"], "assistant", "{sent}");
            // What was said counts for the client's limit.
            assert!(sent["max_tokens"].as_u64().unwrap() < 200, "{sent}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_chunk_and_the_row_say_that_it_went_on() {
    let bench = bench().await;
    script(&bench, "gpt-4o-mini", "reset_at=6", "");
    let answer = ask(&bench, Front::Chat, "over").await;
    went_on(Front::Chat, &answer);
    let chunks = answer.chunks();
    let last = chunks.iter().find(|chunk| chunk["choices"][0]["finish_reason"].is_string()).unwrap();
    assert_eq!(last["weir"]["continued"], true, "{last}");
    let same = |name: &str| chunks.iter().all(|chunk| chunk[name] == chunks[0][name]);
    assert!(same("id") && same("model") && same("created"), "{}", answer.text());
    let (calls, attempts) = bench.rows_of(1).await;
    assert_eq!((calls[0].attempts, calls[0].end.as_str()), (2, "complete"));
    let states: Vec<_> = attempts.iter().map(|attempt| attempt.state.as_str()).collect();
    assert_eq!(states, ["upstream_truncated", "ok"]);
    let sum = attempts.iter().map(|attempt| attempt.cost_nanousd.unwrap()).sum::<i64>();
    assert_eq!(calls[0].cost_nanousd, Some(sum));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_go_on_with_ends_with_an_error() {
    let bench = bench().await;
    let text = json!([{"role": "user", "content": format!("{ASK}, as json")}]);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}]);
    let format = json!({"type": "json_object"});
    let bodies = [
        ("claude", "reset_at=7", json!({"tools": tools})),
        ("deep", "reset_at=7", json!({"response_format": format})),
        ("deep", "reset_at=5+reasoning", json!({})),
        ("ends", "reset_at=7", json!({})),
        ("deep", "reset_at=7", json!({"stop": ["You"]})),
    ];
    for (model, first, more) in bodies {
        let mut body = json!({"model": model, "stream": true, "max_tokens": 200, "messages": text});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.rules(&json!([
            {"match": {"model": "claude-haiku-4-5"}, "sequence": [first], "then": ""},
            {"match": {"model": "deepseek-v4-flash"}, "sequence": [first], "then": ""},
        ]));
        let answer = bench.post("/v1/chat/completions", &body).await;
        let all = answer.text();
        if body.get("stop").is_some() {
            // What stops the answer stopped the first half: that is its proper end.
            assert!(answer.finished(), "{all}");
            continue;
        }
        assert!(
            !answer.finished() && !Front::Chat.errors(&answer).is_empty(),
            "{model} {first} {more}: {all}"
        );
        assert!(!all.contains("weir-continued"), "{all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_not_go_on_either_is_told_of_the_first_failure() {
    let bench = bench().await;
    bench.rules(
        &json!([{"match": {"model": "claude-haiku-4-5"}, "sequence": ["reset_at=7"], "then": "status=503"}]),
    );
    for front in Front::ALL {
        bench.rules(&json!([{"match": {"model": "claude-haiku-4-5"}, "sequence": ["reset_at=7"], "then": "status=503"}]));
        let answer = ask(&bench, front, "claude").await;
        assert!(!front.finished(&answer) && front.errors(&answer).len() == 1, "{front:?}: {}", answer.text());
        assert!(front.text(&answer, true).starts_with("You said"), "{front:?}: {}", answer.text());
    }
    let (calls, attempts) = bench.rows_of(4).await;
    assert_eq!(attempts.len(), 8);
    assert!(calls.iter().all(|call| call.end == "provider_error"), "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_between_the_halves_has_its_row() {
    let bench = bench().await;
    bench.rules(
        &json!([{"match": {"model": "claude-haiku-4-5"}, "sequence": ["reset_at=7"], "then": "silent"}]),
    );
    let body = Front::Chat.body("claude", ASK, true, 200);
    let mut answer = bench.open("/v1/chat/completions", &body, &[]).await.unwrap();
    while let Ok(Ok(Some(_))) = tokio::time::timeout(Duration::from_millis(500), answer.chunk()).await {}
    drop(answer);
    let (calls, attempts) = bench.rows_of(1).await;
    assert_eq!(calls[0].end, "client_gone");
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    assert_eq!(bench.metric("weir_inflight_requests", &[]).await, 0.0);
}
