//! Hostile clients: W-081, W-083, W-085, W-086, W-088 to W-091, in their short form.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir_e2e::{Bench, figure, scale};

pub const MODEL: &str = "openai/gpt-4o-mini";

pub fn chat(model: &str) -> serde_json::Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// Sends bytes and returns all that comes back until the other side closes, or `patience` is over.
pub async fn raw(address: &str, bytes: &[u8], patience: Duration) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..count]);
        }
    };
    let closed = tokio::time::timeout(patience, read).await.is_ok();
    (String::from_utf8_lossy(&answer).into_owned(), closed)
}

/// A listener that nobody may connect to, and how many did.
async fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    (address, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn w081_w083_who_sends_wrong_keys_is_told_to_stop_and_can_not_dodge() {
    let more = "server: { master_key: m, wrong_keys_per_minute: 5, trusted_proxies: [\"127.0.0.1\"] }\nkeys: [{ name: ci, key: k }]\n";
    let bench = Bench::start(more).await;
    let ask = async |key: &str, from: &str| {
        let headers = [("authorization", format!("Bearer {key}")), ("x-forwarded-for", from.to_owned())];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        bench.post_with("/v1/chat/completions", &chat(MODEL), &headers).await
    };
    for number in 0..5 {
        assert_eq!(ask(&format!("wrong-{number}"), "203.0.113.9").await.status, 401);
    }
    for number in 0..20 {
        // What the client itself writes into the header changes nothing.
        let answer = ask(&format!("wrong-{number}"), &format!("10.9.8.{number}, 203.0.113.9")).await;
        assert_eq!(answer.status, 429);
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait));
        assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
    }
    // Others are not touched, and a valid key is served from there, too.
    assert_eq!(ask("wrong", "203.0.113.10").await.status, 401);
    assert_eq!(ask("k", "203.0.113.9").await.status, 200);
    assert_eq!(bench.metric("weir_rate_limited_total", &["address_wrong_keys_per_minute"]).await, 20.0);
    // In the dialect of the route.
    let headers = [("x-api-key", "wrong"), ("x-forwarded-for", "203.0.113.9")];
    let anthropic = bench.post_with("/v1/messages", &chat(MODEL), &headers).await;
    assert_eq!((anthropic.status, &anthropic.json()["type"]), (429, &json!("error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn w081_a_flood_of_wrong_keys_asks_no_database_and_leaves_valid_calls_alone() {
    let bench = Bench::start("server: { master_key: m }\nkeys: [{ name: ci, key: k }]\n").await;
    // The store is away: what needed it would fail or wait.
    std::fs::remove_file(bench.weir.folder().join("weir.db")).unwrap();
    let url = format!("{}/v1/chat/completions", bench.weir.url);
    // How long all but one of a hundred valid calls take at most.
    let valid = async || {
        let mut times = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            let key = [("authorization", "Bearer k")];
            assert_eq!(bench.post_with("/v1/chat/completions", &chat(MODEL), &key).await.status, 200);
            times.push(began.elapsed());
        }
        times.sort();
        times[98]
    };
    // Made before anything is measured: each reads the system's certificates.
    let clients = [(); 8].map(|()| reqwest::Client::builder().no_proxy().build().unwrap());
    let before = valid().await;
    let began = Instant::now();
    let mut tasks = Vec::new();
    let each = scale(250, 10_000);
    for (task, client) in clients.into_iter().enumerate() {
        let url = url.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..each {
                let request = client.post(&url).bearer_auth(format!("wrong-{task}-{number}")).body("{}");
                let status = request.send().await.unwrap().status().as_u16();
                assert!([401, 429].contains(&status), "{status}");
            }
        }));
    }
    let beside = valid().await;
    for task in tasks {
        task.await.unwrap();
    }
    let rate = 8.0 * f64::from(each) / began.elapsed().as_secs_f64();
    figure(format_args!(
        "{rate:.0} wrong keys a second; valid calls' p99 {before:?} before, {beside:?} beside"
    ));
    // The flood's own work is on the same machine, and in the short form other tests are.
    assert!(
        beside < before * 2 + Duration::from_millis(scale(500, 5)),
        "{before:?} before, {beside:?} beside"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w085_w086_clients_choose_no_destination() {
    let (bench, (address, seen)) = (Bench::start("").await, trap().await);
    let port = address.rsplit(':').next().unwrap();
    for field in ["api_base", "base_url", "api_url", "endpoint", "host", "proxy", "custom_host"] {
        let mut body = chat(MODEL);
        body[field] = json!(format!("http://{address}/v1"));
        drop(bench.post("/v1/chat/completions", &body).await);
    }
    for header in
        ["x-portkey-custom-host", "x-base-url", "x-forwarded-host", "x-original-url", "x-upstream-url"]
    {
        let value = format!("http://{address}/v1");
        let answer = bench.post_with("/v1/chat/completions", &chat(MODEL), &[(header, &value)]).await;
        assert_eq!(answer.status, 200, "{header}");
    }
    let models = [
        format!("http://{address}/v1"),
        format!("{address}/gpt-4o"),
        format!("openai@{address}/gpt-4o"),
        format!("//{address}/x"),
        "../../x".to_owned(),
    ];
    for model in models {
        assert_eq!(bench.chat(&model, "hi", false).await.status, 404, "{model}");
    }
    // Names with the look of a path, before a provider that puts the name into its own.
    for model in ["../../evil", "%2e%2e/x", "a?b=c", "a#b", "a\\b", "@127.0.0.1/x"] {
        drop(bench.chat(&format!("gemini/{model}"), "hi", false).await);
    }
    // weir fetches no picture: it passes addresses on, or refuses them.
    let hosts = [
        address.clone(),
        format!("localhost:{port}"),
        format!("0:{port}"),
        format!("0.0.0.0:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f000001:{port}"),
        format!("0177.0.0.1:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[64:ff9b::7f00:1]:{port}"),
        format!("user:pass@{address}"),
        format!("example.com\\@{address}"),
        format!("[::]:{port}"),
        format!("[0:0:0:0:0:ffff:7f00:1]:{port}"),
        format!("127.0.0.1.:{port}"),
        format!("0x7f.0.0.1:{port}"),
        format!("017700000001:{port}"),
        format!("①②⑦.⓪.⓪.①:{port}"),
        format!("[fe80::1%25lo]:{port}"),
        "169.254.169.254".to_owned(),
        "metadata.google.internal".to_owned(),
    ];
    for model in [MODEL, "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"] {
        for host in &hosts {
            for scheme in ["http", "https", "file", "gopher", "HTTP"] {
                let picture =
                    json!({"type": "image_url", "image_url": {"url": format!("{scheme}://{host}/a.png")}});
                let body = json!({"model": model, "messages": [{"role": "user", "content": [picture]}]});
                drop(bench.post("/v1/chat/completions", &body).await);
            }
        }
    }
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    for request in bench.sim.state.captured() {
        assert!(
            request.path.starts_with("/v1/") || request.path.starts_with("/v1beta/models/"),
            "{}",
            request.path
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w088_only_headers_of_the_list_travel_either_way() {
    let bench = Bench::start("keys: [{ name: ci, key: canary-key-0000 }]\n").await;
    let hostile = [
        ("authorization", "Bearer canary-key-0000"),
        ("x-api-key", "canary-1"),
        ("cookie", "session=canary-2"),
        ("connection", "keep-alive, x-smuggled"),
        ("x-smuggled", "canary-3"),
        ("proxy-authorization", "Basic canary-4"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-host", "canary-5"),
        ("forwarded", "for=canary-6"),
        ("via", "1.1 canary-7"),
        ("x-real-ip", "203.0.113.9"),
        ("te", "trailers"),
        // Not secrets: they are recorded.
        ("x-weir-user", "canary_8"),
        ("x-weir-tags", "canary_9"),
        ("x-internal-secret", "canary-10"),
        ("openai-organization", "canary-11"),
        ("anthropic-version", "canary-12"),
        ("x-amzn-trace-id", "canary-13"),
    ];
    for (model, stream) in [
        (MODEL, false),
        (MODEL, true),
        ("anthropic/claude-haiku-4-5", false),
        ("gemini/gemini-2.5-flash", true),
    ] {
        let mut body = chat(model);
        body["stream"] = json!(stream);
        let answer = bench.post_with("/v1/chat/completions", &body, &hostile).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for name in answer.headers.keys() {
            let name = name.as_str();
            let ours = name.starts_with("x-weir-")
                || [
                    "content-type",
                    "content-length",
                    "x-request-id",
                    "date",
                    "cache-control",
                    "x-accel-buffering",
                    "transfer-encoding",
                    "vary",
                ]
                .contains(&name);
            assert!(ours, "{name} of the provider reached the client: {:?}", answer.headers);
        }
    }
    let captured = bench.sim.state.captured();
    assert_eq!(captured.len(), 4);
    for request in captured {
        for (name, value) in &request.headers {
            let others = value.replace(weir_e2e::PROVIDER_KEY, "");
            assert!(!others.contains("canary") && !others.contains("203.0.113"), "{name}: {value}");
            let listed = [
                "host",
                "content-type",
                "content-length",
                "authorization",
                "x-api-key",
                "x-goog-api-key",
                "anthropic-version",
                "accept",
                "accept-encoding",
                "user-agent",
                "x-weir-attempt-id",
                "x-weir-hop",
            ];
            assert!(listed.contains(&name.as_str()), "{name}: {value}");
        }
        assert!(!request.path.contains("canary") && !request.body.contains("canary-key"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w089_ambiguous_requests_are_refused_and_closed() {
    let bench = Bench::start("").await;
    let body = chat(MODEL).to_string();
    let length = body.len();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let smuggled =
        "0\r\n\r\nPOST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nx=1\r\n";
    let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let cases = [
        (
            "two lengths that differ",
            format!("{head}content-length: {length}\r\ncontent-length: 3\r\n\r\n{body}"),
        ),
        ("a list of lengths", format!("{head}content-length: {length}, 3\r\n\r\n{body}")),
        ("a length with a sign", format!("{head}content-length: +{length}\r\n\r\n{body}")),
        ("a length in hex", format!("{head}content-length: 0x{length:x}\r\n\r\n{body}")),
        ("chunked not last", format!("{head}transfer-encoding: chunked, identity\r\n\r\n{chunk}")),
        ("an encoding that is not chunked", format!("{head}transfer-encoding: xchunked\r\n\r\n{chunk}")),
        ("a space before the colon", format!("{head}transfer-encoding : chunked\r\n\r\n{chunk}")),
        ("a folded line", format!("{head}x-a: b\r\n c\r\ncontent-length: {length}\r\n\r\n{body}")),
        ("a bare CR in a value", format!("{head}x-a: b\rc\r\ncontent-length: {length}\r\n\r\n{body}")),
        ("a NUL in a value", format!("{head}x-a: b\0c\r\ncontent-length: {length}\r\n\r\n{body}")),
        (
            "a chunk size that is none",
            format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n"),
        ),
        (
            "a huge chunk size",
            format!("{head}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        ),
        ("no host's line end", "GET / HTTP/1.1\r\nhost localhost\r\n\r\n".to_owned()),
        ("a version of its own", "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n".to_owned()),
    ];
    for (what, bytes) in cases {
        let (answer, closed) = raw(&bench.weir.address, bytes.as_bytes(), Duration::from_secs(5)).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
        assert!(closed, "{what}: the connection stays open after {answer}");
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{what}: {answer}");
    }
    assert!(bench.sim.state.captured().is_empty(), "{:?}", bench.sim.state.captured());
    // Both a length and chunks: at most one request comes out of it.
    let both =
        format!("{head}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}", smuggled.len());
    let (answer, closed) = raw(&bench.weir.address, both.as_bytes(), Duration::from_secs(5)).await;
    assert!(closed && answer.matches("HTTP/1.1").count() <= 1, "{answer}");
    assert!(bench.sim.state.captured().is_empty());
    // Extensions of chunks are read over.
    let fine = format!(
        "{head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{length:x};a=b\r\n{body}\r\n0\r\n\r\n"
    );
    let (answer, _) = raw(&bench.weir.address, fine.as_bytes(), Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(bench.sim.state.captured().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn w090_slow_heads_and_slow_bodies_are_closed_while_others_are_served() {
    let bench = Bench::start("").await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n";
    let mut slow = Vec::new();
    // In full: 5,000 heads and 1,000 bodies.
    let (all, bodies) = scale((60, 2), (6_000, 6));
    for number in 0..all {
        let (address, body) = (bench.weir.address.clone(), number % bodies == 0);
        slow.push(tokio::spawn(async move {
            let began = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let start = if body { format!("{head}\r\n{{") } else { head.to_owned() };
            stream.write_all(start.as_bytes()).await.unwrap();
            let mut answer = [0; 512];
            loop {
                tokio::select! {
                    read = stream.read(&mut answer) => {
                        let text = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
                        return (began.elapsed(), body, text);
                    }
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
                if stream.write_all(b"x").await.is_err() {
                    return (began.elapsed(), body, String::new());
                }
            }
        }));
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(bench.chat(MODEL, "hi", false).await.status, 200);
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    figure(format_args!("beside {all} slow clients the slowest call took {slowest:?}"));
    assert!(slowest < Duration::from_secs(2));
    for one in slow {
        let (lived, body, answer) = one.await.unwrap();
        assert!(lived > Duration::from_secs(8) && lived < Duration::from_secs(14), "{lived:?} {body}");
        if body && !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
    }
}

/// One call over a connection that is kept; its status line.
async fn call_over(stream: &mut TcpStream) -> String {
    let body = chat(MODEL).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        let length =
            text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if length.zip(body).is_some_and(|(length, body): (usize, usize)| body >= length) {
            return text.lines().next().unwrap_or_default().to_owned();
        }
        assert_ne!(
            stream.read_buf(&mut answer).await.unwrap(),
            0,
            "closed: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_may_rest_for_longer_than_a_first_head_may_take() {
    let bench = Bench::start("").await;
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    assert_eq!(call_over(&mut stream).await, "HTTP/1.1 200 OK");
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    assert_eq!(call_over(&mut stream).await, "HTTP/1.1 200 OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn w091_rapid_resets_end_their_connection_and_no_other() {
    let bench = Bench::start("").await;
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    let frame = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(id.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    };
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // POST, http, /v1/chat/completions, localhost.
    let mut block = vec![0x83, 0x86, 0x04, 20];
    block.extend_from_slice(b"/v1/chat/completions");
    block.extend([0x41, 9]);
    block.extend_from_slice(b"localhost");
    let (mut reader, mut writer) = stream.into_split();
    let storm = tokio::spawn(async move {
        for number in 0..20_000_u32 {
            let id = number * 2 + 1;
            let mut both = frame(1, 0x4, id, &block);
            both.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
            if writer.write_all(&both).await.is_err() {
                return number;
            }
        }
        20_000
    });
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(10), reader.read_to_end(&mut answer)).await);
    let sent = storm.await.unwrap();
    // GOAWAY is frame 7; its error code are the payload's second four bytes.
    let (mut at, mut code) = (0, None);
    while let Some(head) = answer.get(at..at + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == 7 {
            code = answer.get(at + 13..at + 17).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
        }
        at += 9 + length;
    }
    figure(format_args!("closed after {sent} resets with code {code:?}"));
    // ENHANCE_YOUR_CALM.
    assert_eq!(code, Some(11));
    assert!(sent < 20_000);
    assert_eq!(bench.chat(MODEL, "hi", false).await.status, 200);
}
