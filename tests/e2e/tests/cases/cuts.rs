//! W-040, W-044 and X6: streams that break after any number of events, encodings that can't be read, and faults now and
//! then at each of three providers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_e2e::{Answer, Bench, COMPAT_PRICES, Front, scale};

const TWO: &str = "models:\n  two: { targets: [compat/gpt-4o, anthropic/claude-haiku-4-5], breaker: off }\n  first: { targets: [compat/gpt-4o] }\n  second: { targets: [anthropic/claude-haiku-4-5] }\n";

async fn ask(bench: &Bench, front: Front, model: &str, text: &str, stream: bool) -> Answer {
    bench.post(&front.path(model, stream), &front.body(model, text, stream, 60)).await
}

/// W-040: reset after N events. Before any content reached the client another target answers; afterwards what came is
/// followed by one error, and never by any of it again.
#[tokio::test(flavor = "multi_thread")]
async fn w040_a_stream_that_is_reset_anywhere_is_moved_or_told_and_never_repeated() {
    let bench = Bench::translating(&format!("{TWO}{COMPAT_PRICES}")).await;
    let text = |cut: usize, front: Front| format!("cut-{cut}. {front:?} [[sim:len=30]]");
    let mut whole = HashMap::new();
    for front in Front::ALL {
        for cut in 0..=20 {
            for model in ["first", "second"] {
                let answer = ask(&bench, front, model, &text(cut, front), true).await;
                assert!(front.finished(&answer), "{}", answer.text());
                whole.insert((cut, format!("{front:?}"), model), front.text(&answer, true));
            }
        }
    }
    let rule = |cut: usize| json!({"match": {"model": "gpt-4o", "contains": format!("cut-{cut}.")}, "then": format!("reset_at={cut}")});
    bench.rules(&(0..=20).map(rule).collect());
    let runs: usize = 1000;
    let one = async |run: usize| {
        let (cut, front) = (run % 21, Front::ALL[run / 21 % 4]);
        let answer = ask(&bench, front, "two", &text(cut, front), true).await;
        let said = front.text(&answer, true);
        let of = |model| &whole[&(cut, format!("{front:?}"), model)];
        let told = front.errors(&answer).len();
        let place = format!("cut at {cut}, {front:?}: {}", answer.text());
        if front.finished(&answer) && told == 0 {
            assert_eq!((answer.header("x-weir-attempts"), &said), ("2", of("second")), "{place}");
            assert_eq!(front.beginnings(&answer), 1, "{place}");
            return (cut, true);
        }
        assert_eq!((answer.status, told, answer.header("x-weir-attempts")), (200, 1, "1"), "{place}");
        assert!(!said.is_empty() && of("first").starts_with(&said) && said != *of("first"), "{place}");
        let last = answer.chunks().pop().unwrap();
        assert_eq!(front.errors(&answer)[0], last, "nothing follows: {place}");
        (cut, false)
    };
    let seen: Vec<_> = futures_util::stream::iter(0..runs).map(one).buffer_unordered(25).collect().await;
    let moved = |from: usize, to: usize| {
        let of: Vec<_> = seen.iter().filter(|(cut, _)| (from..=to).contains(cut)).collect();
        (of.iter().filter(|(_, moved)| *moved).count(), of.len())
    };
    // Event 0 names the role only. Later a reset may still overtake the events before it.
    assert_eq!(moved(0, 1).0, moved(0, 1).1, "{seen:?}");
    let (late, all) = moved(4, 20);
    assert!(late * 5 < all, "{late} of {all} that had said something were asked again");
    println!("{runs} runs: {:?} moved before content, {:?} after it", moved(0, 1), moved(2, 20));
    bench.audit(&[]).await;
}

/// A provider that answers each request with these bytes and this encoding, the second part after a pause.
async fn provider(encoding: &'static str, kind: &'static str, parts: [Vec<u8>; 2], pause: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let parts = parts.clone();
            tokio::spawn(async move {
                drop(stream.read(&mut vec![0; 64 << 10]).await);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {encoding}\r\ntransfer-encoding: chunked\r\n\r\n"
                );
                drop(stream.write_all(head.as_bytes()).await);
                for part in parts.iter().filter(|part| !part.is_empty()) {
                    let mut chunk = format!("{:x}\r\n", part.len()).into_bytes();
                    chunk.extend_from_slice(part);
                    chunk.extend_from_slice(b"\r\n");
                    drop(stream.write_all(&chunk).await);
                    tokio::time::sleep(pause).await;
                }
                drop(stream.write_all(b"0\r\n\r\n").await);
            });
        }
    });
    port
}

/// W-044: no encoding is asked for; what is encoded all the same is a bad answer at once, or moved to another target,
/// and plain events pass as they come.
#[tokio::test(flavor = "multi_thread")]
async fn w044_an_encoded_answer_is_refused_at_once_and_plain_ones_are_not_held_back() {
    let whole = br#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"plain"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let chunk = |text: &str| {
        format!("data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n").into_bytes()
    };
    let zeros = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 4, 0];
    let mut config = String::new();
    let cases = [
        ("gzip", zeros.clone()),
        ("br", vec![0x0b, 2, 0x80, b'a', b'b', b'c', 3]),
        ("deflate", vec![0x78, 0x9c, 0x4b, 0x4c, 4, 0]),
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 4, 0]),
        ("gzip, br", zeros),
    ];
    for (number, (encoding, bytes)) in cases.iter().enumerate() {
        for (form, kind) in [("whole", "application/json"), ("stream", "text/event-stream")] {
            let parts = [bytes.clone(), Vec::new()];
            let port = provider(encoding, kind, parts, Duration::from_millis(10)).await;
            config += &format!(
                "  p{number}{form}: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: k }}\n"
            );
        }
    }
    let plain = [chunk("one"), [&chunk("two")[..], b"data: [DONE]\n\n"].concat()];
    let pause = Duration::from_millis(400);
    let port = provider("identity", "text/event-stream", plain, pause).await;
    config += &format!("  plain: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: k }}\n");
    let port = provider("identity", "application/json", [whole.to_vec(), Vec::new()], Duration::ZERO).await;
    config += &format!(
        "  identity: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: k }}\nmodels:\n"
    );
    for number in 0..cases.len() {
        for form in ["whole", "stream"] {
            config += &format!(
                "  m{number}{form}: {{ targets: [p{number}{form}/gpt-4o, anthropic/claude-haiku-4-5], breaker: off }}\n  s{number}{form}: {{ targets: [p{number}{form}/gpt-4o], retry: {{ attempts: 1 }} }}\n"
            );
        }
    }
    let mut bench = Bench::prepare("", None).await;
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &config));
    bench.weir.run().await;
    for (number, (encoding, _)) in cases.iter().enumerate() {
        for (form, stream) in [("whole", false), ("stream", true)] {
            let began = Instant::now();
            let alone = ask(&bench, Front::Chat, &format!("s{number}{form}"), "hello", stream).await;
            assert_eq!(alone.status, 502, "{encoding} {form}: {}", alone.text());
            let moved = ask(&bench, Front::Chat, &format!("m{number}{form}"), "hello", stream).await;
            assert_eq!(
                (moved.status, moved.header("x-weir-provider")),
                (200, "anthropic"),
                "{encoding} {form}"
            );
            assert!(began.elapsed() < Duration::from_secs(5), "{encoding} {form}: {:?}", began.elapsed());
        }
    }
    assert_eq!(ask(&bench, Front::Chat, "identity/gpt-4o", "hello", false).await.status, 200);
    // The first event is there while the second is still to come.
    let began = Instant::now();
    let body = Front::Chat.body("plain/gpt-4o", "hello", true, 60);
    let mut response = bench.open("/v1/chat/completions", &body, &[]).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("one") {
        read.extend_from_slice(&response.chunk().await.unwrap().unwrap());
    }
    assert!(began.elapsed() < pause - Duration::from_millis(50), "{:?}", began.elapsed());
}

/// The ways in which a call may fail now and then, before its first word or as a whole. Not 429 and 529: they ask to be left
/// alone for a while, and that is done.
const NOW_AND_THEN: [&str; 8] = [
    "status=500",
    "status=502",
    "status=503+delay=5ms",
    "reset",
    "empty",
    "html",
    "garble+end_at=0",
    "error_event_at=0+truncate",
];

/// X6: each of three providers fails one call of twenty, at random; hardly any client notices.
#[tokio::test(flavor = "multi_thread")]
async fn x6_with_faults_at_each_of_three_providers_hardly_a_call_fails() {
    let more =
        "models:\n  any: { targets: [compat/gpt-4o, anthropic/claude-haiku-4-5, gemini/gemini-2.5-flash] }\n";
    let bench = Bench::translating(&format!("{more}{COMPAT_PRICES}")).await;
    let (seed, calls) = (rand::random::<u64>(), scale(3000, 60_000_usize));
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rule = |model: &str, random: &mut StdRng| {
        let words = |random: &mut StdRng| match random.random_bool(0.05) {
            true => NOW_AND_THEN[random.random_range(0..NOW_AND_THEN.len())],
            false => "",
        };
        let sequence: Vec<&str> = (0..5003).map(|_| words(random)).collect();
        json!({"match": {"model": model}, "sequence": sequence, "repeat": true})
    };
    let models = ["gpt-4o", "claude-haiku-4-5", "gemini-2.5-flash"];
    let rules: Vec<Value> = models.iter().map(|model| rule(model, &mut random)).collect();
    bench.rules(&json!(rules));
    let one = async |call: usize| {
        let (front, stream) = (Front::ALL[call % 4], call / 4 % 2 == 1);
        let answer = ask(&bench, front, "any", &format!("call {call}"), stream).await;
        let good = answer.status == 200
            && (!stream || front.finished(&answer) && front.errors(&answer).is_empty())
            && !front.text(&answer, stream).is_empty();
        (good, answer.header("x-weir-attempts").parse().unwrap_or(0), answer.status)
    };
    let seen: Vec<(bool, u32, u16)> =
        futures_util::stream::iter(0..calls).map(one).buffer_unordered(16).collect().await;
    let failed: Vec<_> = seen.iter().filter(|(good, ..)| !good).collect();
    let moved = seen.iter().filter(|(_, attempts, _)| *attempts > 1).count();
    println!("{calls} calls, {moved} needed another attempt, {} failed: {failed:?}", failed.len());
    assert!(moved * 40 > calls, "{moved} of {calls}: there were hardly any faults");
    assert!(failed.len() * 100 < calls, "{} of {calls} failed", failed.len());
    bench.audit(&[]).await;
}
