//! The configuration at work: reload by SIGHUP and by a change of the file, TLS, keys that never show, bad input.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::{Bench, Weir, client, config, resident, root, scale, signal};

const MASTER: &str = "master-CANARY-0b5d7a91c2";

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !look().await {
        assert!(began.elapsed() < Duration::from_secs(10), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn keys(names: &[&str]) -> String {
    let lines = names
        .iter()
        .map(|name| format!("  - {{ name: {name}, key: key-of-{name}, models: [\"openai/*\"] }}\n"));
    // Waiting for a key to be known is trying a wrong one again and again.
    format!(
        "server: {{ master_key: {MASTER}, wrong_keys_per_minute: 0 }}\nkeys:\n{}",
        lines.collect::<String>()
    )
}

async fn status(bench: &Bench, name: &str) -> u16 {
    let body = json!({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]});
    let key = format!("Bearer key-of-{name}");
    bench.post_with("/v1/chat/completions", &body, &[("authorization", &key)]).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_whole_or_not_at_all() {
    let bench = Bench::start(&keys(&["one"])).await;
    assert_eq!((status(&bench, "one").await, status(&bench, "two").await), (200, 401));
    // A stream that is under way keeps the configuration that it began with.
    let body = json!({"model": "openai/gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "x [[sim:len=40+gap=25ms]]"}]});
    let stream =
        bench.open("/v1/chat/completions", &body, &[("authorization", "Bearer key-of-one")]).await.unwrap();
    bench.weir.configure(&config(&bench.sim.url(), &keys(&["two"])));
    eventually("the new key", async || status(&bench, "two").await == 200).await;
    assert_eq!(status(&bench, "one").await, 401);
    assert!(weir_e2e::Answer::read(stream).await.finished());
    // A wrong file is refused whole: its good parts too.
    let reloads = |result: &'static str| {
        let bench = &bench;
        async move { bench.metric("weir_config_reloads_total", &[result]).await }
    };
    let before = reloads("refused").await;
    bench.weir.configure(&config(&bench.sim.url(), &format!("{}unknown_prise: warn\n", keys(&["three"]))));
    eventually("a refusal", async || reloads("refused").await > before).await;
    assert_eq!((status(&bench, "two").await, status(&bench, "three").await), (200, 401));
    let log = bench.weir.log();
    assert!(log.contains("unknown_prise") && log.contains("unknown_price"), "{log}");
    // SIGHUP reads it again, too: here what a variable's file says, which nobody watches.
    let secret = bench.weir.folder().join("secret");
    std::fs::write(&secret, "key-of-four").unwrap();
    let file = format!(
        "server: {{ master_key: {MASTER}, wrong_keys_per_minute: 0 }}\nkeys: [{{ name: x, key: {{ file: {} }} }}]\n",
        secret.display()
    );
    bench.weir.configure(&config(&bench.sim.url(), &file));
    eventually("the key of the file", async || status(&bench, "four").await == 200).await;
    std::fs::write(&secret, "key-of-five").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let ok = reloads("ok").await;
    signal(bench.weir.process(), "HUP");
    eventually("a reload", async || reloads("ok").await > ok).await;
    assert_eq!((status(&bench, "five").await, status(&bench, "four").await), (200, 401));
    bench.audit(&[]).await;
}

/// W-069: reloads under load break no call and leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn w069_reloads_under_load_break_no_call_and_leave_nothing_behind() {
    let names = |number: u32| format!("models:\n  a: openai/gpt-4o\n  b{}: openai/gpt-4o-mini\n", number % 7);
    let bench = Bench::start(&names(0)).await;
    let mut load = bench.load(6969, u64::MAX, 40, &["", "gap=1ms", "len=10+gap=20ms"]);
    (load.rate, load.duration) = (Some(200.0), Some(Duration::from_secs(scale(5, 60))));
    let log = load.log.clone().unwrap();
    let driving = tokio::spawn(weir_tools::drive::run(load));
    let process = bench.weir.process();
    let reloads = async || bench.metric("weir_config_reloads_total", &["ok"]).await as u32;
    let wanted = scale(60, 1000);
    let (mut number, mut memory) = (0, Vec::new());
    while !driving.is_finished() || number < wanted {
        number += 1;
        let before = reloads().await;
        bench.weir.configure(&config(&bench.sim.url(), &names(number)));
        signal(process, "HUP");
        eventually("a reload", async || reloads().await > before).await;
        memory.push(resident(process));
    }
    let summary = driving.await.unwrap().unwrap();
    let all: u64 = summary.ends.values().sum();
    let complete = summary.ended(weir_tools::drive::Seen::Complete);
    assert_eq!(complete, all, "{:?} {:?}", summary.ends, summary.errors);
    let third = |number: usize| {
        let part = &memory[memory.len() * number / 3..memory.len() * (number + 1) / 3];
        part.iter().sum::<u64>() / part.len() as u64
    };
    println!(
        "{number} reloads, {all} calls; {} KiB in the second third, {} in the last",
        third(1) >> 10,
        third(2) >> 10
    );
    // A short run is still warming up.
    let slack = scale(4 << 20, 0);
    assert!(third(2) <= third(1) * 105 / 100 + slack, "{} after {}", third(2), third(1));
    bench.audit(&[log]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_served_with_both_versions_of_http() {
    let tls = root().join("tests/e2e/tls").canonicalize().unwrap();
    let more = format!("server: {{ tls: {{ cert: {0}/cert.pem, key: {0}/key.pem }} }}\n", tls.display());
    let bench = Bench::start(&more).await;
    let url = bench.weir.url.replacen("http:", "https:", 1);
    let body = json!({"model": "openai/gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let old = reqwest::Client::builder()
        .tls_certs_only(
            [reqwest::Certificate::from_pem(&std::fs::read(tls.join("ca.pem")).unwrap()).unwrap()],
        )
        .http1_only()
        .no_proxy()
        .build()
        .unwrap();
    for (client, version) in [(client(), reqwest::Version::HTTP_2), (&old, reqwest::Version::HTTP_11)] {
        let request = client.post(format!("{url}/v1/chat/completions")).body(body.to_string());
        let response = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(response.version(), version);
        assert!(weir_e2e::Answer::read(response).await.finished());
    }
    // Who does not trust the authority does not connect; who speaks plain HTTP gets no answer.
    let stranger = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    assert!(stranger.get(format!("{url}/health/live")).send().await.is_err());
    assert!(client().get(format!("{}/health/live", bench.weir.url)).send().await.is_err());
}

/// W-077 in short: secrets of every kind, used in every way that may show them, show nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_shows_anywhere() {
    let (provider, caller, extra) = ("sk-CANARY-provider-71f2", "CANARY-caller-9d3e", "CANARY-header-5a5a");
    let mut bench = Bench::prepare("", None).await;
    let sim = bench.sim.url();
    let file = format!(
        "logging: {{ level: debug }}\nserver: {{ master_key: {MASTER} }}\nproviders:\n  openai: {{ base_url: \"{sim}/v1\", api_key: {provider}, headers: {{ x-extra: {extra} }} }}\n  bad: {{ kind: openai, base_url: \"{sim}/v1\", api_key: bad-{provider} }}\n  anthropic: {{ base_url: \"{sim}\", api_key: {provider} }}\n  gemini: {{ base_url: \"{sim}\", api_key: {provider} }}\n  gone: {{ kind: openai, base_url: \"http://127.0.0.1:{}/v1\", api_key: {provider} }}\nkeys:\n  - {{ name: ci, key: {caller} }}\n",
        weir_e2e::free_port()
    );
    bench.weir.configure(&file);
    bench.weir.run().await;
    let mut seen = String::new();
    let models = [
        "openai/gpt-4o-mini",
        "bad/gpt-4o-mini",
        "anthropic/claude-haiku-4-5",
        "gemini/gemini-2.5-flash",
        "gone/gpt-4o",
        "nobody/x",
    ];
    for model in models {
        for stream in [false, true] {
            for words in ["", "status=401", "status=500", "end_at=3", "garble"] {
                for header in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
                    let key = if header == "authorization" {
                        format!("Bearer {caller}")
                    } else {
                        caller.to_owned()
                    };
                    let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": format!("hi [[sim:{words}]]")}]});
                    let answer = bench.post_with("/v1/chat/completions", &body, &[(header, &key)]).await;
                    seen += &format!("{:?}\n{}\n", answer.headers, answer.text());
                }
            }
        }
    }
    // Wrong keys, and keys in the wrong place.
    for wrong in [format!("{caller}x"), format!("{MASTER}x"), caller.to_uppercase()] {
        let answer = bench
            .post_with("/v1/chat/completions", &json!({"model": "x"}), &[("authorization", &wrong)])
            .await;
        seen += &format!("{:?}\n{}\n", answer.headers, answer.text());
    }
    let auth = [("authorization", format!("Bearer {MASTER}"))];
    for path in
        ["/health", "/health/ready", "/metrics", "/openapi.json", "/v1/models", "/admin/v1/spend", "/nothing"]
    {
        let request = client().get(format!("{}{path}", bench.weir.url)).header(auth[0].0, &auth[0].1);
        let answer = weir_e2e::Answer::read(request.send().await.unwrap()).await;
        seen += &format!("{:?}\n{}\n", answer.headers, answer.text());
    }
    // A file that is wrong is told of with its line, without what stands in it.
    bench.weir.configure(&format!("{file}nonsense: {provider}\n"));
    eventually("a refusal", async || bench.weir.log().contains("nonsense")).await;
    let rows = bench.rows().await;
    assert!(rows.0.len() > 100);
    let mut places = vec![("answers", seen.into_bytes()), ("log", bench.weir.log().into_bytes())];
    for entry in walk(bench.weir.data()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if name.starts_with("weir.yaml") || name.ends_with(".log") {
            continue;
        }
        places.push(("data folder", std::fs::read(&entry).unwrap()));
    }
    assert!(places.len() > 3);
    for (place, bytes) in &places {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        // Of wrong keys nothing shows either.
        assert!(!text.contains("canary"), "{place}: {}", around(&text));
    }
    // Callers' keys stay here, providers' keys go to providers only.
    for request in bench.sim.state.captured() {
        let text = format!("{:?}", request.headers);
        assert!(!text.contains(caller) && !text.contains(MASTER), "{text}");
    }
}

fn around(text: &str) -> String {
    let at = text.find("canary").unwrap_or(0);
    text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(300).collect()
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => all.extend(walk(&entry)),
            false => all.push(entry),
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_in_openai_s_shape_and_loses_no_row() {
    let bench = Bench::start(&format!("server: {{ max_body: 64KiB, master_key: {MASTER} }}\n")).await;
    let key = format!("Bearer {MASTER}");
    let good = json!({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    let cases: Vec<(&str, String, u16, &str, &str)> = vec![
        ("not JSON", "{oops".into(), 400, "invalid_json", ""),
        ("nothing", String::new(), 400, "invalid_json", ""),
        ("a list", "[]".into(), 400, "invalid_json", ""),
        ("a wrong type", with("model", json!(7)), 400, "", "model"),
        ("a wrong type within", with("temperature", json!("hot")), 400, "", "temperature"),
        (
            "a duplicate key",
            r#"{"model":"openai/gpt-4o-mini","model":"x","messages":[]}"#.into(),
            400,
            "invalid_json",
            "model",
        ),
        (
            "an unknown model",
            with("model", json!("openai/gtp-4o-mini")),
            404,
            "model_not_found",
            "gpt-4o-mini",
        ),
        ("an unknown provider", with("model", json!("opena/gpt-4o-mini")), 404, "model_not_found", "openai"),
        ("too large a body", with("user", json!("x".repeat(70_000))), 413, "request_too_large", "65536"),
    ];
    for (name, body, status, code, says) in &cases {
        let request =
            client().post(format!("{}/v1/chat/completions", bench.weir.url)).header("authorization", &key);
        let answer =
            request.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
        let answer = weir_e2e::Answer::read(answer).await;
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().is_some_and(|text| text.contains(says)), "{name}: {error}");
        assert!(error["type"].is_string() && error.get("param").is_some(), "{name}: {error}");
        assert!(code.is_empty() || error["code"] == *code, "{name}: {error}");
    }
    for (name, headers, status) in [
        ("a missing key", vec![], 401),
        ("a wrong key", vec![("authorization", "Bearer nonsense".to_owned())], 401),
        ("a long header", vec![("authorization", key.clone()), ("x-long", "x".repeat(100_000))], 431),
    ] {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = bench.post_with("/v1/chat/completions", &good, &headers).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string(), "{name}");
    }
    for words in ["garble", "html", "empty", "truncate", "wrong_encoding"] {
        let mut body = good.clone();
        body["messages"][0]["content"] = json!(format!("x [[sim:{words}]]"));
        let answer = bench.post_with("/v1/chat/completions", &body, &[("authorization", &key)]).await;
        assert_eq!(answer.status, 502, "{words}: {}", answer.text());
    }
    assert_eq!(bench.post_with("/v1/chat/completions", &good, &[("authorization", &key)]).await.status, 200);
    let report = bench.audit(&[]).await;
    assert!(report.truths >= 6 && !bench.weir.log().contains("panicked"), "{}", bench.weir.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_is_refused_at_the_start_with_its_line() {
    for (name, text, says) in [
        ("an unknown key", "server:\n  lisen: 127.0.0.1:1\n", ["listen", ":2"]),
        (
            "a missing variable",
            "providers:\n  openai:\n    api_key: ${NO_SUCH_VARIABLE}\n",
            ["NO_SUCH_VARIABLE", ":3"],
        ),
        ("an unknown provider", "models:\n  a: nobody/x\nproviders: { demo: {} }\n", ["nobody", ":2"]),
        ("not YAML", "server: [\n", ["weir.yaml", ""]),
    ] {
        let mut weir = Weir::prepare(text);
        weir.spawn();
        let began = Instant::now();
        let code = loop {
            if let Some(code) = weir.ended() {
                break code;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{name}: it started");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let log = weir.log();
        assert_eq!(code, 1, "{name}: {log}");
        assert!(says.iter().all(|word| log.contains(word)) && !log.contains("panicked"), "{name}: {log}");
    }
}
