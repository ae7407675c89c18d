//! `/passthrough/{provider}/…`: the provider's own API, authenticated and metered, and no way out of it (W-087, W-088).

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_e2e::{Answer, Bench, PROVIDER_KEY, Weir, client};

const KEYS: &str = "keys: [{ name: all, key: the-clients-own }, { name: few, key: f, models: [openai/gpt-4o-mini] }, { name: poor, key: p, budgets: [{ limit: 0.5, period: total }] }]\n";
const OWN: (&str, &str) = ("authorization", "Bearer the-clients-own");

async fn get(bench: &Bench, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client().get(format!("{}{path}", bench.weir.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_own_api_is_reached_with_its_own_key() {
    let bench = Bench::start(KEYS).await;
    let secrets = [
        OWN,
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-weir-tags", "t"),
        ("openai-beta", "x=1"),
        ("x-evil", "1"),
    ];
    let list = get(&bench, "/passthrough/openai/models?limit=3&api_key=the-clients-own", &secrets).await;
    assert_eq!((list.status, &list.json()["object"]), (200, &json!("list")), "{}", list.text());
    let sent = bench.sim.state.captured().pop().unwrap();
    assert_eq!(sent.path, "/v1/models?limit=3");
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in &names {
        let own = [
            "host",
            "accept",
            "authorization",
            "openai-beta",
            "x-weir-attempt-id",
            "x-weir-hop",
            "content-length",
        ];
        assert!(own.contains(name), "{name} has no business there: {names:?}");
    }
    let text = format!("{:?}", sent.headers);
    let own = format!("Bearer {PROVIDER_KEY}");
    assert!(text.contains(&own) && !text.contains("the-clients-own"), "{text}");
    let none = get(&bench, "/passthrough/openai/models", &[]).await;
    assert_eq!(none.status, 401);
    let unknown = get(&bench, "/passthrough/nobody/models", &[OWN]).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("not_found")),
        "{}",
        unknown.text()
    );
    let forbidden = get(&bench, "/passthrough/openai/models", &[("authorization", "Bearer f")]).await;
    assert_eq!((forbidden.status, &forbidden.json()["error"]["code"]), (403, &json!("model_not_allowed")));
    let (rows, _) = bench.rows_of(2).await;
    assert!(rows.iter().any(|row| row.operation == "passthrough" && row.cost_nanousd == Some(0)), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_dialect_says_of_usage_is_read() {
    let bench = Bench::start(KEYS).await;
    let message = json!([{"role": "user", "content": "hello there"}]);
    let chat = json!({"model": "gpt-4o-mini", "messages": message});
    let claude = json!({"model": "claude-haiku-4-5", "max_tokens": 50, "messages": message, "stream": true});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]});
    let calls = [
        ("/passthrough/openai/chat/completions", &chat),
        ("/passthrough/openai/embeddings", &json!({"model": "text-embedding-3-small", "input": "a b c"})),
        ("/passthrough/anthropic/v1/messages", &claude),
        ("/passthrough/gemini/v1beta/models/gemini-2.5-flash:generateContent", &gemini),
        ("/passthrough/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", &gemini),
    ];
    for (path, body) in calls {
        let answer = bench.post_with(path, body, &[OWN]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(!answer.text().contains("\"cost\""), "{path}: it comes as it is");
    }
    for sent in bench.sim.state.captured() {
        let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
        assert!(
            [&chat, &claude, &gemini].contains(&&body) || body["input"] == "a b c",
            "{body} is not what was sent"
        );
    }
    let report = bench.audit(&[]).await;
    assert!(report.found.is_empty());
    let (rows, attempts) = bench.rows_of(calls.len()).await;
    assert!(rows.iter().all(|row| row.cost_nanousd > Some(0) && row.usage_source == "reported"), "{rows:?}");
    assert!(attempts.iter().all(|attempt| attempt.state == "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_as_they_are_and_unknown_calls_have_no_cost() {
    let bench = Bench::start(KEYS).await;
    let wrong = bench
        .post_with(
            "/passthrough/anthropic/v1/messages",
            &json!({"model": "claude-haiku-4-5", "messages": []}),
            &[OWN],
        )
        .await;
    assert_eq!((wrong.status, &wrong.json()["type"]), (400, &json!("error")), "{}", wrong.text());
    let nothing = bench
        .post_with("/passthrough/openai/fine_tuning/jobs", &json!({"model": "gpt-4o-mini"}), &[OWN])
        .await;
    assert_eq!((nothing.status, nothing.header("x-weir-cost")), (404, "0"), "{}", nothing.text());
    // Nobody knows what it may cost, so a hard budget does not pay for it.
    let poor = [("authorization", "Bearer p")];
    let refused = bench
        .post_with("/passthrough/openai/fine_tuning/jobs", &json!({"model": "gpt-4o-mini"}), &poor)
        .await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!("unbounded_cost")),
        "{}",
        refused.text()
    );
    assert_eq!(
        get(&bench, "/passthrough/openai/models", &poor).await.status,
        200,
        "looking something up is free"
    );
    let chat =
        json!({"model": "gpt-4o-mini", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(bench.post_with("/passthrough/openai/chat/completions", &chat, &poor).await.status, 200);
    let down = json!({"model": "gpt-4o-mini+status=503", "messages": [{"role": "user", "content": "hi"}]});
    let down = bench.post_with("/passthrough/openai/chat/completions", &down, &[OWN]).await;
    assert_eq!(
        (down.status, &down.json()["error"]["type"]),
        (503, &json!("server_error")),
        "the provider's own words"
    );
}

/// Answers whatever comes with `{}`, and keeps the first line of each request.
async fn recorder() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, lines) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let kept = lines.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                let mut piece = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    read.extend_from_slice(&piece[..count]);
                    while let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
                        let head = String::from_utf8_lossy(&read[..end]).into_owned();
                        kept.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                        read.drain(..end + 4);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (port, lines)
}

/// Sends a request line as it is, and gives the status.
async fn raw(stream: &mut TcpStream, target: &str) -> Option<u16> {
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let (mut read, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        match stream.read(&mut piece).await {
            Ok(count @ 1..) => read.extend_from_slice(&piece[..count]),
            _ => return None,
        }
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        let whole = match length {
            Some(length) => body.len() >= length,
            None => body.ends_with("0\r\n\r\n"),
        };
        if whole {
            return head.split_whitespace().nth(1)?.parse().ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w087_no_path_leaves_the_base_url() {
    let (port, lines) = recorder().await;
    let config = format!(
        "providers:\n  lab: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:{port}/inside/v1\", api_key: k }}\n"
    );
    let weir = Weir::start(&config).await;
    let parts = [
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        "%252e%252e",
        "\\",
        "..\\",
        "%5c",
        "%2f",
        "%252f",
        "//",
        "//evil.test",
        "@evil.test",
        "@",
        "#",
        "%23",
        "?",
        "%3f",
        "%0d%0aX:1",
        "%00",
        "..;",
        "..%00",
        ";a=b",
        "a",
        "models:x",
        "%c0%ae",
        "..%c0%af",
        "http://evil.test",
        ":80",
        "%09",
        "...",
        "%61",
        "\t",
        "\r",
        "%u002e",
    ];
    let mut stream = TcpStream::connect(&weir.address).await.unwrap();
    let (mut sent, mut passed) = (0, 0);
    for one in parts {
        for two in parts {
            for target in [format!("/passthrough/lab/{one}/{two}"), format!("/passthrough/lab{one}{two}")] {
                sent += 1;
                let status = match raw(&mut stream, &target).await {
                    Some(status) => status,
                    None => {
                        // What is no HTTP ends the connection.
                        stream = TcpStream::connect(&weir.address).await.unwrap();
                        continue;
                    }
                };
                passed += u32::from(status == 200);
                assert!([200, 400, 404].contains(&status), "{target}: {status}");
            }
        }
    }
    assert!(sent >= 2_000 && passed > 0, "{sent} sent, {passed} passed");
    let mut lines = lines.lock().unwrap().clone();
    // Weir itself asks for the models, aside; no path above is that one.
    lines.retain(|line| line != "GET /inside/v1/models HTTP/1.1");
    assert_eq!(lines.len(), passed as usize, "{lines:?}");
    for line in lines {
        let path = line.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
        assert!(path.starts_with("/inside/v1/"), "{line}");
        let plain = path.to_ascii_lowercase();
        for bad in ["..", "//", "\\", "%2e", "%2f", "%5c", "%25", "@", "evil"] {
            // Three dots and more are a name as any other only behind letters; at a segment's beginning they are refused.
            assert!(!plain.contains(bad), "{line} holds {bad}");
        }
    }
}
