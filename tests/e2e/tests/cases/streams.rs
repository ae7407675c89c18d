//! W-036, W-037, W-041, W-042: streams in one-byte pieces, streams that break, clients that leave.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, connections_to, descriptors, rows_by_request};

const MODELS: [&str; 3] = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"];

fn ask(model: &str, text: &str, stream: bool) -> Value {
    let properties = json!({"city": {"type": "string"}, "note": {"type": "string"}});
    json!({"model": model, "stream": stream, "max_tokens": 2000, "messages": [{"role": "user", "content": text}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters":
            {"type": "object", "properties": properties, "required": ["city", "note"]}}}]})
}

fn messages(model: &str, text: &str, stream: bool) -> Value {
    let properties = json!({"city": {"type": "string"}, "note": {"type": "string"}});
    json!({"model": model, "stream": stream, "max_tokens": 2000, "messages": [{"role": "user", "content": text}],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": properties, "required": ["city", "note"]}}]})
}

/// What a client puts together: the text, and each tool call's name and arguments, in order.
fn assembled(path: &str, answer: &Answer) -> (String, Vec<(String, String)>) {
    let stream = answer.header("content-type").starts_with("text/event-stream");
    assert_eq!(answer.status, 200, "{}", answer.text());
    match (path, stream) {
        ("/v1/chat/completions", false) => {
            let message = &answer.json()["choices"][0]["message"];
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            let of = |call: &Value| {
                let text = |name: &str| call["function"][name].as_str().unwrap().to_owned();
                (text("name"), text("arguments"))
            };
            (message["content"].as_str().unwrap_or("").to_owned(), calls.map(of).collect())
        }
        ("/v1/chat/completions", true) => {
            let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
            for chunk in answer.chunks() {
                let delta = &chunk["choices"][0]["delta"];
                text += delta["content"].as_str().unwrap_or("");
                for call in delta["tool_calls"].as_array().into_iter().flatten() {
                    let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                    while calls.len() <= index {
                        calls.push(Default::default());
                    }
                    calls[index].0 += call["function"]["name"].as_str().unwrap_or("");
                    calls[index].1 += call["function"]["arguments"].as_str().unwrap_or("");
                }
            }
            (text, calls)
        }
        (_, false) => {
            let body = answer.json();
            let blocks = body["content"].as_array().unwrap();
            let text = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
            (
                text,
                calls
                    .map(|call| (call["name"].as_str().unwrap().to_owned(), call["input"].to_string()))
                    .collect(),
            )
        }
        (_, true) => {
            let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
            for event in answer.chunks() {
                if event["content_block"]["type"] == "tool_use" {
                    calls.push((event["content_block"]["name"].as_str().unwrap().to_owned(), String::new()));
                }
                text += event["delta"]["text"].as_str().unwrap_or("");
                if let Some(part) = event["delta"]["partial_json"].as_str() {
                    calls.last_mut().expect("a block has begun").1 += part;
                }
            }
            (text, calls)
        }
    }
}

fn arguments(calls: &[(String, String)]) -> Vec<(String, Value)> {
    let parse = |text: &str| serde_json::from_str(if text.is_empty() { "{}" } else { text }).expect(text);
    calls.iter().map(|(name, text)| (name.clone(), parse(text))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn w036_w037_one_byte_pieces_change_no_text_and_no_argument() {
    let bench = Bench::start("").await;
    let words = [
        "len=40",
        "hard_args+tool_calls=3",
        "hard_args+tool_calls=2+text_tool+args=one",
        "args=final+tool_calls=2+hard_args",
    ];
    for model in MODELS {
        for (at, word) in words.iter().enumerate() {
            for (path, make) in
                [("/v1/chat/completions", ask as fn(&str, &str, bool) -> Value), ("/v1/messages", messages)]
            {
                // The same question, so the same answer; the sim's words differ only in how it is sent.
                let question = |cut: &str, stream| {
                    let mut body = make(model, &format!("naïve 雨 🚣 {at} [[sim:{word}{cut}]]"), stream);
                    if *word == "len=40" {
                        body.as_object_mut().unwrap().remove("tools");
                    }
                    body
                };
                let plain = bench.post(path, &question("", true)).await;
                let sliced = bench.post(path, &question("+slice=1", true)).await;
                let (text, calls) = assembled(path, &plain);
                let (sliced_text, sliced_calls) = assembled(path, &sliced);
                assert!(plain.finished() && sliced.finished(), "{model} {path} {word}: {}", sliced.text());
                assert!(!text.contains('\u{fffd}') && !sliced.text().contains('\u{fffd}'));
                assert!(!text.is_empty() || calls.len() >= 2, "{model} {path} {word}: {calls:?}");
                assert_eq!(sliced_calls.len(), calls.len(), "{model} {path} {word}");
                // Answers depend on the question's text, which the cut changes: compare with the whole of the same.
                let whole = bench.post(path, &question("+slice=1", false)).await;
                let (whole_text, whole_calls) = assembled(path, &whole);
                assert_eq!(sliced_text, whole_text, "{model} {path} {word}");
                assert_eq!(arguments(&sliced_calls), arguments(&whole_calls), "{model} {path} {word}");
                let whole = bench.post(path, &question("", false)).await;
                let (whole_text, whole_calls) = assembled(path, &whole);
                assert_eq!(
                    (text, arguments(&calls)),
                    (whole_text, arguments(&whole_calls)),
                    "{model} {path} {word}"
                );
            }
        }
    }
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w041_a_stream_without_its_end_is_no_success() {
    let bench = Bench::start("").await;
    let mut calls = 0;
    for model in MODELS {
        for word in ["end_at=4", "close_at=4", "reset_at=4", "truncate"] {
            for (path, make) in
                [("/v1/chat/completions", ask as fn(&str, &str, bool) -> Value), ("/v1/messages", messages)]
            {
                let mut body = make(model, &format!("go on [[sim:len=30+{word}]]"), true);
                body.as_object_mut().unwrap().remove("tools");
                let answer = bench.post(path, &body).await;
                calls += 1;
                assert_eq!(answer.status, 200, "{model} {path} {word}: {}", answer.text());
                let events = answer.events();
                let last: Value = serde_json::from_str(&events.last().unwrap().data).unwrap();
                assert!(last["error"].is_object(), "{model} {path} {word}: {last}");
                assert!(!answer.finished(), "{model} {path} {word}");
                let finishes = answer.chunks().iter().any(|chunk| {
                    chunk["choices"][0]["finish_reason"].is_string()
                        || chunk["delta"]["stop_reason"].is_string()
                });
                assert!(!finishes || word == "truncate", "{model} {path} {word}: {}", answer.text());
            }
        }
    }
    let (rows, attempts) = bench.rows_of(calls).await;
    assert_eq!(attempts.len(), calls);
    for attempt in &attempts {
        assert_eq!(attempt.state, "upstream_truncated", "{attempt:?}");
        assert!(attempt.cost_nanousd.is_some_and(|cost| cost > 0), "{attempt:?}");
        assert!(attempt.usage_source == "reported" || attempt.reason.is_some(), "{attempt:?}");
    }
    assert!(rows.iter().all(|call| call.end == "provider_error" && call.status == 200), "{:?}", rows[0]);
    bench.audit(&[]).await;
}

/// 300 clients leave at random moments.
async fn leaving(policy: &str) {
    let models = MODELS.map(|model| {
        let name = model.split('/').next().unwrap();
        format!("  by-{name}: {{ targets: [{model}], on_client_gone: {policy} }}\n")
    });
    let bench = Bench::start(&format!("models:\n{}", models.concat())).await;
    // Warm up, then the baseline.
    for name in ["by-openai", "by-anthropic", "by-gemini"] {
        bench.chat(name, "hello", true).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let baseline = descriptors(bench.weir.process());
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let bench = std::sync::Arc::new(bench);
    let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(25));
    let mut tasks = Vec::new();
    for number in 0..300_u64 {
        let (bench, slots) = (bench.clone(), slots.clone());
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            let mut random = StdRng::seed_from_u64(seed ^ number);
            let name = ["by-openai", "by-anthropic", "by-gemini"][random.random_range(0..3)];
            let words = ["len=30+gap=3ms", "len=30+gap=3ms+first=20ms", "len=30+delay=20ms+gap=2ms"]
                [random.random_range(0..3)];
            let body = json!({"model": name, "stream": true, "max_tokens": 200,
                "messages": [{"role": "user", "content": format!("{number} [[sim:{words}]]")}]});
            let id = format!("left-{number}");
            let patience = Duration::from_micros(random.random_range(0..130_000));
            let mut content = 0;
            let reading = async {
                let headers = [("x-request-id", id.as_str())];
                let Ok(mut response) = bench.open("/v1/chat/completions", &body, &headers).await else {
                    return;
                };
                while let Ok(Some(piece)) = response.chunk().await {
                    content += piece.len();
                }
            };
            let finished = tokio::time::timeout(patience, reading).await.is_ok();
            (id, content > 0, finished)
        }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    let left = Instant::now();
    // With `cancel` weir lets go at once; with `drain` it reads on to the end of these short answers.
    loop {
        let busy = bench.metric("weir_inflight_requests", &[]).await;
        let open = descriptors(bench.weir.process());
        // Idle connections to the providers stay for later calls; nothing else does.
        let pooled = connections_to(bench.sim.addr.port());
        if busy == 0.0 && open <= baseline + pooled {
            break;
        }
        assert!(
            left.elapsed() < Duration::from_secs(5),
            "{busy} calls, {open} descriptors, {baseline} before, {pooled} pooled"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (rows, attempts) = bench.rows().await;
    let by_request = rows_by_request(&rows, &attempts);
    let mut gone = 0;
    for (id, content, finished) in &seen {
        let count = rows.iter().filter(|call| call.request_id == *id).count();
        if *content || *finished {
            assert_eq!(count, 1, "{id}");
        }
        assert!(count <= 1, "{id}");
        for attempt in by_request.get(id.as_str()).into_iter().flatten() {
            if *content {
                assert!(attempt.cost_nanousd.is_some_and(|cost| cost > 0), "{id}: {attempt:?}");
            }
            if attempt.state == "client_gone" {
                gone += 1;
                assert!(attempt.usage_source == "reported" || attempt.reason.is_some(), "{attempt:?}");
                if policy == "drain" && *content {
                    assert_eq!(attempt.usage_source, "reported", "{attempt:?}");
                }
            }
        }
    }
    println!("{gone} of {} left while an attempt was under way", seen.len());
    assert!(gone > 60, "{gone}");
    let report = bench.audit(&[]).await;
    println!("{} settled, unsettled: {:?}", report.settled, report.unsettled);
}

#[tokio::test(flavor = "multi_thread")]
async fn w042_clients_that_leave_are_accounted_once_with_cancel() {
    leaving("cancel").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w042_clients_that_leave_are_accounted_once_with_drain() {
    leaving("drain").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w042_a_stream_that_its_client_left_is_closed_within_a_second() {
    let bench = Bench::start("").await;
    let body = json!({"model": "openai/gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "x [[sim:len=2000+gap=20ms]]"}]});
    let mut response = bench.open("/v1/chat/completions", &body, &[]).await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let left = Instant::now();
    while !std::fs::read_to_string(&bench.truth).unwrap().contains("client_gone") {
        assert!(left.elapsed() < Duration::from_secs(1), "the provider's stream is still open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (rows, attempts) = bench.rows_of(1).await;
    assert_eq!((rows[0].end.as_str(), attempts[0].state.as_str()), ("client_gone", "client_gone"));
    assert_eq!(attempts[0].usage_source, "estimated");
    assert!(attempts[0].cost_nanousd.is_some_and(|cost| cost > 0));
}
