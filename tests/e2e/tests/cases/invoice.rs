//! The ledger against the invoice: calls over every price dimension, each billed by the simulator's own counts, in its own
//! tiers, at prices that the audit reads and adds up by itself.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde_json::{Value, json};
use weir_e2e::{Bench, figure};
use weir_tools::audit::{Tokens, read_truth};

use crate::random::Random;

const CALLS: usize = 1_000;
const AT_ONCE: usize = 20;
const CHAT: &str = "/v1/chat/completions";

/// Models with their prices: every class, a step for long prompts, tiers, a price per request. The last places matter, so
/// that no two ways to round agree.
fn prices() -> Value {
    json!({
        "openai/gpt-4o-mini": {"input": "0.150001", "output": "0.600007", "cache_read": "0.075003", "audio_in": "9.000011",
            "audio_out": "20.000013", "above": [{"input_tokens": 60, "input": "0.300017", "output": "0.900019"}, {"input_tokens": 80, "audio_in": "18.1", "input": "0.7"}],
            "tiers": {"flex": {"input": "0.074999", "output": "0.3"}, "priority": {"input": "0.4", "output": "1.000003", "above": [{"input_tokens": 60, "input": "0.800001"}]}}},
        "openai/gpt-5-mini": {"input": "0.25", "output": "2", "cache_read": "0.025", "reasoning": "3.000001", "per_request": "0.000101",
            "tiers": {"flex": {"input": "0.125", "reasoning": "1.5", "per_request": "0.00005"}}},
        "openai/text-embedding-3-small": {"input": "0.020001", "output": "0", "per_request": "0.000001"},
        "anthropic/claude-haiku-4-5": {"input": "1.000001", "output": "5.000003", "cache_read": "0.100007", "cache_write_5m": "1.250001", "cache_write_1h": "2.000003",
            "above": [{"input_tokens": 100, "input": "2.000009", "cache_read": "0.2", "cache_write_5m": "2.500001", "cache_write_1h": "4.1"}]},
        "gemini/gemini-2.5-flash": {"input": "0.300001", "output": "2.500003", "cache_read": "0.030001", "audio_in": "1.000007", "image_in": "0.600009", "reasoning": "4.000001",
            "above": [{"input_tokens": 400, "input": "0.6", "image_in": "1.2", "output": "5"}]},
    })
}

/// The same for `weir.yaml`.
fn settings() -> String {
    let price = |(model, price): (&String, &Value)| {
        let mut price = price.clone();
        price["model"] = json!(model);
        price
    };
    let overrides: Vec<Value> = prices().as_object().unwrap().iter().map(price).collect();
    format!("budgets: [{{ limit: 1000, period: total }}]\nprices: {}\n", json!({"overrides": overrides}))
}

/// A request and where it goes.
fn request(random: &mut Random) -> (&'static str, Value) {
    match random.below(10) {
        0..=3 => (CHAT, openai(random)),
        4 => (CHAT, reasoning(random)),
        5 => ("/v1/embeddings", json!({"model": "openai/text-embedding-3-small", "input": random.text()})),
        6 => (CHAT, anthropic(random)),
        7 => ("/v1/messages", messages(random)),
        8 => (CHAT, gemini(random)),
        _ => {
            let model = random.one(&["gemini/gemini-2.5-flash", "anthropic/claude-haiku-4-5"]);
            let body = json!({"model": model, "input": said(random), "max_output_tokens": 200});
            ("/v1/responses", streamed(random, body))
        }
    }
}

/// Words for the simulator before some text.
fn said(random: &mut Random) -> String {
    let words = ["", "cached=40", "cached=7", "len=3", "len=90", "reasoning_tokens=17", "reasoning_tokens=5"];
    let text = random.text().repeat(1 + random.below(4));
    format!("[[sim:{}]]{text}", random.one(&words))
}

fn streamed(random: &mut Random, mut body: Value) -> Value {
    body["stream"] = json!(random.chance(60));
    body
}

/// Asks for a tier; sometimes another serves, which is then what is billed.
fn tier(random: &mut Random, body: &mut Value, names: &[&str]) {
    if random.chance(50) {
        body["service_tier"] = json!(random.one(names));
    }
    let moved = match body["service_tier"].as_str() {
        Some("priority") => "default",
        Some("auto") | None => "flex",
        _ => return,
    };
    if random.chance(30) {
        let content = &mut body["messages"][0]["content"];
        let text = if content.is_array() { &mut content[0]["text"] } else { content };
        *text = json!(format!("[[sim:tier={moved}]]{}", text.as_str().unwrap()));
    }
}

fn openai(random: &mut Random) -> Value {
    let mut parts = vec![json!({"type": "text", "text": said(random)})];
    if random.chance(40) {
        let data = "UklGRgAA".repeat(1 + random.below(1500));
        parts.push(json!({"type": "input_audio", "input_audio": {"format": "wav", "data": data}}));
    }
    if random.chance(20) {
        parts.push(json!({"type": "image_url", "image_url": {"url": "https://example.com/p.png"}}));
    }
    let body = json!({"model": "openai/gpt-4o-mini", "max_tokens": 200, "messages": [{"role": "user", "content": parts}]});
    let mut body = streamed(random, body);
    tier(random, &mut body, &["flex", "priority", "default", "auto"]);
    if random.chance(30) {
        body["modalities"] = json!(["text", "audio"]);
        body["audio"] = json!({"voice": "alloy", "format": "pcm16"});
    }
    body
}

fn reasoning(random: &mut Random) -> Value {
    let mut body = json!({"model": "openai/gpt-5-mini", "max_completion_tokens": 300,
        "reasoning_effort": random.one(&["minimal", "low", "high"]), "messages": [{"role": "user", "content": said(random)}]});
    tier(random, &mut body, &["flex", "default"]);
    streamed(random, body)
}

/// One of few texts, so that what one call writes into the cache another reads.
fn shared(random: &mut Random, ttl: &str) -> Value {
    let text = format!("{} {}", "the common beginning".repeat(1 + random.below(6)), random.below(12));
    json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}})
}

fn anthropic(random: &mut Random) -> Value {
    let ttl = random.one(&["5m", "1h"]);
    let body = json!({"model": "anthropic/claude-haiku-4-5", "max_tokens": 200, "messages": [
        {"role": "system", "content": [shared(random, ttl)]}, {"role": "user", "content": said(random)}]});
    streamed(random, body)
}

fn messages(random: &mut Random) -> Value {
    let own =
        json!({"type": "text", "text": said(random), "cache_control": {"type": "ephemeral", "ttl": "5m"}});
    let body = json!({"model": "anthropic/claude-haiku-4-5", "max_tokens": 200,
        "system": [shared(random, "1h")], "messages": [{"role": "user", "content": [own]}]});
    streamed(random, body)
}

fn gemini(random: &mut Random) -> Value {
    let mut parts = vec![json!({"type": "text", "text": said(random)})];
    if random.chance(50) {
        parts.push(
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAN"}}),
        );
    }
    if random.chance(50) {
        let data = "UklGRgAA".repeat(1 + random.below(1500));
        parts.push(json!({"type": "input_audio", "input_audio": {"format": "wav", "data": data}}));
    }
    let body = json!({"model": "gemini/gemini-2.5-flash", "max_tokens": 300, "messages": [{"role": "user", "content": parts}]});
    streamed(random, body)
}

/// How many of what was billed was of each kind, so that none is left out by chance.
fn billed(bench: &Bench) -> BTreeMap<String, i64> {
    let listed = prices();
    let mut kinds = BTreeMap::new();
    for truth in read_truth(&[&bench.truth]).unwrap() {
        let end = truth.end.unwrap();
        let prompt: i64 = end.billed.classes()[..6].iter().map(|(_, count)| count).sum();
        let price = &listed[format!("{}/{}", truth.provider, truth.model)];
        let steps = price["above"].as_array().into_iter().flatten();
        let passed = steps.filter(|step| step["input_tokens"].as_i64().unwrap() < prompt).count();
        let tier = end.tier.as_deref().unwrap_or("none");
        let mut add = |kind: String, count: i64| *kinds.entry(kind).or_default() += count;
        end.billed.classes().iter().for_each(|(class, count)| add((*class).to_owned(), *count));
        add(format!("step {passed}"), 1);
        add(format!("tier {tier}"), 1);
        add(format!("per request {}", !price["per_request"].is_null()), 1);
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_adds_up_to_the_invoice_over_every_price_dimension() {
    let bench = Bench::start(&settings()).await;
    let listed = bench.weir.folder().join("prices.json");
    let by_model: serde_json::Map<String, Value> = prices()
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, price)| (name.split_once('/').unwrap().1.to_owned(), price.clone()))
        .collect();
    std::fs::write(&listed, Value::Object(by_model).to_string()).unwrap();
    let mut random = Random::seeded();
    let requests: Vec<_> = (0..CALLS).map(|_| request(&mut random)).collect();
    let asked = requests.into_iter().map(|(path, body)| {
        let bench = &bench;
        async move {
            let answer = bench.post(path, &body).await;
            assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        }
    });
    assert_eq!(futures_util::stream::iter(asked).buffer_unordered(AT_ONCE).count().await, CALLS);
    let report = bench.audit_at(&[], &listed).await;
    let kinds = billed(&bench);
    figure(format_args!("{} nano-dollars for {kinds:?}", report.invoiced_nanousd));
    for kind in Tokens::default().classes().map(|(class, _)| class.to_owned()).into_iter().chain(
        [
            "step 0",
            "step 1",
            "step 2",
            "tier none",
            "tier default",
            "tier flex",
            "tier priority",
            "per request true",
        ]
        .map(str::to_owned),
    ) {
        assert!(kinds.get(&kind).is_some_and(|count| *count >= 20), "too little of `{kind}`: {kinds:?}");
    }
    assert_eq!((report.truths, report.unsettled()), (CALLS, 0), "{:?}", report.unsettled);
    assert_eq!(report.settled_nanousd, report.invoiced_nanousd, "the rows against the invoice");
    let spent = bench.get("/admin/v1/spend").await.json()["total"]["cost_usd"].as_str().unwrap().to_owned();
    let spent = weir_catalog::NanoUsd::parse(&spent).unwrap().0;
    assert_eq!(spent, report.invoiced_nanousd, "the report of spend, too");
    let books = weir_store::open(&bench.books, bench.weir.folder()).await.unwrap();
    let charged = books.spent(&[("gateway/total".into(), 0, 0)]).await.unwrap()[0];
    assert_eq!(charged, report.invoiced_nanousd, "and what the budget was charged");
}
