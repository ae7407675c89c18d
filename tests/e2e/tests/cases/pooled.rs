//! W-053, W-054: connections to providers that go away between calls, or under many of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir_e2e::{Bench, root, scale};
use weir_sim::{Script, Sim, SimConfig, Tls};
use weir_tools::drive::{self, Drive, Mix, Seen};

fn load(bench: &Bench, mix: &str, requests: u64, concurrency: usize) -> Drive {
    let mut load = bench.load(53, requests, concurrency, &[""]);
    load.plan.mix = vec![Mix::parse(mix).unwrap()];
    load
}

/// W-053: GOAWAY after every 500 answers, with 100 calls under way: no client notices, no call reaches the provider twice.
#[tokio::test(flavor = "multi_thread")]
async fn w053_a_shared_connection_that_goes_away_loses_no_call() {
    let file = |name: &str| root().join("tests/e2e/tls").join(name);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let mut sequence = vec!["delay=3ms"; 499];
    sequence.push("delay=3ms+goaway");
    let script = json!({"rules": [{"sequence": sequence, "repeat": true}]}).to_string();
    let config = SimConfig {
        tls: Some(Tls { cert_pem: read("cert.pem"), key_pem: read("key.pem") }),
        script: Script::from_json(script.as_bytes()).unwrap(),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    let mut bench = Bench::prepare("", None).await;
    bench.weir.configure(&format!(
        "providers:\n  two: {{ kind: openai, base_url: \"{}/v1\", api_key: k, ca_file: \"{}\" }}\nmodels:\n  x: {{ targets: [two/gpt-4o-mini], breaker: {{ failures: 3 }} }}\n",
        sim.url(),
        file("ca.pem").display()
    ));
    bench.weir.run().await;
    let requests = scale(3000, 10_000);
    let summary = drive::run(load(&bench, "chat:x", requests, 100)).await.unwrap();
    assert_eq!(summary.ended(Seen::Complete), requests, "{:?} {:?}", summary.ends, summary.errors);
    let (calls, attempts) = bench.rows_of(requests as usize).await;
    assert_eq!(sim.state.calls(), requests, "each reached the provider once");
    let moved = attempts.iter().filter(|attempt| attempt.state != "ok").count();
    println!("{requests} requests, {moved} moved to a new connection");
    // What the provider refused unseen is sent once more, and counts against nobody.
    assert_eq!((calls.len(), attempts.len()), (requests as usize, requests as usize + moved));
    assert!(calls.iter().all(|call| call.attempts <= 2 && call.end == "complete"));
    assert_eq!(bench.metric("weir_breaker_state", &[]).await, 0.0);
}

/// How often each question was answered.
type Done = Arc<Mutex<HashMap<String, u32>>>;

/// A provider that closes a connection after each answer, a moment later, whether or not a request comes in just then.
async fn impatient(done: Done, closed_on: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, done.clone(), closed_on.clone()));
        }
    });
    port
}

async fn serve(mut stream: TcpStream, done: Done, closed_on: Arc<AtomicU64>) {
    drop(stream.set_nodelay(true));
    for turn in 0_u32.. {
        let mut read = Vec::new();
        let body = loop {
            let text = String::from_utf8_lossy(&read).to_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
            if let (Some(head), Some(length)) = (text.find("\r\n\r\n"), length)
                && read.len() >= head + 4 + length.parse::<usize>().unwrap()
            {
                break read[head + 4..].to_vec();
            }
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let text = asked["messages"][0]["content"].as_str().unwrap().to_owned();
        *done.lock().unwrap().entry(text.clone()).or_default() += 1;
        let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        drop(stream.write_all((head + &answer).as_bytes()).await);
        // Now and then it goes on; else it closes without looking, at about the time of the next request.
        if !turn.is_multiple_of(3) {
            let moment = u64::from(rand::random::<u16>() % 1500);
            tokio::time::sleep(Duration::from_micros(moment)).await;
            let mut peeked = [0; 1];
            let came = std::future::poll_fn(|cx| {
                let mut buffer = tokio::io::ReadBuf::new(&mut peeked);
                std::task::Poll::Ready(stream.poll_peek(cx, &mut buffer).is_ready())
            });
            closed_on.fetch_add(u64::from(came.await), Ordering::Relaxed);
            return;
        }
    }
}

/// W-054: an idle connection is closed exactly when a request is sent on it: no client notices, nothing is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn w054_a_connection_that_closes_under_a_request_costs_no_call_and_does_none_twice() {
    let (done, closed_on) = (Done::default(), Arc::new(AtomicU64::new(0)));
    let port = impatient(done.clone(), closed_on.clone()).await;
    let mut bench = Bench::prepare("", None).await;
    bench.weir.configure(&format!(
        "providers:\n  p: {{ kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: k }}\nmodels:\n  x: {{ targets: [p/gpt-4o-mini] }}\n"
    ));
    bench.weir.run().await;
    let requests = scale(3000, 10_000);
    let summary = drive::run(load(&bench, "chat:x", requests, 8)).await.unwrap();
    let races = closed_on.load(Ordering::Relaxed);
    println!("{requests} requests, {races} met a connection as it closed");
    assert_eq!(summary.ended(Seen::Complete), requests, "{:?} {:?}", summary.ends, summary.errors);
    let done = done.lock().unwrap();
    let twice: Vec<_> = done.iter().filter(|(_, times)| **times > 1).collect();
    assert_eq!((done.len() as u64, twice.len()), (requests, 0), "{twice:?}");
    assert!(races > requests / 100, "{races} of {requests}: hardly any was tried");
}
