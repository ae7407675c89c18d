//! W-057: a second attempt beside a slow one. Few calls are sent twice, who loses is cut at once, both are paid for, and
//! nothing is sent again after content.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

const CHAT: &str = "/v1/chat/completions";

fn script(bench: &Bench, rules: &[Value]) {
    let script = json!({"rules": rules}).to_string();
    bench.sim.state.set_script(weir_sim::Script::from_json(script.as_bytes()).unwrap()).unwrap();
}

fn body(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20})
}

async fn ask(bench: &Bench, model: &str, stream: bool) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = bench.post(CHAT, &body(model, stream)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!stream || answer.finished(), "{}", answer.text());
    (answer, began.elapsed())
}

/// When the simulator saw each attempt's end, in microseconds since 1970.
fn ends(bench: &Bench) -> Vec<(String, u64)> {
    let log = std::fs::read_to_string(&bench.truth).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ends = lines.filter(|line| line["event"] == "end");
    ends.map(|line| (line["attempt"].as_str().unwrap().to_owned(), line["at_us"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn w057_few_calls_are_sent_twice_the_loser_is_cut_and_both_are_paid_for() {
    let more = "models:\n  x: { targets: [openai/gpt-4o, openai/gpt-4o-mini], hedge: { after: p95, max_extra: 0.05 }, breaker: off }\nbudgets: [{ limit: 5, period: total }]\n";
    let bench = Bench::start(more).await;
    // One call in thirty is slow by far.
    let mut sequence = vec!["delay=5ms".to_owned(); 29];
    sequence.push("delay=2s".to_owned());
    script(&bench, &[json!({"match": {"model": "gpt-4o"}, "sequence": sequence, "repeat": true})]);
    let calls = 240;
    let mut slow = 0;
    for call in 0..calls {
        let (_, took) = ask(&bench, "x", call % 2 == 0).await;
        slow += usize::from(took > Duration::from_secs(1));
    }
    let (rows, attempts) = bench.rows_of(calls).await;
    let lost: Vec<_> = attempts.iter().filter(|attempt| attempt.state == "superseded").collect();
    let extra = attempts.len() - calls;
    assert!(extra * 20 <= calls, "{extra} of {calls} were sent twice");
    assert!(lost.len() >= 3 && lost.len() == extra, "{} lost, {extra} more than calls", lost.len());
    // Until it is known what is slow, nothing is sent twice, and usual calls beyond p95 take their share, too.
    assert!(slow <= 6, "{slow} calls waited for the eight slow ones");
    let ends = ends(&bench);
    for attempt in &lost {
        assert_eq!((attempt.usage_source.as_str(), attempt.cost_nanousd > Some(0)), ("estimated", true));
        if let Some((_, at)) = ends.iter().find(|(id, _)| *id == attempt.id()) {
            let late = at.abs_diff(u64::try_from(attempt.ended_at).unwrap());
            assert!(late < 100_000, "the provider saw it {late} µs from the row's end");
        }
    }
    assert!(rows.iter().all(|call| call.end == "complete" && call.status == 200));
    bench.audit(&[]).await;
    // The budget has spent what the rows cost, the losers' among them.
    let cost: i64 = attempts.iter().filter_map(|attempt| attempt.cost_nanousd).sum();
    let spent = bench.metric("weir_budget_used_ratio", &["scope=\"gateway\""]).await * 5e9;
    assert!(
        (spent - cost as f64).abs() <= cost as f64 * 1e-6,
        "{spent} nano-dollars spent, rows cost {cost}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_first_serves_the_call_and_nothing_is_sent_again_after_content() {
    let more = "models:\n  x: { targets: [openai/gpt-4o, openai/gpt-4o-mini], hedge: { after: 100ms, max_extra: 1 } }\n  off: { targets: [openai/gpt-4o, openai/gpt-4o-mini] }\n  alone: { targets: [openai/gpt-4.1], hedge: { after: 100ms, max_extra: 1 } }\n";
    let bench = Bench::start(more).await;
    let (first, second) = ("gpt-4o", "gpt-4o-mini");
    // What the first and the second do, who serves, after how many attempts, and what became of the other.
    let cases = [
        ("delay=9s", "", second, "2", Some("superseded")),
        ("delay=400ms", "delay=9s", first, "2", Some("superseded")),
        ("", "", first, "1", None),
        ("status=500", "", second, "2", Some("upstream_error")),
        ("delay=250ms+status=500", "delay=500ms", second, "2", Some("upstream_error")),
        ("delay=400ms", "status=500", first, "2", Some("upstream_error")),
    ];
    let mut calls = 0;
    for stream in [false, true] {
        for (slow, other, by, attempts, _) in cases {
            script(
                &bench,
                &[
                    json!({"match": {"model": first}, "then": slow}),
                    json!({"match": {"model": second}, "then": other}),
                ],
            );
            let (answer, took) = ask(&bench, "x", stream).await;
            let seen = (answer.header("x-weir-model"), answer.header("x-weir-attempts"));
            assert_eq!(seen, (by, attempts), "{slow} | {other} | stream: {stream}");
            assert!(took < Duration::from_secs(5), "{slow} | {other}: {took:?}");
            calls += 1;
        }
    }
    // Content has come: the rest may take its time.
    script(&bench, &[json!({"match": {"model": first}, "then": "gap=60ms+len=8"})]);
    let (answer, took) = ask(&bench, "x", true).await;
    assert!(took > Duration::from_millis(200), "{took:?}");
    assert_eq!((answer.header("x-weir-model"), answer.header("x-weir-attempts")), (first, "1"));
    // Off by default.
    script(&bench, &[json!({"match": {"model": first}, "then": "delay=300ms"})]);
    assert_eq!(ask(&bench, "off", false).await.0.header("x-weir-attempts"), "1");
    // Without another target the same one is asked again.
    script(&bench, &[json!({"match": {"model": "gpt-4.1"}, "sequence": ["delay=9s"]})]);
    let (answer, took) = ask(&bench, "alone", false).await;
    assert!(answer.header("x-weir-attempts") == "2" && took < Duration::from_secs(5), "{took:?}");
    calls += 3;
    let (_, attempts) = bench.rows_of(calls).await;
    let with = |state: &str| attempts.iter().filter(|attempt| attempt.state == state).count();
    assert_eq!((with("superseded"), with("upstream_error"), with("ok")), (5, 6, calls));
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_that_nobody_pays_for_is_not_sent() {
    // One attempt of ten tokens costs at most 0.00001 USD and more with its prompt; two are beyond the budget.
    let more = "prices: { overrides: [{ model: openai/gpt-4.1, input: \"0\", cache_read: \"0\", output: \"1\" }] }\nmodels:\n  x: { targets: [openai/gpt-4.1], hedge: { after: 50ms, max_extra: 1 } }\nbudgets: [{ limit: 0.00003, period: total }]\n";
    let bench = Bench::start(more).await;
    script(&bench, &[json!({"match": {"model": "gpt-4.1"}, "then": "delay=400ms"})]);
    let answer = bench.post(CHAT, &body("x", false)).await;
    assert_eq!((answer.status, answer.header("x-weir-attempts")), (200, "1"), "{}", answer.text());
    let (_, attempts) = bench.rows_of(1).await;
    assert_eq!(attempts.len(), 1);
}
