//! Bodies that mean harm: W-092 to W-094.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use weir_e2e::{Bench, client, figure, processor, scale};

use crate::abuse::{MODEL, chat, raw};

/// The most memory that the process has had, in KiB.
fn peak_kib(bench: &Bench) -> u64 {
    let memory = std::fs::read_to_string(format!("/proc/{}/status", bench.weir.process())).unwrap();
    let line = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn w092_a_body_over_the_limit_is_413_however_it_comes() {
    let bench = Bench::start("server: { max_body: 64KiB }\n").await;
    let large = "x".repeat(640 << 10);
    let answer =
        client().post(format!("{}/v1/chat/completions", bench.weir.url)).body(large).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    // Ten times too much in chunks, without a length.
    let ten = format!("{head}{}0\r\n\r\n", chunk.repeat(40));
    let (answer, _) = raw(&bench.weir.address, ten.as_bytes(), Duration::from_secs(1)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Chunks without end: the connection ends.
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let endless = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), endless).await.expect("an endless body is cut");
    // However many such bodies come, they take no more than the buffers of their connections and what the allocator keeps.
    let before = peak_kib(&bench);
    for _ in 0..scale(20, 500) {
        let (answer, _) = raw(&bench.weir.address, ten.as_bytes(), Duration::from_millis(60)).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let more = peak_kib(&bench) - before;
    figure(format_args!("{more} KiB more at the peak, of {before}"));
    assert!(more <= 32 << 10 && before < 200 << 10, "{more} KiB more than {before}");
    assert_eq!(bench.chat(MODEL, "hi", false).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn w093_json_bombs_are_refused_fast() {
    let bench = Bench::start("").await;
    let wrap = |inner: &str| {
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}],"x":{inner}}}"#)
    };
    let keys: String = (0..scale(1_000_000, 10_000_000)).map(|number| format!("\"k{number}\":1,")).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("deep lists", wrap(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).into_bytes()),
        ("deep maps", wrap(&format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))).into_bytes()),
        ("unclosed", wrap(&"[".repeat(1_000_000)).into_bytes()),
        (
            "the same key twice",
            format!(r#"{{"model":"{MODEL}","model":"demo/echo","messages":[]}}"#).into_bytes(),
        ),
        ("bad UTF-8", [&b"{\"model\":\""[..], &[0xff, 0xfe], b"\",\"messages\":[]}"].concat()),
        ("no object", b"[1,2,3]".to_vec()),
        ("nothing", b"".to_vec()),
        ("a lone surrogate for a name", br#"{"model":"\ud800","messages":[]}"#.to_vec()),
    ];
    for (what, body) in cases {
        let (began, before) = (Instant::now(), processor(bench.weir.process()));
        let request = client().post(format!("{}/v1/chat/completions", bench.weir.url)).body(body);
        let status = request.send().await.unwrap().status().as_u16();
        let spent = processor(bench.weir.process()) - before;
        figure(format_args!("{what}: {status} in {:?}, {spent:?} of processor", began.elapsed()));
        assert_eq!(status, 400, "{what}");
        assert!(
            spent <= Duration::from_millis(100) && began.elapsed() < Duration::from_secs(3),
            "{what}: {spent:?}"
        );
    }
    let messages = vec![r#"{"role":"user","content":""}"#; scale(100_000, 1_000_000)].join(",");
    let messages = format!(r#"{{"model":"{MODEL}","messages":[{messages}]}}"#);
    // Millions of members or messages, and a number of a million digits: whatever becomes of them, weir goes on.
    for body in [wrap(&format!("{{{}\"z\":1}}", keys)), wrap(&"9".repeat(1_000_000)), messages] {
        let request = client().post(format!("{}/v1/chat/completions", bench.weir.url)).body(body);
        let status = request.send().await.unwrap().status().as_u16();
        assert!([200, 400, 413].contains(&status), "{status}");
    }
    assert_eq!(bench.chat(MODEL, "hi", false).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn w094_compressed_bombs_are_not_opened() {
    let bench = Bench::start("").await;
    // A valid gzip head; whoever would open it had to read on.
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip"] {
        let answer =
            bench.post_with("/v1/chat/completions", &chat(MODEL), &[("content-encoding", encoding)]).await;
        assert_eq!(answer.status, 400, "{encoding}");
    }
    for stream in [false, true] {
        let answer = bench.chat(MODEL, "hi [[sim:gzip]]", stream).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    assert!(bench.sim.state.captured().iter().all(|request| {
        let accepts = request.headers.iter().filter(|(name, _)| name == "accept-encoding");
        accepts.into_iter().all(|(_, value)| value == "identity")
    }));
}
