//! W-052: how long a provider asks to be left alone, in every form in which providers say so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

/// A throttled call, and how long its key rests from then on, in seconds.
struct Case {
    words: String,
    rests: f64,
}

fn cases() -> Vec<Case> {
    let http = |wait: i64| {
        let at = Timestamp::now() + SignedDuration::from_secs(wait);
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    let rfc3339 = |wait: i64| (Timestamp::now() + SignedDuration::from_secs(wait)).to_string();
    let unix = |wait: i64| Timestamp::now().as_second() + wait;
    let throttled = |header: String| format!("status=429+header={header}");
    let case = |header: String, rests| Case { words: throttled(header), rests };
    vec![
        case("retry-after:40".into(), 40.0),
        case("retry-after-ms:7500".into(), 7.5),
        case(format!("retry-after:{}", http(60)), 60.0),
        // Ten years: what nobody believes is cut.
        case("retry-after:315360000".into(), 600.0),
        case(format!("retry-after:{}", http(315_360_000)), 600.0),
        // What says nothing: a second, as for a provider that is silent about it.
        case("retry-after:0".into(), 1.0),
        case("retry-after:-1".into(), 1.0),
        case("retry-after:soon".into(), 1.0),
        case(format!("retry-after:{}", http(-60)), 1.0),
        case("x-ratelimit-reset-requests:6m0s".into(), 360.0),
        case("x-ratelimit-reset-tokens:20s".into(), 20.0),
        case(format!("x-ratelimit-reset:{}", unix(90)), 90.0),
        case(format!("x-ratelimit-reset:{}000", unix(90)), 90.0),
        case(format!("anthropic-ratelimit-requests-reset:{}", rfc3339(50)), 50.0),
        // Said outright, it counts more than when a limit resets.
        case("x-ratelimit-reset-requests:6m0s+header=retry-after:3".into(), 3.0),
    ]
}

fn script(bench: &Bench, rules: &[Value]) {
    let script = json!({"rules": rules}).to_string();
    bench.sim.state.set_script(weir_sim::Script::from_json(script.as_bytes()).unwrap()).unwrap();
}

async fn ask(bench: &Bench, model: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5});
    bench.post("/v1/chat/completions", &body).await
}

/// How long the only target of a name still rests, in seconds.
async fn rest(bench: &Bench, model: &str) -> f64 {
    let refused = ask(bench, model).await;
    assert_eq!(refused.status, 503, "{model}: {}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "no_healthy_target");
    refused.header("retry-after-ms").parse::<f64>().unwrap() / 1000.0
}

/// A name for each of these models; each is left alone when it is throttled, though there is no other.
fn names(count: usize) -> String {
    let name = |index| {
        format!("  n{index}: {{ targets: [openai/gpt-t{index}], retry: {{ attempts: 1 }}, breaker: {{}} }}\n")
    };
    format!("models:\n{}", (0..count).map(name).collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn w052_a_key_rests_as_long_as_its_provider_asks() {
    let cases = cases();
    let bench = Bench::start(&names(cases.len())).await;
    // Dates are of now.
    let cases = self::cases();
    let rules = cases.iter().enumerate();
    let rules = rules.map(|(at, case)| json!({"match": {"model": format!("gpt-t{at}")}, "then": case.words}));
    script(&bench, &rules.collect::<Vec<_>>());
    let began = std::time::Instant::now();
    for (at, case) in cases.iter().enumerate() {
        let name = format!("n{at}");
        assert_eq!(ask(&bench, &name).await.status, 429, "{}", case.words);
        let left = rest(&bench, &name).await;
        // A date has whole seconds, and time goes by.
        let slack = 1.0 + began.elapsed().as_secs_f64();
        assert!(left <= case.rests && left > (case.rests - slack).max(0.0), "{}: {left} s", case.words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w052_a_longer_wait_extends_and_nothing_shortens_it() {
    let bench = Bench::start(&names(3)).await;
    let (late, short, long) =
        ("delay=600ms", "status=429+header=retry-after:5", "status=429+header=retry-after:300");
    let rules = [
        // The long one while the short one rests, the short one while the long one rests, an answer that is late.
        (0, [format!("{long}+{late}"), short.to_owned()]),
        (1, [format!("{short}+{late}"), long.to_owned()]),
        (2, [late.to_owned(), long.to_owned()]),
    ];
    let rules = rules.map(
        |(at, words)| json!({"match": {"model": format!("gpt-t{at}")}, "sequence": words, "then": "status=500"}),
    );
    script(&bench, &rules);
    for at in 0..3 {
        let name = format!("n{at}");
        let first = async { ask(&bench, &name).await.status };
        let second = async {
            while bench.sim.state.captured().iter().all(|seen| !seen.body.contains(&format!("\"gpt-t{at}\"")))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ask(&bench, &name).await.status
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first, second), (if at == 2 { 200 } else { 429 }, 429), "{name}");
        let left = rest(&bench, &name).await;
        assert!(left > 270.0 && left <= 300.0, "{name}: {left} s");
    }
}
