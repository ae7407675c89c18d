//! W-039, W-067, `timeouts.write`, and a reload that changes only `timeouts.connect`: how calls end that would not.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use weir_e2e::{Answer, Bench};

/// Waits until `done` says so.
async fn until(what: &str, patience: Duration, mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < patience, "{what} within {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn body(model: &str, words: &str, stream: bool) -> serde_json::Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": format!("hello [[sim:{words}]]")}]})
}

/// Over HTTP/2 without TLS, with small windows.
fn http2() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    builder.tls_certs_only([]).http2_initial_stream_window_size(65_535).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn w067_a_stream_longer_than_the_drain_time_is_told_so() {
    let more = "server: { drain_timeout: 1s }\n";
    let mut bench = Bench::start(more).await;
    let mut reading = Vec::new();
    // One that flows, one that is silent, in both dialects; and one whose head has not come.
    for (path, words, stream) in [
        ("/v1/chat/completions", "len=4000+gap=50ms", true),
        ("/v1/messages", "len=4000+gap=50ms", true),
        ("/v1/chat/completions", "stall_at=4", true),
        ("/v1/chat/completions", "silent", false),
    ] {
        for client in [weir_e2e::client().clone(), http2()] {
            let mut question = body("anthropic/claude-haiku-4-5", words, stream);
            question["max_tokens"] = json!(5000);
            let asked = client.post(format!("{}{path}", bench.weir.url)).body(question.to_string());
            let asked = asked.header("content-type", "application/json");
            reading.push((
                path,
                words,
                tokio::spawn(async move { Answer::read(asked.send().await.unwrap()).await }),
            ));
        }
    }
    until("all are under way", Duration::from_secs(10), async || {
        bench.metric("weir_inflight_requests", &[]).await == 8.0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    assert_eq!(bench.weir.stop().await, Some(0), "{}", bench.weir.log());
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");
    for (path, words, answer) in reading {
        let answer = answer.await.unwrap();
        let text = answer.text();
        assert!(
            answer.whole && text.contains("shutting down") && !answer.finished(),
            "{path} {words}: {text}"
        );
        if words == "silent" {
            assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        } else {
            assert_eq!(answer.status, 200);
            let last = answer.events().pop().unwrap();
            assert_eq!(last.name, if path == "/v1/messages" { "error" } else { "" }, "{text}");
        }
    }
    bench.weir.run().await;
    let (calls, attempts) = bench.rows_of(8).await;
    for call in &calls {
        assert_eq!(call.end, "gateway_error", "{call:?}");
    }
    for attempt in &attempts {
        assert_eq!(attempt.state, "internal_error");
        // What was made until then has its price; where nothing came, the prompt may have been read.
        assert_ne!(attempt.usage_source, "none", "{attempt:?}");
        assert!(attempt.cost_nanousd.unwrap() > 0, "{attempt:?}");
    }
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_left_alone_after_its_time() {
    let more = "models:\n  long: { targets: [openai/gpt-4o-mini], timeouts: { write: 700ms } }\n";
    let bench = Bench::start(more).await;
    let question = body("long", "len=60000", true).to_string();
    // HTTP/1.1: the connection stands still.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(bench.weir.address.parse().unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-request-id: h1\r\ncontent-length: {}\r\n\r\n{question}",
        question.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // HTTP/2: only the stream does; another on the same connection flows on.
    let client = http2();
    let url = format!("{}/v1/chat/completions", bench.weir.url);
    let frozen = client.post(&url).header("x-request-id", "h2").body(question.clone()).send().await.unwrap();
    let began = Instant::now();
    let mut others = 0;
    until("both are given up", Duration::from_secs(10), async || {
        let other = client.post(&url).body(body("long", "len=5", true).to_string()).send().await.unwrap();
        assert!(Answer::read(other).await.finished());
        others += 1;
        bench.metric("weir_inflight_requests", &[]).await == 0.0
    })
    .await;
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    let (calls, attempts) = bench.rows_of(2 + others).await;
    let ended: Vec<_> = calls.iter().filter(|call| call.end == "client_gone").collect();
    assert_eq!(
        ended.len(),
        2,
        "{:?}",
        calls.iter().find(|call| call.request_id.starts_with('h') && call.end == "complete")
    );
    for call in ended {
        let attempt = attempts.iter().find(|attempt| attempt.call_id == call.id).unwrap();
        assert_eq!((attempt.state.as_str(), attempt.usage_source.as_str()), ("client_gone", "estimated"));
        assert!(attempt.cost_nanousd.unwrap() > 0);
    }
    // What is read of it in the end is a broken answer, never a whole one.
    let late = Answer::read(frozen).await;
    assert!(!late.whole && !late.finished());
    let mut rest = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await);
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_counts_though_its_body_does_not_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 16 << 10];
            drop(stream.read(&mut bytes).await);
            let head = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\n{";
            drop(stream.write_all(head.as_bytes()).await);
            kept.push(stream);
        }
    });
    let bench = Bench::prepare("", None).await;
    let more = format!(
        "  stalls: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: k }}\nmodels:\n  x: {{ targets: [stalls/gpt-4o-mini], retry: {{ attempts: 1 }}, timeouts: {{ first_token: 300ms }} }}\n"
    );
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    let mut bench = bench;
    bench.weir.run().await;
    let answer = bench.chat("x", "hello", false).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_only_the_connect_timeout_counts() {
    // Takes connections, and never answers in TLS: no connection is made.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let with = |connect: &str| {
        format!(
            "providers:\n  mute: {{ kind: openai, base_url: \"https://127.0.0.1:{port}/v1\", api_key: k }}\nmodels:\n  x: {{ targets: [mute/gpt-4o-mini], retry: {{ attempts: 1 }}, timeouts: {{ connect: {connect} }} }}\n"
        )
    };
    let mut bench = Bench::prepare("", None).await;
    bench.weir.configure(&with("300ms"));
    bench.weir.run().await;
    let took = async |bench: &Bench, expected: u64| {
        let began = Instant::now();
        let answer = bench.chat("x", "hello", false).await;
        let took = began.elapsed();
        assert_eq!(answer.status, 504);
        assert_eq!(answer.json()["error"]["weir"]["timeout"], "connect", "{}", answer.text());
        assert_eq!(answer.json()["error"]["weir"]["attempts"][0]["result"], "upstream_error");
        let expected = Duration::from_millis(expected);
        assert!(
            took >= expected && took < expected + Duration::from_millis(400),
            "{took:?}, not {expected:?}"
        );
    };
    took(&bench, 300).await;
    bench.weir.configure(&with("900ms"));
    until("the file is read again", Duration::from_secs(10), async || {
        bench.metric("weir_config_reloads_total", &["ok"]).await == 1.0
    })
    .await;
    took(&bench, 900).await;
}
