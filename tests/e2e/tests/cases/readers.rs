//! W-043: readers that are slow take little memory, hold their provider back, and don't slow others down.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use weir_e2e::{Bench, Front, resident, scale};
use weir_tools::drive::{self, Mix, Seen};

/// So many readers.
const READERS: usize = 200;
/// Chunks of each stream: much more than the buffers of two sockets hold, which may grow to 32 MiB.
const CHUNKS: usize = 400_000;
/// A stream that has begun, read by a kilobyte a second.
async fn reader(address: &str, model: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let body = Front::Chat.body(model, "go on", true, 1_000_000).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream
}

/// The 99th percentile of small calls at a steady rate.
async fn others(bench: &Bench, seed: u64, seconds: u64) -> Duration {
    let mut load = bench.load(seed, u64::MAX, 100, &[""]);
    load.plan.mix = vec![Mix::parse("chat:anthropic/claude-haiku-4-5").unwrap()];
    (load.rate, load.duration, load.log) = (Some(100.0), Some(Duration::from_secs(seconds)), None);
    let summary = drive::run(load).await.unwrap();
    let all: u64 = summary.ends.values().sum();
    assert_eq!(summary.ended(Seen::Complete), all, "{:?} {:?}", summary.ends, summary.errors);
    summary.took(990)
}

#[tokio::test(flavor = "multi_thread")]
async fn w043_slow_readers_take_little_memory_and_hold_their_provider_back() {
    let bench = Bench::start("").await;
    let seconds = scale(4, 30);
    let before = others(&bench, 1, seconds).await;
    let memory = resident(bench.weir.process());
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(reader(&bench.weir.address, &format!("openai/bench-stream-{CHUNKS}")).await);
    }
    let (over, mut is_over) = tokio::sync::watch::channel(false);
    let reading = tokio::spawn(async move {
        let began = Instant::now();
        let mut piece = [0; 1024];
        let mut read = 0;
        while !*is_over.borrow_and_update() {
            for stream in &mut readers {
                read += stream.read(&mut piece).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        (read as f64 / READERS as f64 / began.elapsed().as_secs_f64(), readers)
    });
    // Till they are full, the system's buffers are filled as fast as the provider can: that is no slow reading. And each
    // reader outlives the patience with those that read nothing.
    tokio::time::sleep(Duration::from_secs(scale(1, 15))).await;
    let during = others(&bench, 2, seconds).await;
    let grown = resident(bench.weir.process()).saturating_sub(memory) / READERS as u64;
    over.send(true).unwrap();
    let (rate, readers) = reading.await.unwrap();
    println!(
        "{READERS} readers at {rate:.0} bytes a second: {} KiB each; p99 of others {before:?} before, {during:?} during",
        grown >> 10
    );
    // In its first seconds the process grows by itself, too; the long form has that behind it.
    assert!(grown <= scale(160 << 10, 128 << 10), "{} KiB a reader", grown >> 10);
    // A machine that does other things, too, moves small times by more than a tenth.
    let slack = scale(Duration::from_millis(200), Duration::from_millis(1));
    assert!(during <= before.mul_f64(1.1) + slack, "{during:?}, {before:?} before");
    assert_eq!(bench.metric("weir_inflight_requests", &[]).await, READERS as f64);
    // All leave: the provider sees it, and had not sent much of what it had.
    drop(readers);
    let began = Instant::now();
    while bench.metric("weir_inflight_requests", &[]).await > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(20), "calls are let go");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sent = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["bytes_out"].as_u64().filter(|_| line["model"].as_str().unwrap().starts_with("bench"))
    };
    let all = || -> Vec<u64> {
        // The last line may still be on its way.
        let truth = std::fs::read_to_string(&bench.truth).unwrap();
        truth.split_inclusive('\n').filter(|line| line.ends_with('\n')).filter_map(sent).collect()
    };
    while all().len() < READERS {
        assert!(began.elapsed() < Duration::from_secs(20), "the provider sees that they left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sent = all();
    let (most, whole) = (sent.iter().max().copied().unwrap_or(0), CHUNKS as u64 * 200);
    println!("{} streams, {} KiB sent at most, of {} KiB", sent.len(), most >> 10, whole >> 10);
    // The system's own buffers on the way from the provider take some megabytes each.
    assert!(sent.len() == READERS && most < whole / 2, "{most} of {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_but_steadily_is_not_taken_for_one_who_has_left() {
    let model = format!(
        "models: {{ long: {{ targets: [openai/bench-stream-{CHUNKS}], timeouts: {{ write: 4s }} }} }}\n"
    );
    let bench = Bench::start(&model).await;
    let mut stream = reader(&bench.weir.address, "long").await;
    let mut piece = [0; 2048];
    let began = Instant::now();
    // 8 KiB a second, for longer than three times the patience with those who read nothing.
    while began.elapsed() < Duration::from_secs(13) {
        stream.read_exact(&mut piece).await.expect("the answer goes on");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(bench.metric("weir_inflight_requests", &[]).await, 1.0, "{}", bench.weir.log());
    // And who stops is.
    let stopped = Instant::now();
    while bench.metric("weir_inflight_requests", &[]).await > 0.0 {
        assert!(stopped.elapsed() < Duration::from_secs(12), "it is let go");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
