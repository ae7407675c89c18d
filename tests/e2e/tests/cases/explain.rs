//! Why a call goes where it goes, and why not elsewhere: `/admin/v1/explain`, `weir explain`, and the trail of attempts on
//! answers and in the ledger.

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench, binary, client};

const MORE: &str = "models:
  x:
    strategy: weighted
    targets: [{ model: openai/gpt-4o, weight: 3 }, { model: openai/gpt-3.5-turbo-16k, tags: [old] }, { model: anthropic/claude-haiku-4-5, region: eu }]
    fallbacks: [y]
    retry: { attempts: 1 }
    breaker: { failures: 1, cooldown: 1m }
    degrade: { model: z }
  y: openai/gpt-4o-mini
  z: openai/gpt-4.1-nano
  cheap: { strategy: cheapest, targets: [openai/gpt-4o, openai/gpt-4o-mini] }
keys:
  - { name: ci, key: ci, models: [x, y, z], budgets: [{ limit: 5, period: day }], limits: { requests_per_minute: 60 } }
server: { master_key: master }
";

fn script(bench: &Bench, rules: &[(&str, &str)]) {
    let rules: Vec<Value> =
        rules.iter().map(|(model, then)| json!({"match": {"model": model}, "then": then})).collect();
    let script = json!({"rules": rules}).to_string();
    bench.sim.state.set_script(weir_sim::Script::from_json(script.as_bytes()).unwrap()).unwrap();
}

async fn post(bench: &Bench, path: &str, key: &str, body: &Value) -> Answer {
    let request = client().post(format!("{}{path}", bench.weir.url)).body(body.to_string());
    let request =
        request.header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
    Answer::read(request.send().await.unwrap()).await
}

async fn explain(bench: &Bench, query: &str, body: &Value) -> Value {
    let answer = post(bench, &format!("/admin/v1/explain{query}"), "master", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The reasons' codes of a model, and whether it is asked.
fn codes(explained: &Value, model: &str) -> (bool, Vec<String>) {
    let find =
        |list: &str| explained[list].as_array().unwrap().iter().find(|one| one["model"] == model).cloned();
    let (asked, one) = match find("targets") {
        Some(one) => (true, one),
        None => (false, find("not_asked").unwrap_or_else(|| panic!("{model}: {explained}"))),
    };
    let reasons = one["reasons"].as_array().unwrap();
    assert!(
        reasons.iter().all(|reason| reason["message"].as_str().is_some_and(|text| text.len() > 10)),
        "{one}"
    );
    (asked, reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect())
}

#[track_caller]
fn check(explained: &Value, model: &str, asked: bool, want: &[&str]) {
    assert_eq!(
        codes(explained, model),
        (asked, want.iter().map(|code| (*code).to_owned()).collect()),
        "{model}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_target_says_why_it_is_asked_and_why_not() {
    let bench = Bench::start(MORE).await;
    let plain = explain(&bench, "", &json!({"model": "x"})).await;
    check(&plain, "gpt-4o", true, &["weight"]);
    check(&plain, "gpt-4o-mini", true, &["fallback"]);
    check(&plain, "gpt-4.1-nano", true, &["degraded"]);
    assert_eq!(plain["targets"].as_array().unwrap().len(), 5, "{plain}");
    assert!(
        plain["targets"][0]["expected_usd"].is_string() && plain["targets"][0]["body"].is_object(),
        "{plain}"
    );
    let tools = json!({"model": "x", "tools": [{"type": "function", "function": {"name": "f"}}]});
    let tools = explain(&bench, "", &tools).await;
    check(&tools, "gpt-3.5-turbo-16k", true, &["weight", "capability"]);
    let long = json!({"model": "x", "messages": [{"role": "user", "content": "word ".repeat(20_000)}]});
    check(&explain(&bench, "", &long).await, "gpt-3.5-turbo-16k", true, &["weight", "context_window"]);
    for (provider, model) in [
        (json!({"region": "eu"}), "gpt-4o"),
        (json!({"tags": ["old"]}), "gpt-4o"),
        (json!({"ignore": ["openai"]}), "gpt-4o"),
        (json!({"max_price": {"prompt": 1}}), "gpt-4o"),
    ] {
        let explained = explain(&bench, "", &json!({"model": "x", "provider": provider})).await;
        check(&explained, model, false, &["preference"]);
    }
    let only = explain(&bench, "", &json!({"model": "x", "provider": {"only": ["nobody"]}})).await;
    assert_eq!(only["targets"], json!([]), "{only}");
    check(&only, "gpt-4o", false, &["preference"]);
    let off = explain(&bench, "", &json!({"model": "x", "provider": {"allow_fallbacks": false}})).await;
    assert_eq!(off["targets"].as_array().unwrap().len(), 1);
    check(&off, "gpt-4o-mini", false, &["fallback_off"]);
    check(&explain(&bench, "", &json!({"model": "cheap"})).await, "gpt-4o-mini", true, &["price"]);
    check(&explain(&bench, "", &json!({"model": "cheap:nitro"})).await, "gpt-4o-mini", true, &["speed"]);
    let session = explain(&bench, "", &json!({"model": "x", "prompt_cache_key": "s"})).await;
    check(&session, "gpt-4o", true, &["affinity"]);
    // The caller's limits and budgets.
    let ci = explain(&bench, "?key=ci", &json!({"model": "x"})).await;
    assert_eq!((&ci["caller"], &ci["live"]), (&json!("ci"), &json!(true)));
    assert_eq!((&ci["limits"][0]["limit"], &ci["limits"][0]["remaining"]), (&json!(60), &json!(60)), "{ci}");
    assert_eq!(
        (&ci["budgets"][0]["scope"], &ci["budgets"][0]["limit_usd"]),
        (&json!("key"), &json!("5")),
        "{ci}"
    );
    let forbidden = post(&bench, "/admin/v1/explain?key=ci", "master", &json!({"model": "cheap"})).await;
    assert_eq!(forbidden.json()["error"]["code"], "model_not_allowed");
    let nobody = post(&bench, "/admin/v1/explain?key=nobody", "master", &json!({"model": "x"})).await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rests_is_said_and_what_was_tried_stands_on_the_answer_and_in_the_ledger() {
    let bench = Bench::start(MORE).await;
    script(
        &bench,
        &[
            ("gpt-4o", "status=503"),
            ("gpt-3.5-turbo-16k", "status=429+header=retry-after:60"),
            ("claude-haiku-4-5", "status=500"),
        ],
    );
    let body = json!({"model": "x", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5});
    let answer = post(&bench, "/v1/chat/completions", "ci", &body).await;
    assert_eq!(
        (answer.status, answer.header("x-weir-model"), answer.header("x-weir-attempts")),
        (200, "gpt-4o-mini", "4")
    );
    let tried = answer.header("x-weir-tried");
    for part in [
        "openai/gpt-4o upstream_error 503 ",
        "openai/gpt-3.5-turbo-16k upstream_error 429 ",
        "anthropic/claude-haiku-4-5 upstream_error 500 ",
    ] {
        assert!(tried.contains(part), "{part}: {tried}");
    }
    let explained = explain(&bench, "", &json!({"model": "x"})).await;
    check(&explained, "gpt-4o", true, &["weight", "breaker"]);
    check(&explained, "gpt-3.5-turbo-16k", true, &["weight", "key"]);
    assert_eq!(explained["limits"], json!([]));
    let (_, attempts) = bench.rows_of(1).await;
    let mut states: Vec<_> = attempts.iter().map(|row| (row.model.as_str(), row.upstream_status)).collect();
    states.sort_unstable();
    let want = [
        ("claude-haiku-4-5", Some(500)),
        ("gpt-3.5-turbo-16k", Some(429)),
        ("gpt-4o", Some(503)),
        ("gpt-4o-mini", Some(200)),
    ];
    assert_eq!(states, want);
    // The command, without a gateway: nothing is known of health.
    let run = tokio::process::Command::new(binary())
        .args(["explain", "--model", "x"])
        .current_dir(bench.weir.folder())
        .env("WEIR_DATA_DIR", bench.weir.folder())
        .output();
    let output = run.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    for part in ["1. ", "first turn in 3 of 5 calls", "asked after the targets before it", "USD at most"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
