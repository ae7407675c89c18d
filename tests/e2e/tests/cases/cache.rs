//! W-082 and what else stored answers must keep: the same answer in either form, one provider's call for equal ones,
//! nothing across tenants, nothing of failures.

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

const MODELS: [&str; 3] = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"];

/// A body for a model, with a text, as a stream or not.
type Ask = fn(&str, &str, bool) -> Value;

/// Each model under a name that stores its answers, and under one that doesn't.
fn names() -> String {
    let mut text = "models:\n".to_owned();
    for model in MODELS {
        let short = model.split('/').next().unwrap();
        text += &format!("  {short}: {{ targets: [{model}], cache: {{ mode: exact, ttl: 1h }} }}\n");
        text += &format!("  {short}-plain: {{ targets: [{model}] }}\n");
    }
    text
}

fn chat(model: &str, text: &str, stream: bool) -> Value {
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let mut body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]});
    if text.contains("tool_calls") {
        body["tools"] = tools;
    }
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

fn messages(model: &str, text: &str, stream: bool) -> Value {
    let tools = json!([{"name": "weather", "input_schema":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);
    let mut body = json!({"model": model, "stream": stream, "max_tokens": 500, "messages": [{"role": "user", "content": text}]});
    if text.contains("tool_calls") {
        body["tools"] = tools;
    }
    body
}

/// What an answer says, in whichever form: text, reasoning, tool calls, why it ended, and its tokens.
fn said(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let streamed = answer.header("content-type").starts_with("text/event-stream");
    let pieces = if streamed { answer.chunks() } else { vec![answer.json()] };
    assert!(!streamed || answer.finished(), "{}", answer.text());
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::<(String, String)>::new());
    let (mut end, mut tokens) = (Value::Null, Value::Null);
    let add = |place: &mut String, value: &Value| place.push_str(value.as_str().unwrap_or(""));
    for piece in &pieces {
        let choice = &piece["choices"][0];
        let message = if streamed { &choice["delta"] } else { &choice["message"] };
        add(&mut text, &message["content"]);
        add(&mut reasoning, &message["reasoning_content"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            if call["function"]["name"].is_string() {
                calls.push(Default::default());
            }
            let last = calls.last_mut().expect("a call begins with its name");
            add(&mut last.0, &call["function"]["name"]);
            add(&mut last.1, &call["function"]["arguments"]);
        }
        for block in piece["content"].as_array().into_iter().flatten().chain(piece.get("content_block")) {
            add(&mut text, &block["text"]);
            add(&mut reasoning, &block["thinking"]);
            if block["type"] == "tool_use" {
                let input = if streamed { String::new() } else { block["input"].to_string() };
                calls.push((block["name"].as_str().unwrap().to_owned(), input));
            }
        }
        add(&mut text, &piece["delta"]["text"]);
        add(&mut reasoning, &piece["delta"]["thinking"]);
        if let Some(part) = piece["delta"]["partial_json"].as_str() {
            calls.last_mut().expect("a block has begun").1 += part;
        }
        for found in [&choice["finish_reason"], &piece["stop_reason"], &piece["delta"]["stop_reason"]] {
            if found.is_string() {
                end = found.clone();
            }
        }
        let usage = &piece["usage"];
        for name in ["completion_tokens", "output_tokens"] {
            if usage[name].is_u64() {
                tokens = usage[name].clone();
            }
        }
    }
    let calls: Vec<(String, Value)> = calls
        .into_iter()
        .map(|(name, input)| (name, serde_json::from_str(&input).unwrap_or_else(|_| input.into())))
        .collect();
    json!({"text": text, "reasoning": reasoning, "calls": calls, "end": end, "tokens": tokens})
}

fn state(answer: &Answer) -> &str {
    answer.header("x-weir-cache")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_whole_answers_replay_each_other() {
    let bench = Bench::start(&names()).await;
    let texts = ["plain", "[[sim:tool_calls=2+text_tool+hard_args]]", "[[sim:reasoning+len=60]]"];
    let mut calls = 0;
    let fronts: [(&str, Ask); 2] = [("/v1/chat/completions", chat), ("/v1/messages", messages)];
    for (path, ask) in fronts {
        for model in MODELS.map(|model| model.split('/').next().unwrap()) {
            for (number, text) in texts.iter().enumerate() {
                for first in [false, true] {
                    let text = format!("{text} {first}");
                    let miss = bench.post(path, &ask(model, &text, first)).await;
                    assert_eq!(state(&miss), "miss", "{path} {model} {text}");
                    for form in [false, true] {
                        let hit = bench.post(path, &ask(model, &text, form)).await;
                        assert_eq!(state(&hit), "hit", "{path} {model} {text} {first} {form}");
                        assert_eq!(
                            said(&hit),
                            said(&miss),
                            "{path} {model} {number} {first} {form}\n{}\n{}",
                            miss.text(),
                            hit.text()
                        );
                        assert_eq!(hit.header("x-weir-cost"), "0");
                        assert_eq!(hit.header("x-weir-attempts"), "0");
                        assert_eq!(hit.header("x-weir-provider"), miss.header("x-weir-provider"));
                        assert!(!hit.header("age").is_empty());
                    }
                    calls += 3;
                }
            }
        }
    }
    let (rows, attempts) = bench.rows_of(calls).await;
    assert_eq!(attempts.len(), calls / 3);
    assert_eq!(
        rows.iter()
            .filter(|row| row.attempts == 0 && row.end == "complete" && row.cost_nanousd == Some(0))
            .count(),
        calls / 3 * 2
    );
    assert_eq!(bench.metric("weir_cache_requests_total", &["result=\"hit\""]).await, (calls / 3 * 2) as f64);
    let saved = bench.metric("weir_cache_saved_usd_total", &[]).await;
    let paid: i64 = attempts.iter().filter_map(|attempt| attempt.cost_nanousd).sum();
    assert!((saved - 2.0 * paid as f64 / 1e9).abs() < 1e-9, "{saved} {paid}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_equal_calls_are_one() {
    let bench = Bench::start(&names()).await;
    let body = |number: usize| chat("openai", "[[sim:delay=300ms]] the same", number.is_multiple_of(2));
    let bodies: Vec<Value> = (0..100).map(body).collect();
    let answers = join_all(bodies.iter().map(|body| bench.post("/v1/chat/completions", body))).await;
    let want = said(&answers[0]);
    answers.iter().for_each(|answer| assert_eq!(said(answer), want));
    assert_eq!(answers.iter().filter(|answer| state(answer) == "miss").count(), 1);
    assert_eq!(bench.rows_of(100).await.1.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_or_fails_hurts_nobody() {
    let bench = Bench::start(&names()).await;
    let body = chat("openai", "[[sim:delay=400ms]] left", false);
    let leader =
        tokio::time::timeout(Duration::from_millis(150), bench.open("/v1/chat/completions", &body, &[]));
    let followers = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        join_all((0..5).map(|_| bench.post("/v1/chat/completions", &body))).await
    };
    let (left, answers) = tokio::join!(leader, followers);
    assert!(left.is_err(), "the leader left");
    assert_eq!(answers.iter().filter(|answer| state(answer) == "hit").count(), 4);
    answers.iter().for_each(|answer| assert_eq!(answer.status, 200));

    let failing = chat("openai", "[[sim:status=400+delay=100ms]] no", false);
    let answers = join_all((0..5).map(|_| bench.post("/v1/chat/completions", &failing))).await;
    answers.iter().for_each(|answer| assert_eq!((answer.status, state(answer)), (400, "miss")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_cut_answers_are_not_stored() {
    let bench = Bench::start(&names()).await;
    // (whole, streamed): some go wrong in streams only.
    let both = ["filtered", "finish=length", "truncate", "garble", "refusal"].map(|words| (words, true));
    for (words, whole) in both.into_iter().chain([("error_event_at=3", false), ("end_at=3", false)]) {
        for stream in [false, true].into_iter().filter(|stream| *stream || whole) {
            let body = chat("openai", &format!("[[sim:{words}]] {stream}"), stream);
            for _ in 0..2 {
                let answer = bench.post("/v1/chat/completions", &body).await;
                assert_eq!(state(&answer), "miss", "{words} {stream}: {}", answer.text());
            }
        }
    }
    assert_eq!(bench.get("/admin/v1/cache").await.json()["stored"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_say_what_they_want() {
    let bench = Bench::start(&names()).await;
    let ask = async |header: &str, text: &str| {
        let headers = [("x-weir-cache", header)];
        let headers = if header.is_empty() { &headers[..0] } else { &headers[..] };
        bench.post_with("/v1/chat/completions", &chat("openai", text, false), headers).await
    };
    let missing = ask("only", "a").await;
    assert_eq!((missing.status, missing.json()["error"]["code"].clone()), (404, json!("not_cached")));
    assert_eq!(missing.header("x-should-retry"), "false");
    assert_eq!(state(&ask("off", "a").await), "off");
    assert_eq!(ask("only", "a").await.status, 404);
    assert_eq!(state(&ask("refresh", "a").await), "miss");
    assert_eq!(state(&ask("only", "a").await), "hit");
    assert_eq!(state(&ask("refresh", "a").await), "miss");
    assert_eq!(state(&ask("", "a").await), "hit");
    assert_eq!(state(&ask("", "A").await), "miss");
    let odd = ask("sometimes", "a").await;
    assert_eq!((odd.status, odd.json()["error"]["param"].clone()), (400, json!("x-weir-cache")));

    // Spelling and labels don't count; numbers do.
    let spelled = r#"{ "stream": false, "user": "u", "metadata": {"a": "b"}, "messages": [ { "content": "\u0061", "role": "user" } ], "model": "openai" }"#;
    let post =
        async |body: &str| bench.post("/v1/chat/completions", &serde_json::from_str(body).unwrap()).await;
    assert_eq!(state(&post(spelled).await), "hit");
    assert_eq!(state(&post(&spelled.replace("\"stream\"", "\"temperature\": 1, \"stream\"")).await), "miss");

    let stats = bench.get("/admin/v1/cache").await.json();
    assert_eq!((&stats["backend"], &stats["entries"]), (&json!("memory"), &json!(3)), "{stats}");
    let purge = weir_e2e::client().delete(format!("{}/admin/v1/cache", bench.weir.url)).send().await.unwrap();
    assert_eq!(Answer::read(purge).await.json(), json!({"purged": 3}));
    assert_eq!(state(&ask("", "a").await), "miss");
    // A name that stores nothing.
    let plain = bench.chat("openai-plain", "a", false).await;
    assert_eq!(state(&plain), "off");
}

const KEYS: &str = "server: { master_key: master }
teams: [{ name: red }, { name: blue }]
keys:
  - { name: a, key: key-a, team: red }
  - { name: b, key: key-b, team: red }
  - { name: c, key: key-c, team: blue }
  - { name: d, key: key-d }
  - { name: e, key: key-e, models: [openai-plain] }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_never_meet() {
    // Who gets the answer of whom, in this order of calls: a b c d.
    for (scope, want) in [
        ("", ["miss", "miss", "miss", "miss"]),
        ("cache: { scope: team }\n", ["miss", "hit", "miss", "miss"]),
        ("cache: { scope: global }\n", ["miss", "hit", "hit", "hit"]),
    ] {
        let bench = Bench::start(&format!("{KEYS}{scope}{}", names())).await;
        let ask = async |key: &str| {
            let authorization = format!("Bearer key-{key}");
            let body = chat("openai", "secret plan", false);
            bench.post_with("/v1/chat/completions", &body, &[("authorization", &authorization)]).await
        };
        for (key, want) in ["a", "b", "c", "d"].into_iter().zip(want) {
            assert_eq!(state(&ask(key).await), want, "{scope}{key}");
            assert_eq!(state(&ask(key).await), "hit", "{scope}{key}");
        }
        // Who may not call the name gets no stored answer of it either.
        assert_eq!(ask("e").await.status, 403);
        // Keys of callers neither see nor purge.
        let url = format!("{}/admin/v1/cache", bench.weir.url);
        for key in ["key-a", ""] {
            let refused = weir_e2e::client().delete(&url).bearer_auth(key).send().await.unwrap();
            assert!(matches!(refused.status().as_u16(), 401 | 403));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_key_sets_by_itself_counts() {
    let bench = Bench::start(&format!("{KEYS}cache: {{ scope: global }}\n{}", names())).await;
    let mut keys = Vec::new();
    for (name, temperature) in [("one", 0.1), ("other", 0.2), ("third", 0.1)] {
        let made = weir_e2e::client()
            .post(format!("{}/admin/v1/keys", bench.weir.url))
            .bearer_auth("master")
            .header("content-type", "application/json")
            .body(json!({"name": name, "defaults": {"temperature": temperature}}).to_string());
        let made = Answer::read(made.send().await.unwrap()).await;
        assert_eq!(made.status, 201, "{}", made.text());
        keys.push(made.json()["key"].as_str().unwrap().to_owned());
    }
    for (key, want) in keys.iter().zip(["miss", "miss", "hit"]) {
        let authorization = format!("Bearer {key}");
        let body = chat("openai", "the same", false);
        let answer =
            bench.post_with("/v1/chat/completions", &body, &[("authorization", &authorization)]).await;
        assert_eq!((answer.status, state(&answer)), (200, want), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_answer_is_the_one_that_would_come() {
    let bench = Bench::start(&format!("cache: {{ exact: {{ max_size: 64KiB }} }}\n{}", names())).await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut hits, rounds) = (0, 400);
    for _ in 0..rounds {
        let name = ["openai", "anthropic", "gemini"][random.random_range(0..3)];
        let text = format!("question {}", random.random_range(0..12));
        let stream = random.random_bool(0.5);
        let fronts: [(&str, Ask); 2] = [("/v1/chat/completions", chat), ("/v1/messages", messages)];
        let (path, ask) = fronts[random.random_range(0..2)];
        let control = ["off", "refresh", "", "", ""][random.random_range(0..5)];
        let headers = [("x-weir-cache", control)];
        let headers = if control.is_empty() { &headers[..0] } else { &headers[..] };
        let stored = bench.post_with(path, &ask(name, &text, stream), headers).await;
        let plain = bench.post(path, &ask(&format!("{name}-plain"), &text, stream)).await;
        assert_eq!(said(&stored), said(&plain), "{path} {name} {text} {stream} {control}");
        hits += usize::from(state(&stored) == "hit");
    }
    assert!(hits > 40, "{hits} hits");
    let stats = bench.get("/admin/v1/cache").await.json();
    assert!(stats["size_bytes"].as_u64().unwrap() <= 64 << 10, "{stats}");
    println!("{hits} hits of {rounds}, {stats}");
}
