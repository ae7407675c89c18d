//! Rerank, moderations, images and speech: each call is priced by its own unit, agrees with what the simulated provider
//! bills, and is held to budgets (W-031).

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::Bench;

/// Prices in USD: tokens and characters by the million, all else by one.
pub const PRICES: &str = r#"
unknown_price: warn
prices:
  overrides:
    - { model: openai/omni-moderation-latest, input: "0" }
    - { model: openai/gpt-image-1, input: "5", image_in: "10", output: "40" }
    - { model: openai/dall-e-3, per_image: "0.04" }
    - { model: openai/tts-1, per_million_characters: "15" }
    - { model: openai/gpt-4o-mini-tts, input: "0.6", output: "12" }
    - { model: openai/whisper-1, per_second: "0.0001" }
    - { model: openai/gpt-4o-transcribe, input: "2.5", audio_in: "6", output: "10" }
    - { model: cohere/rerank-v3.5, per_search: "0.002" }
    - { model: cohere/rerank-english-v2.0, per_search: "0.001" }
    - { model: voyage/rerank-2.5, input: "0.05" }
    - { model: lab/jina-reranker, input: "0.02" }
"#;

/// Picodollars for one, by model and class: the prices above, written once more.
fn rate(model: &str, class: &str) -> u128 {
    match (model, class) {
        ("omni-moderation-latest", _) => 0,
        ("gpt-image-1", "input") => 5_000_000,
        ("gpt-image-1", "image_in") => 10_000_000,
        ("gpt-image-1", "output") => 40_000_000,
        ("gpt-image-1", "image") => 0,
        ("dall-e-3", "image") => 40_000_000_000,
        ("tts-1", "character") => 15_000_000,
        ("gpt-4o-mini-tts", "input") => 600_000,
        ("gpt-4o-mini-tts", "audio_out") => 12_000_000,
        ("whisper-1", "duration") => 100_000,
        ("gpt-4o-transcribe", "audio_in") => 6_000_000,
        ("gpt-4o-transcribe", "output") => 10_000_000,
        ("rerank-v3.5", "search") => 2_000_000_000,
        ("rerank-english-v2.0", "search") => 1_000_000_000,
        ("rerank-2.5", "input") => 50_000,
        ("jina-reranker", "input") => 20_000,
        other => panic!("{other:?} is billed, and has no price here"),
    }
}

/// What the simulator bills for each attempt, in nano-dollars, by the attempt's id.
pub fn invoice(bench: &Bench) -> HashMap<String, i64> {
    let text = std::fs::read_to_string(&bench.truth).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ended = lines.filter(|line| line["event"] == "end" && line["status"] == 200);
    ended
        .map(|line| {
            let model = line["model"].as_str().unwrap();
            let billed = line["billed"].as_object().unwrap();
            let pico: u128 = billed
                .iter()
                .map(|(class, count)| u128::from(count.as_u64().unwrap()) * rate(model, class))
                .sum();
            let attempt = line["attempt"].as_str().unwrap().to_owned();
            (attempt, i64::try_from((pico + 500) / 1000).unwrap())
        })
        .collect()
}

/// A gateway with these prices, Cohere and Voyage, and any server that has Jina's rerank.
pub async fn bench(more: &str) -> Bench {
    let mut bench = Bench::prepare("", None).await;
    let sim = bench.sim.url();
    let providers = format!(
        "  cohere: {{ base_url: \"{sim}\", api_key: sim-key }}\n  voyage: {{ base_url: \"{sim}/v1\", api_key: sim-key }}\n  lab: {{ kind: openai-compatible, base_url: \"{sim}/v1\", api_key: sim-key }}\n"
    );
    bench.weir.configure(&weir_e2e::config(&sim, &format!("{providers}{PRICES}{more}")));
    bench.weir.run().await;
    bench
}

/// A call, and what its row must have beside the price.
fn calls() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let documents = ["the river flows", "a bridge of stone", "north of the weir"];
    let rank =
        |model: &str| json!({"model": model, "query": "river bridge", "documents": documents, "top_n": 2});
    vec![
        ("/v1/moderations", "moderations", json!({"input": ["hello", "I will kill you"]}), ""),
        ("/v2/rerank", "rerank", rank("cohere/rerank-v3.5"), "search"),
        (
            "/v1/rerank",
            "rerank",
            {
                let mut body = rank("cohere/rerank-english-v2.0");
                body["return_documents"] = json!(true);
                body
            },
            "search",
        ),
        ("/rerank", "rerank", rank("voyage/rerank-2.5"), ""),
        ("/v1/rerank", "rerank", rank("lab/jina-reranker"), ""),
        (
            "/v1/images/generations",
            "images",
            json!({"model": "openai/dall-e-3", "prompt": "a weir", "n": 3}),
            "image",
        ),
        (
            "/v1/images/generations",
            "images",
            json!({"model": "openai/gpt-image-1", "prompt": "a weir", "quality": "low"}),
            "image",
        ),
        (
            "/v1/images/generations",
            "images",
            json!({"model": "openai/gpt-image-1", "prompt": "a weir", "stream": true, "partial_images": 2}),
            "image",
        ),
        (
            "/v1/audio/speech",
            "speech",
            json!({"model": "openai/tts-1", "input": "naïve 🚣 water", "voice": "alloy"}),
            "character",
        ),
        (
            "/v1/audio/speech",
            "speech",
            json!({"model": "openai/gpt-4o-mini-tts", "input": "hello", "voice": "alloy", "stream_format": "sse"}),
            "character",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_priced_by_its_own_unit_and_agrees_with_the_bill() {
    let bench = bench("").await;
    let all = calls();
    for (index, (path, _, body, _)) in all.iter().enumerate() {
        let id = format!("media-{index}");
        let answer = bench.post_with(path, body, &[("x-request-id", &id)]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.whole && !answer.header("x-weir-provider").is_empty(), "{path}");
        assert_eq!(answer.header("x-weir-attempts"), "1");
    }
    let (rows, _) = bench.rows_of(all.len()).await;
    let invoice = invoice(&bench);
    for (index, (path, operation, body, unit)) in all.iter().enumerate() {
        let row = rows.iter().find(|row| row.request_id == format!("media-{index}")).unwrap();
        assert_eq!(
            (row.operation.as_str(), row.usage_source.as_str()),
            (*operation, if *operation == "moderations" { "estimated" } else { "reported" }),
            "{path}"
        );
        assert_eq!(row.cost_nanousd, invoice.get(&format!("{}-1", row.id)).copied(), "{path} {body}");
        let units = row.units.clone().unwrap_or_default();
        assert!(units.contains(unit), "{path}: {units} has no {unit}");
        assert!(row.cost_nanousd > Some(0) || *operation == "moderations", "{path}");
    }
    let text = bench.get("/metrics").await.text();
    assert!(
        text.contains(r#"operation="rerank""#) && text.contains(r#"operation="speech""#),
        "metrics have them"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rerank_has_coheres_shape_whoever_serves_it() {
    let bench = bench("").await;
    for (path, _, body, _) in calls().iter().filter(|call| call.1 == "rerank") {
        let reply = bench.post(path, body).await.json();
        let results = reply["results"].as_array().unwrap_or_else(|| panic!("{reply}"));
        assert_eq!(results.len(), 2, "{reply}");
        for result in results {
            assert!(result["index"].is_u64() && result["relevance_score"].is_number(), "{result}");
        }
    }
    let refused = bench
        .post("/v2/rerank", &json!({"model": "cohere/rerank-v3.5", "query": "q", "documents": []}))
        .await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("documents")));
    let nobody = bench
        .post("/v1/rerank", &json!({"model": "anthropic/claude-haiku-4-5", "query": "q", "documents": ["a"]}))
        .await;
    let message = nobody.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(nobody.status == 400 && message.contains("serves rerank"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_passes_as_it_comes_and_breaks_where_it_breaks() {
    let bench = bench("").await;
    let say = |words: &str| {
        let input = format!("one two three four five six [[sim:{words}]]");
        json!({"model": "openai/tts-1", "input": input, "voice": "alloy"})
    };
    let slow = say("gap=300ms");
    let characters = slow["input"].as_str().unwrap().len();
    let mut answer = bench.open("/v1/audio/speech", &slow, &[]).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "audio/mpeg");
    let began = std::time::Instant::now();
    let first = answer.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"ID3"));
    let early = began.elapsed();
    let mut bytes = first.len();
    while let Some(piece) = answer.chunk().await.unwrap() {
        bytes += piece.len();
    }
    assert_eq!(bytes, 4 + characters * 400);
    assert!(
        began.elapsed() > early + Duration::from_millis(300),
        "the first piece did not wait for the last"
    );
    let broken = bench.post("/v1/audio/speech", &say("close_at=1")).await;
    assert!(broken.status == 200 && !broken.whole, "a broken answer never looks whole");
    let refused = bench.post("/v1/audio/speech", &say("status=500")).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (500, &json!("upstream_error")));
    let (rows, attempts) = bench.rows_of(3).await;
    let cut = rows
        .iter()
        .find(|row| row.end == "provider_error" && row.status == 200)
        .expect("the broken one's row");
    assert!(cut.units.as_deref().unwrap_or_default().contains("character"), "{cut:?}");
    assert!(attempts.iter().any(|attempt| attempt.state == "upstream_truncated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_hold_what_images_and_speech_can_cost() {
    let bench = bench("keys:\n  - { name: small, key: s, budgets: [{ limit: 0.1, period: total }] }\n").await;
    let with = async |path: &str, body: Value, more: &[(&str, &str)]| {
        let headers = [&[("authorization", "Bearer s")], more].concat();
        bench.post_with(path, &body, &headers).await
    };
    let image = |n: u64| json!({"model": "openai/dall-e-3", "prompt": "a weir", "n": n});
    let path = "/v1/images/generations";
    assert_eq!(with(path, image(3), &[]).await.status, 429, "0.12 of 0.1");
    assert_eq!(with(path, image(2), &[]).await.status, 200, "0.08 of 0.1");
    assert_eq!(with(path, image(1), &[]).await.status, 429, "0.04 of 0.02");
    let speech = json!({"model": "openai/tts-1", "input": "a".repeat(1000), "voice": "alloy"});
    let dear = with("/v1/audio/speech", speech.clone(), &[("x-weir-max-cost", "0.01")]).await;
    assert_eq!((dear.status, &dear.json()["error"]["code"]), (400, &json!("max_cost_exceeded")));
    assert_eq!(with("/v1/audio/speech", speech, &[]).await.status, 200, "0.015 of 0.02");
    // Nobody says how long its sound may get.
    let unbounded = json!({"model": "openai/gpt-4o-mini-tts", "input": "hi", "voice": "alloy"});
    let refused = with("/v1/audio/speech", unbounded, &[]).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!("unbounded_cost")),
        "{}",
        refused.text()
    );
    let free = with("/v1/moderations", json!({"input": "hello"}), &[]).await;
    assert_eq!(free.status, 200, "{}", free.text());
    let unknown = with(path, json!({"model": "openai/dall-e-2", "prompt": "a"}), &[]).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (400, &json!("unknown_price")),
        "{}",
        unknown.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_inputs_than_a_provider_embeds_at_once_are_refused_before_they_are_sent() {
    let bench = bench("").await;
    let inputs = |count: usize| json!({"model": "gemini/gemini-embedding-001", "input": vec!["a"; count]});
    let many = bench.post("/v1/embeddings", &inputs(101)).await;
    let error = many.json()["error"].clone();
    assert_eq!((many.status, &error["param"]), (400, &json!("input")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("at most 100"), "{error}");
    let fine = bench.post("/v1/embeddings", &inputs(100)).await;
    assert_eq!(
        (fine.status, fine.json()["data"].as_array().map(Vec::len)),
        (200, Some(100)),
        "{}",
        fine.text()
    );
    // A list of tokens is one input.
    let tokens = json!({"model": "openai/text-embedding-3-small", "input": vec![1; 2000], "dimensions": 256, "encoding_format": "base64"});
    let packed = bench.post("/v1/embeddings", &tokens).await;
    let vector = packed.json()["data"][0]["embedding"].as_str().map(str::len);
    assert_eq!((packed.status, vector), (200, Some((256 * 4usize).div_ceil(3) * 4)), "{}", packed.text());
}
