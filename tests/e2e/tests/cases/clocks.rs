//! W-027: the system's clock jumps while calls run (libfaketime on the gateway's process; the clock that durations are
//! measured by goes on as it is). And what happens at midnight, without waiting for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, client, config};

use crate::alerts::{receiver, until};

const MODEL: &str = "openai/gpt-4o-mini";
const DAY: i64 = 86_400;
/// Input is free, and ten tokens of output are 0.00001 USD.
const PRICES: &str = "prices: { overrides: [{ model: openai/gpt-4o-mini, input: \"0\", cache_read: \"0\", output: \"1\" }] }\n";
/// How long the library takes a clock for unchanged, and some more.
const NOTICED: Duration = Duration::from_millis(2_500);

/// A gateway whose clock can be set.
struct Clock {
    bench: Bench,
    file: PathBuf,
    /// What the clock is ahead of the true one by, in seconds.
    ahead: i64,
}

fn library() -> String {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    let found = std::env::var_os("WEIR_TEST_FAKETIME").map(PathBuf::from).or(found);
    found.expect("libfaketime is missing: install the package `faketime`").display().to_string()
}

impl Clock {
    /// Its clock shows `seconds` of a day (UTC).
    async fn start(more: &str, seconds: i64) -> Clock {
        let mut bench = Bench::prepare("", None).await;
        bench.weir.configure(&config(&bench.sim.url(), more));
        let file = bench.weir.folder().join("clock");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let ahead = (seconds - now).rem_euclid(DAY);
        std::fs::write(&file, format!("+{ahead}")).unwrap();
        for (name, value) in [
            ("LD_PRELOAD", library().as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ] {
            bench.weir.set_env(name, value);
        }
        bench.weir.run().await;
        Clock { bench, file, ahead }
    }

    /// Sets the clock forward, or back.
    async fn jump(&mut self, seconds: i64) {
        self.ahead += seconds;
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{:+}", self.ahead))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .unwrap();
        tokio::time::sleep(NOTICED).await;
    }

    async fn call(&self, key: &str) -> Answer {
        call(&self.bench.weir.url, key).await
    }
}

async fn call(url: &str, key: &str) -> Answer {
    let body = json!({"model": MODEL, "max_tokens": 10,
        "messages": [{"role": "user", "content": "[[sim:len=10+delay=20ms]]"}]});
    let request = client().post(format!("{url}/v1/chat/completions")).body(body.to_string());
    let request = request.header("content-type", "application/json").bearer_auth(key);
    Answer::read(request.send().await.expect("weir answers")).await
}

/// How many of `calls` a key's budget or limit lets in; the others are 429.
async fn admitted(clock: &Clock, key: &str, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        let answer = clock.call(key).await;
        assert!([200, 429].contains(&answer.status), "{}", answer.text());
        admitted += usize::from(answer.status == 200);
    }
    admitted
}

#[tokio::test(flavor = "multi_thread")]
async fn w027_a_clock_that_jumps_an_hour_breaks_no_call_and_gives_no_second_budget() {
    let keys = "keys:\n  - { name: day, key: day, budgets: [{ limit: 0.0001, period: day }] }\n  - { name: minute, key: minute, limits: { requests_per_minute: 3 } }\n  - { name: free, key: free }\n";
    // Half past eleven at night, so that an hour more is another day.
    let mut clock = Clock::start(&format!("{PRICES}{keys}"), DAY - 1_800).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (url, stop) = (clock.bench.weir.url.clone(), stop.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = call(&url, "free").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    assert_eq!(admitted(&clock, "day", 14).await, 10);
    assert_eq!(admitted(&clock, "minute", 5).await, 3);
    let mut windows = vec![10];
    for (seconds, expected) in [(3_600, 10), (-3_600, 0), (3_600, 0), (-7_200, 0)] {
        clock.jump(seconds).await;
        let let_in = admitted(&clock, "day", 14).await;
        assert_eq!(let_in, expected, "after {windows:?} and a jump by {seconds} s");
        windows.push(let_in);
        // A minute is measured, not read from a clock: some seconds have passed, whatever that says.
        assert_eq!(admitted(&clock, "minute", 2).await, 0, "after a jump by {seconds} s");
    }
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for task in load {
        calls += task.await.unwrap();
    }
    println!("{calls} calls went on meanwhile");
    assert!(calls > 50, "{calls}");
    // In the order of their ids times never go back, but for what calls at the same time differ by.
    clock.bench.drained().await;
    let (mut page, mut latest, mut rows) = (String::new(), i64::MAX, 0);
    loop {
        let path = format!("{}/admin/v1/requests?limit=200{page}", clock.bench.weir.url);
        let listed: Value = Answer::read(client().get(path).send().await.unwrap()).await.json();
        for row in listed["data"].as_array().unwrap() {
            let at =
                |name: &str| row[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
            let (began, ended) = (at("started_at"), at("ended_at"));
            assert!(began <= latest.saturating_add(5_000) && began <= ended, "{row}, after one at {latest}");
            latest = began;
            rows += 1;
        }
        match listed["next_cursor"].as_str() {
            Some(cursor) => page = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert!(rows > calls, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_midnight_a_budget_is_whole_again_and_its_alert_is_over() {
    let (webhook, got) = receiver(0).await;
    let more = format!(
        "{PRICES}budgets: [{{ limit: 0.0001, period: day, alert_at: [0.8] }}]\nalerts: [{{ kind: webhook, url: \"{webhook}\", on: [budget] }}]\n"
    );
    let clock = Clock::start(&more, DAY - 25).await;
    assert_eq!(admitted(&clock, "any", 12).await, 10);
    let refused = clock.call("any").await;
    let wait: u64 = refused.header("retry-after").parse().expect("it is told when to come again");
    assert!((1..=25).contains(&wait), "{wait}");
    let fired = until(&got, "alert", |one| one["status"] == "firing").await;
    let cause = fired["cause"].as_str().unwrap();
    assert!(cause.contains("of 0.0001 USD are spent") && cause.contains("its window ends"), "{cause}");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(clock.call("any").await.status, 200, "retry-after, obeyed, succeeds");
    let over = until(&got, "end", |one| one["status"] == "resolved").await;
    assert_eq!(over["id"], fired["id"]);
    let resolution = over["resolution"].as_str().unwrap();
    assert!(resolution.contains("of 0.0001 USD are spent") && resolution != cause, "{resolution}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(got.lock().unwrap().len(), 2, "{:?}", got.lock().unwrap());
}
