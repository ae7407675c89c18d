//! W-048, W-051, W-058, strategies, affinity, keys that rest, a request's own preferences, faults on purpose: who is
//! asked, and who is left alone.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

fn body(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20})
}

async fn ask(bench: &Bench, body: &Value, headers: &[(&str, &str)]) -> Answer {
    bench.post_with("/v1/chat/completions", body, headers).await
}

/// Who served so many calls.
async fn served(bench: &Bench, body: &Value, calls: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        let answer = ask(bench, body, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        *counts.entry(answer.header("x-weir-model").to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn w051_a_failing_target_is_left_alone_and_comes_back_by_one_probe() {
    let more = "models:\n  two: { targets: [openai/gpt-4o, openai/gpt-4o-mini], breaker: { failures: 3, cooldown: 1s } }\n  single: { targets: [openai/gpt-4.1-mini], retry: { attempts: 1 } }\n";
    let bench = Bench::start(more).await;
    bench.script(&[("gpt-4o", "status=500"), ("gpt-4.1-mini", "status=500")]);
    let mut attempts = Vec::new();
    for _ in 0..6 {
        attempts.push(ask(&bench, &body("two"), &[]).await.header("x-weir-attempts").to_owned());
    }
    assert_eq!(attempts, ["2", "2", "2", "1", "1", "1"]);
    let open = ["provider=\"openai\"", "model=\"gpt-4o\""];
    assert_eq!(bench.metric("weir_breaker_state", &open).await, 2.0);
    let health = bench.get("/health").await.json();
    let openai = health["providers"].as_array().unwrap().iter().find(|one| one["name"] == "openai").unwrap();
    let model = openai["models"].as_array().unwrap().iter().find(|one| one["model"] == "gpt-4o").unwrap();
    assert_eq!(model["breaker"], "open", "{health}");
    // Both: an answer at once, that says when to come again.
    bench.script(&[("gpt-4o", "status=500"), ("gpt-4o-mini", "status=500")]);
    for _ in 0..3 {
        ask(&bench, &body("two"), &[]).await;
    }
    let began = Instant::now();
    let refused = ask(&bench, &body("two"), &[]).await;
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("no_healthy_target")));
    let after: u64 = refused.header("retry-after-ms").parse().unwrap();
    assert!(after > 0 && after <= 1000 && refused.header("x-weir-attempts") == "0", "{after}");
    // A reload forgets nothing.
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &format!("{more}  other: openai/gpt-4.1\n")));
    while bench.metric("weir_config_reloads_total", &["ok"]).await < 1.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It is asked again by one call at a time, and comes back.
    bench.script(&[("gpt-4o", "delay=300ms")]);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let calls = (0..8).map(|_| async { ask(&bench, &body("two"), &[]).await });
    let answers: Vec<Answer> = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 503));
    let probes = answers.iter().filter(|answer| answer.header("x-weir-model") == "gpt-4o").count();
    assert_eq!(probes, 1, "one probe at a time");
    assert_eq!(bench.metric("weir_breaker_state", &open).await, 0.0);
    // A single target is asked in any case.
    for _ in 0..8 {
        assert_eq!(ask(&bench, &body("single"), &[]).await.header("x-weir-attempts"), "1");
    }
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w058_what_the_client_did_wrong_counts_against_no_target() {
    let more = "models:\n  two: { targets: [openai/gpt-4o, openai/gpt-4o-mini], breaker: { failures: 2 } }\n  named: { targets: [openai/gpt-4o, openai/gpt-4o-mini], fallback_on: [error, not_found], breaker: { failures: 2 } }\n";
    let bench = Bench::start(more).await;
    for status in [400, 404, 422] {
        bench.script(&[("gpt-4o", &format!("status={status}"))]);
        for _ in 0..4 {
            let answer = ask(&bench, &body("two"), &[]).await;
            assert_eq!((answer.status, answer.header("x-weir-attempts")), (status, "1"));
        }
    }
    bench.script(&[("gpt-4o", "status=404")]);
    let answer = ask(&bench, &body("named"), &[]).await;
    assert_eq!((answer.status, answer.header("x-weir-model")), (200, "gpt-4o-mini"));
    bench.script(&[]);
    assert_eq!(ask(&bench, &body("two"), &[]).await.header("x-weir-model"), "gpt-4o");
}

#[tokio::test(flavor = "multi_thread")]
async fn w048_a_provider_that_is_down_gets_no_storm() {
    let more = "models:\n  x: { targets: [openai/gpt-4o], retry: { attempts: 4, base: 1ms } }\n";
    let bench = Bench::start(more).await;
    bench.script(&[("gpt-4o", "status=503")]);
    let began = Instant::now();
    let calls = 600;
    for _ in 0..calls / 20 {
        futures_util::future::join_all((0..20).map(|_| async {
            assert_eq!(ask(&bench, &body("x"), &[]).await.status, 503);
        }))
        .await;
    }
    let (_, attempts) = bench.rows_of(calls).await;
    let most = 1.2 * calls as f64 + 10.0 * (began.elapsed().as_secs_f64() + 1.0);
    assert!((attempts.len() as f64) < most, "{} attempts, {most} allowed", attempts.len());
    assert!(attempts.len() > calls + calls / 10, "{} attempts: some are tried again", attempts.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_chosen_by_weight_price_and_what_they_can_do() {
    let more = "models:\n  weighted: { strategy: weighted, targets: [{ model: openai/gpt-4o, weight: 3 }, openai/gpt-4o-mini] }\n  cheap: { strategy: cheapest, targets: [openai/gpt-4o, anthropic/claude-haiku-4-5, openai/gpt-4o-mini] }\n  plain: { targets: [openai/gpt-4o, openai/gpt-4o-mini] }\n";
    let bench = Bench::start(more).await;
    let counts = served(&bench, &body("weighted"), 20).await;
    assert_eq!(counts, [("gpt-4o".to_owned(), 15), ("gpt-4o-mini".to_owned(), 5)].into());
    assert_eq!(served(&bench, &body("cheap"), 3).await.into_keys().collect::<Vec<_>>(), ["gpt-4o-mini"]);
    assert_eq!(
        served(&bench, &body("plain:floor"), 3).await.into_keys().collect::<Vec<_>>(),
        ["gpt-4o-mini"]
    );
    assert_eq!(served(&bench, &body("plain"), 3).await.into_keys().collect::<Vec<_>>(), ["gpt-4o"]);
    // The faster of two is found out.
    bench.script(&[("gpt-4o", "first=60ms")]);
    served(&bench, &body("plain:nitro"), 3).await;
    let fast = served(&bench, &body("plain:nitro"), 20).await;
    assert!(fast.get("gpt-4o-mini").copied().unwrap_or(0) >= 18, "{fast:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_at_its_target_and_key() {
    let bench = Bench::prepare("", None).await;
    let sim = bench.sim.url();
    let mut config = "providers:\n".to_owned();
    for name in ["a", "b", "c"] {
        config +=
            &format!("  {name}: {{ kind: openai, base_url: \"{sim}/v1\", api_keys: [k1, k2, k3, k4] }}\n");
    }
    config += "models:\n  x: { strategy: weighted, affinity: session, targets: [a/gpt-4o-mini, b/gpt-4o-mini, c/gpt-4o-mini] }\n";
    bench.weir.configure(&config);
    let mut bench = bench;
    bench.weir.run().await;
    let sessions = 60;
    for session in 0..sessions {
        for turn in 0..3 {
            // A third by header, a third by cache key, a third by how the conversation begins.
            let mut question = body("x");
            question["messages"] = json!([
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": format!("question {session}")},
                {"role": "user", "content": format!("turn {turn}")},
            ]);
            let (name, id) = (format!("s{session}"), format!("{session}"));
            let mut headers = vec![("x-request-id", id.as_str())];
            match session % 3 {
                0 => headers.push(("x-weir-session", &name)),
                1 => question["prompt_cache_key"] = json!(name),
                _ => {}
            }
            assert_eq!(ask(&bench, &question, &headers).await.status, 200);
        }
    }
    let (calls, attempts) = bench.rows_of(sessions * 3).await;
    let of_call: HashMap<&str, &str> =
        calls.iter().map(|call| (call.id.as_str(), call.request_id.as_str())).collect();
    let mut places: HashMap<&str, Vec<String>> = HashMap::new();
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in &attempts {
        let session = of_call[attempt.call_id.as_str()];
        let place = attempt.provider.clone();
        *spread.entry(attempt.provider.clone()).or_default() += 1;
        places.entry(session).or_default().push(place);
    }
    for (session, places) in &places {
        assert!(places.iter().all(|place| *place == places[0]), "{session}: {places:?}");
    }
    assert_eq!(spread.len(), 3, "{spread:?}");
    // The same key, too.
    let mut keys: HashMap<String, Vec<String>> = HashMap::new();
    for request in bench.sim.state.captured() {
        let session = request.body.split("question ").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let key = request.headers.into_iter().find(|(name, _)| name == "authorization").unwrap().1;
        keys.entry(session).or_default().push(key);
    }
    assert_eq!(keys.len(), sessions);
    assert!(keys.values().all(|keys| keys.len() == 3 && keys.iter().all(|key| *key == keys[0])), "{keys:?}");
    let all: std::collections::HashSet<&String> = keys.values().flatten().collect();
    assert_eq!(all.len(), 4, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_rests_and_another_takes_over() {
    let bench = Bench::prepare("", None).await;
    // A provider that knows only one of the keys.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let good = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    .to_string();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 16 << 10];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let known = String::from_utf8_lossy(&bytes[..read]).contains("good-key");
            let (status, body) = if known {
                ("200 OK", good.as_str())
            } else {
                ("401 Unauthorized", "{\"error\":{\"message\":\"no\"}}")
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            drop(stream.write_all((head + body).as_bytes()).await);
        }
    });
    let more = format!(
        "  p: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_keys: [dead-key, good-key] }}\nmodels:\n  x: {{ targets: [p/gpt-4o, openai/gpt-4o-mini] }}\n"
    );
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    let mut bench = bench;
    bench.weir.run().await;
    let mut by = Vec::new();
    for _ in 0..8 {
        let answer = ask(&bench, &body("x"), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        by.push((answer.header("x-weir-provider").to_owned(), answer.header("x-weir-attempts").to_owned()));
    }
    let rest = &by[2..];
    assert!(rest.iter().all(|one| *one == ("p".to_owned(), "1".to_owned())), "{by:?}");
    let health = bench.get("/health").await.json();
    let p = health["providers"].as_array().unwrap().iter().find(|one| one["name"] == "p").unwrap();
    assert_eq!(p["resting_keys"], json!(["api_keys[0]"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_itself_who_may_serve_it() {
    let more = "models:\n  x: { targets: [openai/gpt-4o, { model: anthropic/claude-haiku-4-5, tags: [zdr], region: eu }, gemini/gemini-2.5-flash] }\n  y: openai/gpt-4o-mini\n";
    let bench = Bench::start(more).await;
    let with = async |provider: Value| {
        let mut question = body("x");
        question["provider"] = provider;
        let answer = ask(&bench, &question, &[]).await;
        (answer.status, answer.header("x-weir-provider").to_owned(), answer.text())
    };
    for (provider, expected) in [
        (json!({"only": ["gemini"]}), "gemini"),
        (json!({"ignore": ["openai"]}), "anthropic"),
        (json!({"order": ["gemini", "anthropic"]}), "gemini"),
        (json!({"zdr": true}), "anthropic"),
        (json!({"region": "eu"}), "anthropic"),
        (json!({"sort": "price"}), "gemini"),
        (json!({"max_price": {"prompt": 1.5, "completion": "6"}}), "anthropic"),
        (json!({"allow_fallbacks": false}), "openai"),
    ] {
        let (status, by, text) = with(provider.clone()).await;
        assert_eq!((status, by.as_str()), (200, expected), "{provider}: {text}");
    }
    let (status, _, text) = with(json!({"only": ["nobody"]})).await;
    assert!(
        status == 400 && text.contains("unsupported_parameter") && text.contains("provider.only"),
        "{text}"
    );
    let (status, _, text) = with(json!({"quantizations": ["fp8"]})).await;
    assert!(status == 400 && text.contains("provider.quantizations"), "{text}");
    // `models`: what is asked after the model itself. No provider sees either member.
    bench.script(&[
        ("gpt-4o", "status=500"),
        ("claude-haiku-4-5", "status=500"),
        ("gemini-2.5-flash", "status=500"),
    ]);
    let mut question = body("x");
    question["models"] = json!(["y"]);
    question["provider"] = json!({"ignore": ["gemini"]});
    let answer = ask(&bench, &question, &[]).await;
    assert_eq!((answer.status, answer.header("x-weir-model")), (200, "gpt-4o-mini"), "{}", answer.text());
    let seen = bench.sim.state.captured();
    assert!(!seen.is_empty());
    for request in seen {
        let text = request.body;
        assert!(!text.contains("\"provider\"") && !text.contains("\"models\""), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_on_purpose_acts_only_where_that_is_allowed() {
    let more = |allow: &str| {
        format!(
            "server: {{ allow_faults: {allow} }}\nmodels:\n  x: {{ targets: [{{ model: openai/gpt-4o, fault: {{ status: 503, delay: 50ms }} }}, openai/gpt-4o-mini], breaker: off }}\n"
        )
    };
    let bench = Bench::start(&more("off")).await;
    assert_eq!(served(&bench, &body("x"), 2).await.into_keys().collect::<Vec<_>>(), ["gpt-4o"]);
    let bench = Bench::start(&more("on")).await;
    let began = Instant::now();
    assert_eq!(served(&bench, &body("x"), 1).await.into_keys().collect::<Vec<_>>(), ["gpt-4o-mini"]);
    assert!(began.elapsed() >= Duration::from_millis(50));
    let (_, attempts) = bench.rows_of(1).await;
    let failed = attempts.iter().find(|attempt| attempt.model == "gpt-4o").unwrap();
    assert_eq!((failed.state.as_str(), failed.upstream_status), ("upstream_error", Some(503)));
    bench.audit(&[]).await;
}
