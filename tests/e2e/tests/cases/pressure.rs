//! W-059, W-060, W-065, and W-062 at its full size: more than can be done, for a while, and what it does to everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use weir_e2e::{Answer, Bench, Weir, client, processor, resident, scale};

/// W-059: a large body that comes in slowly is kept once, sent again as it is, and given back.
#[tokio::test(flavor = "multi_thread")]
async fn w059_a_large_slow_body_is_sent_again_within_its_memory() {
    let more = "server: { max_body_memory: 64MiB }\nmodels:\n  two: { targets: [openai/gpt-4o, openai/gpt-4o-mini], breaker: off }\n";
    let bench = Bench::start(more).await;
    bench.script(&[("gpt-4o", "status=503")]);
    let size = 20 << 20;
    let text = json!({"model": "two", "messages": [{"role": "system", "content": "x".repeat(size)}, {"role": "user", "content": "hello"}]}).to_string();
    let before = resident(bench.weir.process());
    let mut stream = TcpStream::connect(&bench.weir.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in text.as_bytes().chunks(1 << 20) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut peak = 0;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.unwrap() > 0 {
        peak = peak.max(resident(bench.weir.process()));
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-weir-attempts: 2"), "{answer}");
    // The body, and what is sent of it: its own copy, since the name of the model is another.
    let grown = peak.saturating_sub(before);
    println!("{} MiB for a body of {} MiB that was sent twice", grown >> 20, size >> 20);
    assert!(grown < 3 * size as u64, "{} MiB", grown >> 20);
    let sent: Vec<Value> =
        bench.sim.state.captured().iter().map(|one| serde_json::from_str(&one.body).unwrap()).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|body| body["messages"][0]["content"].as_str().unwrap().len() == size));
    let began = Instant::now();
    while bench.metric("weir_body_bytes", &[]).await > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(5), "its room is given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A provider in Anthropic's dialect that reads nothing of what it is asked.
async fn anthropic() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": null,
        "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}})
    .to_string();
    let answer: Arc<str> = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.set_nodelay(true));
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut read = Vec::with_capacity(256 << 10);
                loop {
                    let length = wire(&mut stream, &mut read).await;
                    if length.is_none() || stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Reads one message, and forgets it; its status or `0`.
async fn wire(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<u16> {
    read.clear();
    loop {
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
        // Only where a head can be: a body is long.
        let begin = &read[..read.len().min(2048)];
        let Some(head) = begin.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&begin[..head]).to_lowercase();
        let length: usize = text.split("content-length: ").nth(1)?.split('\r').next()?.parse().ok()?;
        read.reserve(length);
        while read.len() < head + 4 + length {
            if stream.read_buf(read).await.ok()? == 0 {
                return None;
            }
        }
        return Some(text.strip_prefix("http/1.1 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or(0));
    }
}

/// What came of a load.
#[derive(Default)]
struct Came {
    served: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    /// From when each was due until its answer, in microseconds: of those served, and of those refused.
    took: [std::sync::Mutex<Vec<u64>>; 2],
}

impl Came {
    fn count(&self) -> [u64; 3] {
        [&self.served, &self.refused, &self.failed].map(|count| count.load(Ordering::Relaxed))
    }

    fn answer(&self, per_mille: usize) -> Duration {
        Came::at(&self.took[0], per_mille)
    }

    fn refusal(&self, per_mille: usize) -> Duration {
        Came::at(&self.took[1], per_mille)
    }

    fn at(all: &std::sync::Mutex<Vec<u64>>, per_mille: usize) -> Duration {
        let mut all = all.lock().unwrap().clone();
        all.sort_unstable();
        Duration::from_micros(all.get(all.len() * per_mille / 1000).copied().unwrap_or(0))
    }
}

/// Sends one request that was due at this moment, over a connection that is kept where it can be.
async fn send(
    address: &str,
    request: &[u8],
    pool: &std::sync::Mutex<Vec<TcpStream>>,
    came: &Came,
    due: Instant,
) {
    let kept = pool.lock().unwrap().pop();
    let stream = match kept {
        Some(stream) => Ok(stream),
        None => TcpStream::connect(address).await,
    };
    let Ok(mut stream) = stream else {
        came.failed.fetch_add(1, Ordering::Relaxed);
        return;
    };
    drop(stream.set_nodelay(true));
    let mut read = Vec::new();
    // What refuses need not read all that is sent; its answer counts all the same.
    let written = stream.write_all(request).await;
    let status = wire(&mut stream, &mut read).await;
    let took = u64::try_from(due.elapsed().as_micros()).unwrap();
    match status {
        Some(200) => {
            came.took[0].lock().unwrap().push(took);
            came.served.fetch_add(1, Ordering::Relaxed)
        }
        Some(429 | 503) => {
            assert!(
                String::from_utf8_lossy(&read).contains("retry-after"),
                "a refusal says when to come again"
            );
            came.took[1].lock().unwrap().push(took);
            came.refused.fetch_add(1, Ordering::Relaxed)
        }
        _ => came.failed.fetch_add(1, Ordering::Relaxed),
    };
    if written.is_ok() && !String::from_utf8_lossy(&read[..read.len().min(600)]).contains("connection: close")
    {
        pool.lock().unwrap().push(stream);
    }
}

/// An open loop: so many a second, whatever comes of them.
async fn offer(address: &str, request: &Arc<[u8]>, rate: f64, time: Duration) -> Arc<Came> {
    let (came, pool, room) = (Arc::new(Came::default()), Arc::default(), Arc::new(Semaphore::new(3000)));
    let began = tokio::time::Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0_u64.. {
        let at = Duration::from_secs_f64(number as f64 / rate);
        if at >= time {
            break;
        }
        tokio::time::sleep_until(began + at).await;
        let (came, pool, address, request): (_, Arc<std::sync::Mutex<Vec<TcpStream>>>, _, _) =
            (came.clone(), Arc::clone(&pool), address.to_owned(), request.clone());
        let permit = room.clone().acquire_owned().await.unwrap();
        tasks.spawn(async move {
            send(&address, &request, &pool, &came, (began + at).into_std()).await;
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    came
}

/// As much as it can do: so many at once, each after another.
async fn capacity(address: &str, request: &Arc<[u8]>, time: Duration) -> f64 {
    let (came, pool) = (Arc::new(Came::default()), Arc::new(std::sync::Mutex::default()));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..48 {
        let (came, pool, address, request) =
            (came.clone(), Arc::clone(&pool), address.to_owned(), request.clone());
        tasks.spawn(async move {
            while began.elapsed() < time {
                send(&address, &request, &pool, &came, Instant::now()).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let [served, refused, failed] = came.count();
    assert_eq!((refused, failed), (0, 0), "{served} served");
    served as f64 / began.elapsed().as_secs_f64()
}

/// A conversation of many messages: reading and translating it is what costs.
fn conversation(key: &str) -> Arc<[u8]> {
    let message = |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": format!("message {at}")})
    };
    let messages: Vec<Value> = (0..801).map(message).collect();
    let body = json!({"model": "x", "max_tokens": 5, "messages": messages}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes().into()
}

/// Keeps a process on one processor.
fn pin(process: u32, processor: &str) {
    let done = std::process::Command::new("taskset")
        .args(["-a", "-c", "-p", processor, &process.to_string()])
        .output();
    assert!(done.unwrap().status.success());
}

async fn crowded() -> Weir {
    let config = format!(
        "server: {{ master_key: m }}\nproviders: {{ p: {{ kind: anthropic, base_url: \"http://127.0.0.1:{}\", api_key: k }} }}\nmodels: {{ x: {{ targets: [p/claude-haiku-4-5], timeouts: {{ total: 1h }} }} }}\nkeys: [{{ name: loud, key: key-loud }}, {{ name: calm, key: key-calm }}]\n",
        anthropic().await
    );
    let weir = Weir::start(&config).await;
    if scale(false, true) {
        // Else what it can do would depend on what the load takes.
        pin(weir.process(), "0");
        pin(std::process::id(), "1");
    }
    weir
}

/// How long `/health/live` takes, again and again, while something goes on.
async fn pulse<T>(weir: &Weir, during: impl Future<Output = T>) -> (T, Duration) {
    let url = format!("{}/health/live", weir.url);
    let mut took: Vec<Duration> = Vec::new();
    let asking = async {
        loop {
            let began = Instant::now();
            assert_eq!(client().get(&url).send().await.unwrap().status(), 200);
            took.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let came = tokio::select! { came = during => came, () = asking => unreachable!("it asks for ever") };
    took.sort_unstable();
    (came, took[took.len() * 99 / 100])
}

/// W-060: three times what can be done. What can be done is done, the rest is refused at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w060_three_times_the_load_leaves_the_work_done_and_refuses_the_rest_at_once() {
    let weir = crowded().await;
    let request = conversation("key-loud");
    let (short, long) = scale((2, 5), (10, 60));
    capacity(&weir.address, &request, Duration::from_secs(1)).await;
    let able = capacity(&weir.address, &request, Duration::from_secs(short)).await;
    let time = Duration::from_secs(long);
    let (came, health) = pulse(&weir, offer(&weir.address, &request, able * 3.0, time)).await;
    let [served, refused, failed] = came.count();
    let good = served as f64 / time.as_secs_f64() / able;
    println!(
        "{able:.0} a second can be done; of three times that {served} were served ({good:.2} of what can be done), {refused} refused (p50 {:?}, p99 {:?}), {failed} failed; health p99 {health:?}",
        came.refusal(500),
        came.refusal(990)
    );
    assert!(refused > 0 && failed == 0, "{refused} refused, {failed} failed");
    assert!(good >= scale(0.4, 0.9), "{good}");
    assert!(
        came.refusal(990) <= scale(Duration::from_millis(1000), Duration::from_millis(20)),
        "{:?}",
        came.refusal(990)
    );
    assert!(health <= scale(Duration::from_millis(1000), Duration::from_millis(50)), "{health:?}");
    // Five seconds later nothing of it is left.
    tokio::time::sleep(Duration::from_secs(scale(2, 5))).await;
    let calm = offer(&weir.address, &request, able * 0.3, Duration::from_secs(2)).await;
    assert_eq!(calm.count()[1..], [0, 0], "nobody is refused any more");
}

/// W-065: a tenant that asks ten times its share is refused; another one hardly notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w065_a_flood_of_one_tenant_is_refused_and_another_is_served() {
    let weir = crowded().await;
    let (loud, calm) = (conversation("key-loud"), conversation("key-calm"));
    let time = Duration::from_secs(scale(4, 30));
    capacity(&weir.address, &calm, Duration::from_secs(1)).await;
    let able = capacity(&weir.address, &calm, Duration::from_secs(2)).await;
    let share = able * 0.1;
    let alone = offer(&weir.address, &calm, share, time).await;
    let both = tokio::join!(offer(&weir.address, &loud, able * 3.0, time), async {
        // Overload has to be noticed first.
        tokio::time::sleep(Duration::from_secs(1)).await;
        offer(&weir.address, &calm, share, time - Duration::from_secs(2)).await
    });
    let ([flood, turned_away, _], [served, refused, failed]) = (both.0.count(), both.1.count());
    println!(
        "{able:.0} a second can be done; the flood: {flood} served, {turned_away} refused; the other: {served} served, {refused} refused, {failed} failed, p99 {:?}, alone {:?}",
        both.1.answer(990),
        alone.answer(990)
    );
    assert!(turned_away > flood / 4, "{turned_away} of the flood refused, {flood} served");
    assert!(
        served >= (served + refused) * scale(80, 97) / 100 && failed == 0,
        "{served} served, {refused} refused"
    );
    let most = alone.answer(990) * 2 + scale(Duration::from_millis(500), Duration::from_millis(5));
    assert!(both.1.answer(990) <= most, "{:?}, alone {:?}", both.1.answer(990), alone.answer(990));
}

/// W-062 at its size: 1,024 descriptors, 2,000 connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w062_two_thousand_connections_for_a_thousand_descriptors() {
    let bench = Bench::start("").await;
    let process = bench.weir.process();
    let limit = [format!("--pid={process}"), "--nofile=1024:20000".to_owned()];
    assert!(std::process::Command::new("prlimit").args(limit).status().unwrap().success());
    let body = json!({"model": "openai/gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "[[sim:gap=100ms+len=40]]"}]});
    let streams: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| bench.open("/v1/chat/completions", &body, &[]))).await;
    let mut flood = Vec::new();
    for _ in 0..2000 {
        flood.push(TcpStream::connect(&bench.weir.address).await.unwrap());
    }
    let (before, began) = (processor(process), Instant::now());
    for stream in streams {
        let stream = Answer::read(stream.unwrap()).await;
        assert!(stream.whole && stream.finished(), "{}", stream.text());
    }
    let spent = (processor(process) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("{spent:.3} of a processor, {} descriptors", weir_e2e::descriptors(process));
    assert!(spent < 0.5, "{spent} of a processor");
    assert!(weir_e2e::descriptors(process) > 1000, "the limit was reached");
    drop(flood);
    let began = Instant::now();
    let ask = async || {
        let asked = client().get(format!("{}/health/live", bench.weir.url)).timeout(Duration::from_secs(1));
        asked.send().await.is_ok_and(|answer| answer.status() == 200)
    };
    while !ask().await {
        assert!(began.elapsed() < Duration::from_secs(10), "connections are taken again");
    }
}
