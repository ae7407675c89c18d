//! W-038, W-039: each of the deadlines fires when it says, names itself, and is told in the row.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use weir_e2e::{Bench, COMPAT_PRICES, Front, compat, scale};

/// How long each deadline is in these tests.
const DEADLINE: Duration = Duration::from_millis(400);
/// How late one may fire.
const LATE: Duration = Duration::from_millis(100);

/// Takes connections, and never answers in TLS: no connection is made.
async fn mute() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    port
}

async fn bench() -> Bench {
    let mut more = format!(
        "  mute: {{ kind: openai, base_url: \"https://127.0.0.1:{}/v1\", api_key: k }}\nmodels:\n",
        mute().await
    );
    for (name, target) in [
        ("connect", "mute/gpt-4o"),
        ("first_byte", "compat/gpt-4o"),
        ("first_token", "compat/gpt-4o"),
        ("idle", "compat/gpt-4o"),
        ("total", "compat/gpt-4o"),
    ] {
        more += &format!(
            "  {name}: {{ targets: [{target}], retry: {{ attempts: 1 }}, timeouts: {{ {name}: {}ms }} }}\n",
            DEADLINE.as_millis()
        );
    }
    let mut bench = Bench::prepare("", None).await;
    let more = format!("{}{more}{COMPAT_PRICES}", compat("compat", &bench.sim.url()));
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    bench.weir.run().await;
    bench
}

/// What the provider does, how the call is asked, and whether the deadline is told in a stream that has begun.
const CASES: [(&str, &str, bool, bool); 8] = [
    ("connect", "", false, false),
    ("first_byte", "silent", false, false),
    ("first_byte", "delay=30s", true, false),
    ("first_token", "stall_at=1", true, false),
    ("first_token", "ping_only", true, false),
    ("idle", "stall_at=4", true, true),
    ("total", "silent", false, false),
    ("total", "len=4000+gap=20ms", true, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn w038_w039_each_deadline_fires_when_it_says_and_names_itself() {
    let bench = bench().await;
    let mut slowest = Duration::ZERO;
    for (name, words, stream, begun) in CASES {
        for front in Front::ALL {
            let body = front.body(name, &format!("hello [[sim:{words}]]"), stream, 5000);
            // A machine that is busy may wake anyone late, but not each time.
            let mut best = Duration::MAX;
            for _ in 0..scale(3, 10) {
                let began = Instant::now();
                let answer = bench.post(&front.path(name, stream), &body).await;
                let took = began.elapsed();
                let place = format!("{name} {words} {front:?}: {}", answer.text());
                assert!(took >= DEADLINE, "{took:?} {place}");
                best = best.min(took - DEADLINE);
                assert!(answer.text().contains("timed out") || answer.text().contains("timeout"), "{place}");
                if begun {
                    assert_eq!((answer.status, front.errors(&answer).len()), (200, 1), "{place}");
                    assert!(!front.text(&answer, true).is_empty(), "{place}");
                } else {
                    assert_eq!(answer.status, 504, "{place}");
                }
                let error = match begun {
                    true => front.errors(&answer).pop().unwrap(),
                    false => answer.json(),
                };
                let told = error.to_string();
                assert!(told.contains(&format!("\"timeout\":\"{name}\"")) || told.contains(name), "{place}");
                if best <= LATE {
                    break;
                }
            }
            assert!(best <= LATE, "{name} {words} {front:?}: {best:?} late");
            slowest = slowest.max(best);
        }
    }
    println!("the latest: {slowest:?}");
    let (calls, attempts) = bench.rows().await;
    assert!(calls.iter().all(|call| ["timeout", "provider_error"].contains(&call.end.as_str())), "{calls:?}");
    let states = |attempt: &weir_tools::audit::Attempt| {
        ["upstream_idle_timeout", "deadline", "upstream_error"].contains(&attempt.state.as_str())
    };
    assert!(attempts.iter().all(states), "{attempts:?}");
    // What came before the silence is paid for.
    let begun: Vec<_> = attempts.iter().filter(|attempt| attempt.state == "upstream_idle_timeout").collect();
    assert!(begun.len() >= 8 && begun.iter().all(|attempt| attempt.cost_nanousd.unwrap() > 0));
    bench.audit(&[]).await;
}
