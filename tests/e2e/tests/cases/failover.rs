//! The failover table: three targets, the first two fail in each way that there is, and the client sees one coherent
//! answer of the third, in one request, after no more time than the deadline says, whatever dialect it speaks.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use weir_e2e::{Answer, Bench, Front, compat, free_port, root};
use weir_sim::{Sim, SimConfig, Tls};

/// How long each wait of the table may take.
const DEADLINE: Duration = Duration::from_millis(250);

/// A way to fail: the provider that is asked, the simulator's words, and how many deadlines it takes for two targets.
struct Way {
    name: &'static str,
    provider: &'static str,
    words: &'static str,
    waits: u32,
    streamed: bool,
    whole: bool,
}

const fn way(name: &'static str, words: &'static str) -> Way {
    Way { name, provider: "a", words, waits: 0, streamed: true, whole: true }
}

const fn waits(name: &'static str, words: &'static str) -> Way {
    Way { waits: 2, ..way(name, words) }
}

const fn at(provider: &'static str, name: &'static str) -> Way {
    Way { provider, ..way(name, "") }
}

const fn only_streamed(way: Way) -> Way {
    Way { whole: false, ..way }
}

const fn ways() -> [Way; 28] {
    [
        at("refusing", "connect refused"),
        at("no-name", "DNS failure"),
        at("untrusted", "TLS error"),
        at("resetting", "reset after the request"),
        way("401", "status=401"),
        way("402", "status=402"),
        way("403", "status=403"),
        way("404", "status=404"),
        way("408", "status=408"),
        way("429 without headers", "status=429"),
        way("429 with retry-after", "status=429+header=retry-after:30"),
        way("500", "status=500"),
        way("502", "status=502"),
        way("503", "status=503"),
        way("504", "status=504"),
        way("529", "status=529"),
        waits("stall before headers", "silent"),
        waits("stall after headers", "stall_at=0"),
        only_streamed(waits("stall after role", "stall_at=1")),
        only_streamed(waits("pings only", "ping_only")),
        only_streamed(way("error event", "error_event_at=0")),
        only_streamed(way("role, then nothing", "role_only+no_done")),
        way("a page of HTML", "html"),
        way("garbage", "wrong_encoding"),
        way("empty", "empty"),
        only_streamed(way("early end", "end_at=0")),
        only_streamed(way("early end after role", "close_at=1")),
        Way { streamed: false, ..way("half of an answer", "truncate") },
    ]
}

/// The text of an answer that is whole and proper.
fn text(front: Front, stream: bool, answer: &Answer) -> String {
    if stream {
        assert!(front.finished(answer) && front.errors(answer).is_empty(), "{}", answer.text());
        assert_eq!(front.beginnings(answer), 1, "one beginning: {}", answer.text());
    }
    front.text(answer, stream)
}

async fn resetting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.set_zero_linger());
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn two_targets_fail_in_every_way_and_the_third_answers() {
    let pem = |name: &str| std::fs::read(root().join("tests/e2e/tls").join(name)).unwrap();
    let tls = Tls { cert_pem: pem("cert.pem"), key_pem: pem("key.pem") };
    let secure = Sim::start(SimConfig { tls: Some(tls), ..SimConfig::default() }).await.unwrap();
    let mut bench = Bench::prepare("", None).await;
    let sim = bench.sim.url();
    // Chat completions only: each dialect is translated.
    let provider = |name: &str, url: &str| compat(name, url) + &compat(&format!("{name}2"), url);
    let mut config = "providers:\n".to_owned();
    config += &provider("a", &sim);
    config += &provider("refusing", &format!("http://127.0.0.1:{}", free_port()));
    config += &provider("no-name", "http://no-such-host.invalid");
    config += &provider("untrusted", &secure.url());
    config += &provider("resetting", &format!("http://127.0.0.1:{}", resetting().await));
    config += &format!("  claude: {{ kind: anthropic, base_url: \"{sim}\", api_key: k }}\nmodels:\n");
    // The second target speaks another dialect where it can fail in the same way.
    for provider in ["a", "refusing", "no-name", "untrusted", "resetting"] {
        config += &format!(
            "  via-{provider}: {{ targets: [{provider}/gpt-4o, {provider}2/gpt-4o-mini, claude/claude-haiku-4-5], fallback_on: [error, timeout, rate_limit, auth, not_found, context_length], breaker: off, timeouts: {{ connect: 2s, first_byte: 250ms, first_token: 250ms }} }}\n"
        );
    }
    bench.weir.configure(&config);
    bench.weir.run().await;
    let (mut cells, mut slowest) = (0, Duration::ZERO);
    for way in ways() {
        for front in Front::ALL {
            for stream in [false, true] {
                if stream && !way.streamed || !stream && !way.whole {
                    continue;
                }
                let cell = format!("{} {front:?} stream={stream}", way.name);
                bench.script(&[("gpt-4o", way.words), ("gpt-4o-mini", way.words)]);
                let model = format!("via-{}", way.provider);
                let body = front.body(&model, "tell me of the sea", stream, 50);
                let began = Instant::now();
                let answer = bench.post(&front.path(&model, stream), &body).await;
                let took = began.elapsed();
                assert_eq!(answer.status, 200, "{cell}: {}", answer.text());
                assert!(!text(front, stream, &answer).is_empty(), "{cell}: {}", answer.text());
                let served = (answer.header("x-weir-provider"), answer.header("x-weir-attempts"));
                assert_eq!(served, ("claude", "3"), "{cell}");
                let stated = DEADLINE * way.waits;
                let lost = took.saturating_sub(stated);
                assert!(
                    took >= stated && lost < Duration::from_millis(400),
                    "{cell}: {took:?} of {stated:?}"
                );
                slowest = slowest.max(lost);
                cells += 1;
            }
        }
    }
    println!("{cells} cells; the most time beyond the deadlines: {slowest:?}");
    let (calls, attempts) = bench.rows_of(cells).await;
    assert_eq!(attempts.len(), 3 * cells);
    assert!(calls.iter().all(|call| call.end == "complete" && call.attempts == 3));
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_word_nothing_is_tried_again_and_retries_come_last() {
    let more = "models:\n  two: { targets: [openai/gpt-4o, openai/gpt-4o-mini], breaker: off, retry: { attempts: 2, base: 1ms }, timeouts: { idle: 300ms } }\n";
    let bench = Bench::start(more).await;
    for (words, code) in [
        ("stall_at=4", "upstream_timeout"),
        ("reset_at=4", "upstream_truncated"),
        ("gap=20ms+error_event_at=4", ""),
    ] {
        bench.script(&[("gpt-4o", words)]);
        let answer = bench.chat("two", "hello [[sim:len=20]]", true).await;
        assert_eq!((answer.header("x-weir-attempts"), answer.finished()), ("1", false), "{words}");
        let last = answer.chunks().pop().unwrap();
        assert!(last["error"]["code"].as_str().unwrap_or_default().contains(code), "{words}: {last}");
        if words == "stall_at=4" {
            assert_eq!(last["error"]["weir"]["timeout"], "idle");
        }
    }
    // Each target once, and only then the first again.
    bench.script(&[("gpt-4o", "status=500"), ("gpt-4o-mini", "status=500")]);
    let answer = bench.chat("two", "hello", false).await;
    assert_eq!((answer.status, answer.header("x-weir-attempts")), (500, "4"));
    let tried: Vec<String> = answer.json()["error"]["weir"]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tried| tried["model"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tried, ["gpt-4o", "gpt-4o-mini", "gpt-4o", "gpt-4o-mini"]);
    // What the client asked for too loudly helps nowhere, and counts against nobody.
    bench.script(&[("gpt-4o", "status=400")]);
    assert_eq!(bench.chat("two", "hello", false).await.header("x-weir-attempts"), "1");
    bench.audit(&[]).await;
}

/// W-056: the deadline holds over all attempts; the caller's own is the shorter one.
#[tokio::test(flavor = "multi_thread")]
async fn w056_one_deadline_over_all_attempts() {
    let more = "models:\n  three: { targets: [openai/gpt-4o, openai/gpt-4o-mini, openai/o3-mini], breaker: off, timeouts: { first_byte: 400ms, total: 1s } }\n";
    let bench = Bench::start(more).await;
    bench.script(&[("gpt-4o", "silent"), ("gpt-4o-mini", "silent"), ("o3-mini", "silent")]);
    for (headers, expected) in [(&[][..], 1000), (&[("x-weir-timeout", "600ms")][..], 600)] {
        for stream in [false, true] {
            let began = Instant::now();
            let answer = bench
                .post_with("/v1/chat/completions", &Front::Chat.body("three", "hello", stream, 50), headers)
                .await;
            let (took, expected) = (began.elapsed(), Duration::from_millis(expected));
            assert_eq!((answer.status, &answer.json()["error"]["weir"]["timeout"]), (504, &json!("total")));
            assert!(took >= expected && took < expected + Duration::from_millis(150), "{took:?}");
        }
    }
    bench.audit(&[]).await;
}
