//! `cheapest` and `fastest` on a simulated market, whose prices and latencies change, against an oracle that knows them.
//!
//! In its full form `fastest` writes what it saw to `tests/.cache/market.json`, which `docs/plots/market.py` draws.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_e2e::{Bench, root, scale, signal};

const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"];

/// Prices of a model, in ten-thousandths of a dollar for a million tokens.
#[derive(Debug, Clone, Copy)]
struct Price {
    input: u64,
    output: u64,
    cached: u64,
}

fn priced(prices: &[Price], extra: &str) -> String {
    let dollars = |units: u64| format!("{}.{:04}", units / 10_000, units % 10_000);
    let line = |(model, price): (&&str, &Price)| {
        format!(
            "    - {{ model: openai/{model}, input: \"{}\", output: \"{}\", cache_read: \"{}\", from: 2026-01-01 }}\n",
            dollars(price.input),
            dollars(price.output),
            dollars(price.cached)
        )
    };
    let targets: Vec<String> = MODELS.iter().map(|model| format!("openai/{model}")).collect();
    format!(
        "prices:\n  overrides:\n{}models:\n  m: {{ strategy: cheapest, targets: [{}]{extra} }}\n",
        MODELS.iter().zip(prices).map(line).collect::<String>(),
        targets.join(", ")
    )
}

async fn take(bench: &Bench, prices: &[Price], extra: &str) {
    let before = bench.metric("weir_config_reloads_total", &["ok"]).await;
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &priced(prices, extra)));
    signal(bench.weir.process(), "HUP");
    let began = Instant::now();
    while bench.metric("weir_config_reloads_total", &["ok"]).await <= before {
        assert!(began.elapsed() < Duration::from_secs(10), "the prices are taken\n{}", bench.weir.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cheapest_is_the_argmin_of_every_call_while_prices_change() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut price = |_: usize| Price {
        input: random.random_range(1..300_000),
        output: random.random_range(1..900_000),
        cached: random.random_range(1..30_000),
    };
    let markets: Vec<Vec<Price>> = (0..scale(8, 100)).map(|_| (0..4).map(&mut price).collect()).collect();
    let bench = Bench::start(&priced(&markets[0], "")).await;
    let (mut calls, mut chosen) = (0, [0; 4]);
    for prices in &markets {
        take(&bench, prices, "").await;
        for _ in 0..25 {
            // From all prompt to nearly all answer: the cheapest is another.
            let (bytes, tokens) = (random.random_range(1..4000), random.random_range(1..=300_u64));
            let body = json!({"model": "m", "max_tokens": tokens, "messages": [{"role": "user", "content": "x".repeat(bytes)}]});
            let prompt = body.to_string().len() as u64 / 4;
            let cost = |price: &Price| prompt * price.input + tokens * price.output;
            let least = (0..4).min_by_key(|at| cost(&prices[*at])).unwrap();
            let answer = bench.post("/v1/chat/completions", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let costs: Vec<u64> = prices.iter().map(cost).collect();
            assert_eq!(answer.header("x-weir-model"), MODELS[least], "{costs:?} {prices:?}");
            chosen[least] += 1;
            calls += 1;
        }
    }
    println!("{calls} calls on {} markets, the argmin each time: {chosen:?}", markets.len());
    assert!(chosen.iter().all(|count| *count > 0), "{chosen:?}");
}

/// What lies in a provider's cache is counted at its price: a session stays where it is warm, until that is dearer.
#[tokio::test(flavor = "multi_thread")]
async fn cheapest_counts_what_lies_in_a_providers_cache() {
    let price = |input, cached| Price { input, output: 1, cached };
    let usual = [price(20_000, 2_000), price(30_000, 3_000), price(40_000, 4_000), price(50_000, 5_000)];
    let bench = Bench::start(&priced(&usual, ", affinity: session")).await;
    let ask = async |session: &str| {
        let body = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": format!("{} [[sim:cached=1500]]", "x".repeat(8000))}]});
        let answer = bench.post_with("/v1/chat/completions", &body, &[("x-weir-session", session)]).await;
        answer.header("x-weir-model").to_owned()
    };
    assert_eq!(ask("one").await, MODELS[0]);
    // Another becomes cheaper for a cold prompt, but not than a tenth of the price for most of it.
    let moved = [usual[0], price(10_000, 1_000), usual[2], usual[3]];
    take(&bench, &moved, ", affinity: session").await;
    assert_eq!((ask("one").await.as_str(), ask("other").await.as_str()), (MODELS[0], MODELS[1]));
    // Now it is cheaper than even that.
    let again = [usual[0], price(1_000, 100), usual[2], usual[3]];
    take(&bench, &again, ", affinity: session").await;
    assert_eq!(ask("one").await, MODELS[1]);
}

/// One call: when it was sent, in seconds; the latency of the target that was chosen, and of the fastest, in milliseconds.
type Sample = (f64, f64, f64);

/// Asks for so long, as the market moves, and says what was chosen.
async fn trade(bench: &Bench, strategy: &str, seed: u64, time: Duration, turn: Duration) -> Vec<Sample> {
    let mut random = StdRng::seed_from_u64(seed);
    let market = Mutex::new([60.0_f64, 90.0, 135.0, 210.0]);
    let show = |market: &[f64; 4]| {
        let words: Vec<String> = market.iter().map(|mean| format!("first={:.0}ms+len=2", mean)).collect();
        let rules: Vec<(&str, &str)> =
            MODELS.iter().zip(&words).map(|(model, words)| (*model, words.as_str())).collect();
        bench.script(&rules);
    };
    show(&market.lock().unwrap());
    let began = Instant::now();
    let moving = async {
        let mut turned = 0;
        while began.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let mut market = market.lock().unwrap();
            for mean in market.iter_mut() {
                *mean *= random.random_range(0.98..1.02);
            }
            if began.elapsed().as_secs() / turn.as_secs() > turned {
                turned += 1;
                market.rotate_left(1);
            }
            show(&market);
        }
    };
    let samples = Mutex::new(Vec::new());
    let asking = join_all((0..12).map(|_| async {
        while began.elapsed() < time {
            let (at, before) = (began.elapsed().as_secs_f64(), *market.lock().unwrap());
            let body = json!({"model": strategy, "stream": true, "max_tokens": 2, "messages": [{"role": "user", "content": "x"}]});
            let answer = bench.post("/v1/chat/completions", &body).await;
            assert!(answer.finished(), "{}", answer.text());
            let place = MODELS.iter().position(|model| *model == answer.header("x-weir-model")).unwrap();
            let least = before.iter().copied().fold(f64::MAX, f64::min);
            samples.lock().unwrap().push((at, before[place], least));
        }
    }));
    tokio::join!(moving, asking);
    let mut samples = samples.into_inner().unwrap();
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    samples
}

fn mean(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).sum::<f64>() / samples.len() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn fastest_is_within_a_tenth_of_an_oracle_while_latencies_change() {
    let targets: Vec<String> = MODELS.iter().map(|model| format!("openai/{model}")).collect();
    let route = |strategy: &str| {
        format!(
            "  {strategy}: {{ strategy: {strategy}, affinity: off, targets: [{}] }}\n",
            targets.join(", ")
        )
    };
    let more = format!("models:\n{}{}", route("fastest"), route("weighted"));
    let bench = Bench::start(&more).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let (time, turn) = scale((20, 10), (180, 30));
    let (time, turn) = (Duration::from_secs(time), Duration::from_secs(turn));
    let samples = trade(&bench, "fastest", seed, time, turn).await;
    let (own, oracle) = (mean(&samples, |sample| sample.1), mean(&samples, |sample| sample.2));
    println!(
        "{} calls: {own:.1} ms to the first token, the oracle {oracle:.1} ms: {:.3} times",
        samples.len(),
        own / oracle
    );
    assert!(own <= oracle * 1.1, "{own:.1} ms, the oracle {oracle:.1} ms");
    if scale(false, true) {
        let spread = trade(&bench, "weighted", seed, time, turn).await;
        println!("weighted: {:.1} ms", mean(&spread, |sample| sample.1));
        let list = |samples: &[Sample]| -> Value {
            samples.iter().map(|sample| json!([sample.0, sample.1, sample.2])).collect()
        };
        let told = json!({"seed": seed, "turn_seconds": turn.as_secs(), "fastest": list(&samples), "weighted": list(&spread)});
        std::fs::write(root().join("tests/.cache/market.json"), told.to_string()).unwrap();
    }
}
