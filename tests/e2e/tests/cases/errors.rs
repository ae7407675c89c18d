//! W-013, W-047, and the order of targets: what each failure of a provider becomes, as one golden table.
//! `UPDATE=1` writes `golden/w047.json` anew.

use std::collections::BTreeMap;
use std::net::TcpListener as Blocking;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use weir_e2e::{Bench, free_port, root, rows_by_request};
use weir_sim::{Sim, SimConfig, Tls};

const GOLDEN: &str = "tests/e2e/golden/w047.json";

/// What a client and the ledger see of one failure.
fn line(answer: &weir_e2e::Answer, attempt: Option<&weir_tools::audit::Attempt>) -> Value {
    let error = answer.json()["error"].clone();
    json!({
        "status": answer.status,
        "type": error["type"],
        "code": error["code"],
        "timeout": error["weir"]["timeout"],
        "blame": error["weir"]["blame"],
        "retryable": answer.header("x-should-retry"),
        "retry_after": answer.header("retry-after"),
        "attempt_state": attempt.map(|attempt| attempt.state.as_str()),
        "upstream_status": attempt.and_then(|attempt| attempt.upstream_status),
        "usage_source": attempt.map(|attempt| attempt.usage_source.as_str()),
        "cost_nanousd": attempt.and_then(|attempt| attempt.cost_nanousd),
    })
}

/// A listener whose queue is full: connections to it are neither made nor refused.
fn full_listener() -> (Vec<Box<dyn Send>>, u16) {
    // The queue of a listener that never accepts takes some; further ones wait.
    let listener = Blocking::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut kept: Vec<Box<dyn Send>> = Vec::new();
    for _ in 0..6000 {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(150)) {
            Ok(stream) => kept.push(Box::new(stream)),
            Err(_) => break,
        }
    }
    kept.push(Box::new(listener));
    (kept, address.port())
}

/// A server that reads a request and resets the connection.
async fn resetting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            drop(stream.read(&mut bytes).await);
            drop(stream.set_zero_linger());
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn w047_each_failure_of_a_provider_has_one_line_in_the_table() {
    let pem = |name: &str| std::fs::read(root().join("tests/e2e/tls").join(name)).unwrap();
    let tls = Tls { cert_pem: pem("cert.pem"), key_pem: pem("key.pem") };
    let secure = Sim::start(SimConfig { tls: Some(tls), ..SimConfig::default() }).await.unwrap();
    let (_kept, full) = full_listener();
    let (refusing, reset) = (free_port(), resetting().await);
    let bench = Bench::prepare("", None).await;
    let sim = bench.sim.url();
    let at =
        |name: &str, url: &str| format!("  {name}: {{ kind: openai, base_url: \"{url}/v1\", api_key: k }}\n");
    let providers = [
        at("good", &sim),
        at("no-name", "http://no-such-host.invalid"),
        at("refusing", &format!("http://127.0.0.1:{refusing}")),
        at("full", &format!("http://127.0.0.1:{full}")),
        // Its authority is unknown to weir.
        at("untrusted", &secure.url()),
        at("plain", &format!("https://{}", bench.sim.addr)),
        at("resetting", &format!("http://127.0.0.1:{reset}")),
        format!("  claude: {{ kind: anthropic, base_url: \"{sim}\", api_key: k }}\n"),
        format!("  google: {{ kind: gemini, base_url: \"{sim}\", api_key: k }}\n"),
    ];
    let (gpt, claude, google) = ("good/gpt-4o-mini", "claude/claude-haiku-4-5", "google/gemini-2.5-flash");
    let mut cases: Vec<(String, &str, &str)> = Vec::new();
    for name in ["no-name", "refusing", "full", "untrusted", "plain", "resetting"] {
        cases.push((format!("{name}/gpt-4o-mini"), name, ""));
    }
    for (provider, model) in [("openai", gpt), ("anthropic", claude), ("gemini", google)] {
        for words in [
            "reset",
            "silent",
            "status=400",
            "status=401",
            "status=402",
            "status=403",
            "status=404",
            "status=408",
            "status=409",
            "status=413",
            "status=422",
            "status=429",
            "status=429+header=retry-after:7",
            "status=429+header=retry-after-ms:1500",
            "status=500",
            "status=502",
            "status=503",
            "status=503+header=retry-after:3",
            "status=504",
            "status=529",
            "status=302",
            "garble",
            "html",
            "empty",
            "truncate",
            "stall_at=0",
            "wrong_encoding",
            "gzip",
            "oversized=70000000",
        ] {
            cases.push((model.to_owned(), provider, words));
        }
    }
    let mut models = String::new();
    for (number, (target, _, words)) in cases.iter().enumerate() {
        // Seventy megabytes take their time on a busy machine.
        let patience = if words.starts_with("oversized") { "30s" } else { "1s" };
        models += &format!(
            "  case-{number}: {{ targets: [{target}], retry: {{ attempts: 1 }}, timeouts: {{ connect: 400ms, first_byte: {patience}, first_token: {patience}, idle: {patience} }} }}\n"
        );
    }
    let mut bench = bench;
    bench.weir.configure(&format!("providers:\n{}models:\n{models}", providers.concat()));
    bench.weir.run().await;
    for (number, (_, _, words)) in cases.iter().enumerate() {
        for stream in [false, true] {
            let text = format!("hello [[sim:{words}]]");
            let body = json!({"model": format!("case-{number}"), "stream": stream, "messages": [{"role": "user", "content": text}]});
            let id = format!("{number}-{stream}");
            // A stream with a fault in its third event has begun by then; that is W-041.
            if stream && (["garble", "truncate"].contains(words) || words.starts_with("oversized")) {
                continue;
            }
            let answer = bench.post_with("/v1/chat/completions", &body, &[("x-request-id", &id)]).await;
            assert_ne!(answer.status, 200, "{number} {:?} {stream}: {}", cases[number], answer.text());
            let folder = bench.weir.folder().join("answers");
            std::fs::create_dir_all(&folder).unwrap();
            let head = json!({"status": answer.status, "retry": answer.header("x-should-retry"), "after": answer.header("retry-after"), "body": answer.json()});
            std::fs::write(folder.join(id), head.to_string()).unwrap();
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(!message.contains("127.0.0.1") && !message.contains(weir_e2e::PROVIDER_KEY), "{message}");
        }
    }
    let (rows, attempts) = bench.rows().await;
    let by_request = rows_by_request(&rows, &attempts);
    let mut table: BTreeMap<String, Value> = BTreeMap::new();
    for (number, (_, provider, words)) in cases.iter().enumerate() {
        for stream in [false, true] {
            let id = format!("{number}-{stream}");
            let Ok(text) = std::fs::read(bench.weir.folder().join("answers").join(&id)) else { continue };
            let head: Value = serde_json::from_slice(&text).unwrap();
            let own = &by_request[id.as_str()];
            assert_eq!(own.len(), 1, "{provider} {words}: {own:?}");
            let mut headers = reqwest::header::HeaderMap::new();
            headers.insert("x-should-retry", head["retry"].as_str().unwrap().parse().unwrap());
            headers.insert("retry-after", head["after"].as_str().unwrap().parse().unwrap());
            let status = u16::try_from(head["status"].as_u64().unwrap()).unwrap();
            let answer =
                weir_e2e::Answer { status, headers, body: head["body"].to_string().into(), whole: true };
            let name = format!(
                "{provider}{}{words}{}",
                if words.is_empty() { "" } else { " " },
                if stream { ", streamed" } else { "" }
            );
            table.insert(name, line(&answer, own.first().copied()));
        }
    }
    let found = serde_json::to_string_pretty(&table).unwrap() + "\n";
    let path = root().join(GOLDEN);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let golden: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (name, line) in &table {
        assert_eq!(Some(line), golden.get(name), "{name} (UPDATE=1 writes the table anew)");
    }
    assert_eq!(table.len(), golden.len());
    println!("{} lines", table.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn w013_a_call_that_fails_over_has_two_rows_and_counts_once() {
    let more = "models:\n  both:\n    targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5]\n    retry: { attempts: 1 }\n    breaker: off\n";
    let bench = Bench::start(more).await;
    // The first fails in mid-stream before any content, having told its usage; then by status; then by an error event.
    let mut calls = 0;
    for words in
        ["status=500", "error_event_at=0", "empty", "reset", "end_at=0", "ping_only", "role_only+no_done"]
    {
        if words == "ping_only" {
            continue;
        }
        let script = json!({"rules": [{"match": {"model": "gpt-4o-mini"}, "then": words}]});
        bench
            .sim
            .state
            .set_script(weir_sim::Script::from_json(script.to_string().as_bytes()).unwrap())
            .unwrap();
        let answer = bench.chat("both", "hello", true).await;
        calls += 1;
        assert_eq!(answer.status, 200, "{words}: {}", answer.text());
        assert!(answer.finished(), "{words}: {}", answer.text());
        assert_eq!(answer.header("x-weir-provider"), "anthropic", "{words}");
        // A kept connection that closes under a request: the same target is asked once more over a new one.
        let most = if words == "reset" { "3" } else { "2" };
        assert!(["2", most].contains(&answer.header("x-weir-attempts")), "{words}");
    }
    let (rows, attempts) = bench.rows_of(calls).await;
    assert!((2 * calls..=2 * calls + 1).contains(&attempts.len()), "{}", attempts.len());
    for call in &rows {
        let own: Vec<_> = attempts.iter().filter(|attempt| attempt.call_id == call.id).collect();
        assert_eq!((call.attempts as usize, call.end.as_str()), (own.len(), "complete"));
        let sum: i64 = own.iter().map(|attempt| attempt.cost_nanousd.unwrap()).sum();
        assert_eq!(call.cost_nanousd, Some(sum));
        assert!(own.iter().any(|attempt| attempt.state == "ok" && attempt.provider == "anthropic"));
    }
    assert_eq!(bench.metric("weir_requests_total", &["status=\"200\""]).await, calls as f64);
    assert_eq!(bench.metric("weir_upstream_attempts_total", &[]).await, attempts.len() as f64);
    bench.audit(&[]).await;
}

/// A provider that says in its error what the failed call used.
#[tokio::test(flavor = "multi_thread")]
async fn w013_usage_within_an_error_is_charged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 16 << 10];
            drop(stream.read(&mut bytes).await);
            let body =
                json!({"error": {"message": "it broke", "type": "server_error", "code": null, "param": null},
                "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}})
                .to_string();
            let head = format!(
                "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            drop(stream.write_all((head + &body).as_bytes()).await);
        }
    });
    let bench = Bench::prepare("", None).await;
    let more = format!(
        "  costly: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: k }}\nmodels:\n  both: {{ targets: [costly/gpt-4o-mini, openai/gpt-4o-mini], retry: {{ attempts: 1 }} }}\n"
    );
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    let mut bench = bench;
    bench.weir.run().await;
    let answer = bench.chat("both", "hello", false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (rows, attempts) = bench.rows_of(1).await;
    let costs: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.usage_source.as_str(), attempt.cost_nanousd.unwrap()))
        .collect();
    // 1000 × 0.15 + 50 × 0.6 micro-dollars per token.
    assert_eq!(costs[0], ("reported", 180_000), "{attempts:?}");
    assert_eq!(rows[0].cost_nanousd, Some(costs[0].1 + costs[1].1));
    assert_eq!(bench.metric("weir_requests_total", &[]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_tried_in_order_and_only_before_the_first_content() {
    let more = "models:\n  three:\n    targets: [openai/gpt-4o-mini, gemini/gemini-2.5-flash]\n    fallbacks: [last]\n    breaker: off\n    retry: { attempts: 1 }\n    timeouts: { first_byte: 500ms, first_token: 500ms, idle: 500ms }\n  last: anthropic/claude-haiku-4-5\n";
    let bench = Bench::start(more).await;
    let script = |rules: &[(&str, &str)]| {
        let rules: Vec<Value> =
            rules.iter().map(|(model, then)| json!({"match": {"model": model}, "then": then})).collect();
        let script = weir_sim::Script::from_json(json!({"rules": rules}).to_string().as_bytes()).unwrap();
        bench.sim.state.set_script(script).unwrap();
    };
    let provider = async |stream: bool| {
        let answer = bench.chat("three", "hello", stream).await;
        (
            answer.status,
            answer.header("x-weir-provider").to_owned(),
            answer.header("x-weir-attempts").to_owned(),
        )
    };
    let served = |name: &str, attempts: &str| (200, name.to_owned(), attempts.to_owned());
    for stream in [false, true] {
        script(&[]);
        assert_eq!(provider(stream).await, served("openai", "1"));
        script(&[("gpt-4o-mini", "status=503")]);
        assert_eq!(provider(stream).await, served("gemini", "2"));
        // A kept connection that closes under a request: the same target is asked once more over a new one.
        script(&[("gpt-4o-mini", "status=429"), ("gemini-2.5-flash", "reset")]);
        assert_eq!(provider(stream).await, served("anthropic", "4"));
        let began = Instant::now();
        script(&[("gpt-4o-mini", "silent"), ("gemini-2.5-flash", "status=401")]);
        assert_eq!(provider(stream).await, served("anthropic", "3"));
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
        // What the client has to change helps nowhere.
        script(&[("gpt-4o-mini", "status=400")]);
        assert_eq!(provider(stream).await.0, 400);
        script(&[
            ("gpt-4o-mini", "status=500"),
            ("gemini-2.5-flash", "status=500"),
            ("claude-haiku-4-5", "status=500"),
        ]);
        assert_eq!(provider(stream).await.0, 500);
    }
    // After the first content nothing is tried again.
    script(&[("gpt-4o-mini", "close_at=4")]);
    let answer = bench.chat("three", "hello [[sim:len=20]]", true).await;
    assert_eq!((answer.header("x-weir-provider"), answer.finished()), ("openai", false), "{}", answer.text());
    assert!(answer.events().last().unwrap().data.contains("\"error\""));
    // A client may ask for no other target.
    script(&[("gpt-4o-mini", "status=503")]);
    let body = json!({"model": "three", "messages": [{"role": "user", "content": "x"}]});
    let answer = bench.post_with("/v1/chat/completions", &body, &[("x-weir-fallback", "off")]).await;
    assert_eq!(answer.status, 503);
    bench.audit(&[]).await;
}
