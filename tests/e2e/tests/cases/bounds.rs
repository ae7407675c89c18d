//! W-024: what a call is bounded by is never less than what it then costs.
//!
//! Each random request goes through the real stack to the simulator, whose bill is compared with the bound; and each is
//! compared with the worst that its tokens could cost by the price engine, class by class.

use std::sync::Arc;

use serde_json::{Value, json};
use tower::Service;
use weir_adapter::Front;
use weir_catalog::ServiceTier;
use weir_gateway::call::Attempt;
use weir_gateway::layers::encode::encode;
use weir_gateway::layers::route;
use weir_gateway::{Body, Call};
use weir_ledger::Durability;
use weir_wire::usage::TOKEN_CLASSES;
use weir_wire::{Class, Usage};

use crate::inside::Inside;
use crate::random::Random;

/// Prices with every dimension: each class, steps by the prompt's length, tiers, and a price per request.
const PRICES: &str = "prices: { overrides: [\
  { model: openai/gpt-4o-mini, input: \"0.15\", output: \"0.6\", cache_read: \"0.075\", audio_in: \"9\", audio_out: \"20\", above: [{ input_tokens: 60, input: \"0.3\", output: \"0.9\" }, { input_tokens: 300, input: \"0.7\" }], tiers: { priority: { input: \"0.4\", output: \"1\" } } },\
  { model: openai/gpt-4o, input: \"2.5\", output: \"10\", cache_read: \"3\", reasoning: \"30\", per_request: \"0.0001\" },\
  { model: anthropic/claude-haiku-4-5, input: \"1\", output: \"5\", cache_read: \"0.1\", cache_write_5m: \"1.25\", cache_write_1h: \"2\", above: [{ input_tokens: 100, input: \"2\", cache_write_5m: \"2.5\", cache_write_1h: \"4\" }] },\
  { model: gemini/gemini-2.5-flash, input: \"0.3\", output: \"2.5\", cache_read: \"0.03\", audio_in: \"1\", image_in: \"0.6\", reasoning: \"4\" }] }\n";

/// Requests in OpenAI's form.
impl Random {
    fn schema(&mut self) -> Value {
        let names = ["city", "größe", "日付", "a", "nested_name"];
        let properties: serde_json::Map<String, Value> = (0..1 + self.below(4))
            .map(|_| {
                (
                    self.one(&names).to_owned(),
                    json!({"type": self.one(&["string", "number", "boolean"]), "description": self.text()}),
                )
            })
            .collect();
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    }

    fn content(&mut self, audio: bool) -> Value {
        let mut parts = vec![json!({"type": "text", "text": self.text()})];
        for _ in 0..self.below(3) {
            let data = "iVBORw0KGgo".repeat(1 + self.below(40));
            let url = if self.chance(50) {
                format!("data:image/png;base64,{data}AAA=")
            } else {
                "https://example.com/p.png".to_owned()
            };
            parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
        }
        if audio && self.chance(30) {
            parts.push(json!({"type": "input_audio", "input_audio": {"format": "wav", "data": "UklGRg==".repeat(1 + self.below(200))}}));
        }
        match self.chance(60) {
            true => json!(self.text()),
            false => Value::Array(parts),
        }
    }

    /// A request in OpenAI's form for one of the models.
    fn request(&mut self) -> Value {
        let model = self.one(&[
            "openai/gpt-4o-mini",
            "openai/gpt-4o",
            "anthropic/claude-haiku-4-5",
            "gemini/gemini-2.5-flash",
        ]);
        let audio = !model.starts_with("anthropic") && model != "openai/gpt-4o";
        let mut messages = Vec::new();
        if self.chance(50) {
            messages.push(json!({"role": "system", "content": self.text()}));
        }
        for _ in 0..self.below(3) {
            messages.push(json!({"role": "user", "content": self.text()}));
            messages.push(json!({"role": "assistant", "content": self.text()}));
        }
        messages.push(json!({"role": "user", "content": self.content(audio)}));
        let mut body = json!({"model": model, "messages": messages, "max_tokens": 1 + self.below(60)});
        if model.starts_with("anthropic") && self.chance(50) {
            let ttl = self.one(&["5m", "1h"]);
            body["messages"][0]["content"] = json!([{"type": "text", "text": self.text().repeat(3), "cache_control": {"type": "ephemeral", "ttl": ttl}}]);
        }
        if self.chance(30) {
            let name = self.one(&["look_up", "f", "get_weather"]).to_owned();
            body["tools"] = json!([{"type": "function", "function": {"name": name, "description": self.text(), "parameters": self.schema()}}]);
        }
        if self.chance(10) {
            body["response_format"] =
                json!({"type": "json_schema", "json_schema": {"name": "s", "schema": self.schema()}});
        }
        if model == "openai/gpt-4o-mini" && self.chance(20) {
            body["service_tier"] = json!("priority");
        }
        if model.starts_with("openai") && self.chance(15) {
            body["n"] = json!(1 + self.below(3));
        }
        body
    }
}

/// The bound, and the tokens of the prompt and of the answer that it allows.
fn bound(call: &Arc<Call>) -> Result<(i64, u64, u64), String> {
    let plan = route::plan(call).map_err(|error| error.to_string())?;
    let (route, target) = plan.steps[0].clone();
    let encoded = encode(Attempt {
        call: call.clone(),
        target,
        route,
        pass: Default::default(),
        instead: None,
        script: None,
        racer: None,
        ordinal: 0,
    })
    .map_err(|error| error.to_string())?;
    let bound = encoded.bound().map_err(|error| error.to_string())?;
    let prompt = encoded.ceiling.as_ref().map_or(0, weir_gateway::bound::Ceiling::prompt_tokens);
    Ok((bound, prompt, encoded.output.tokens.unwrap_or(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_costs_more_than_its_bound() {
    const ALL: usize = 10_000;
    let sent = weir_e2e::scale(1_500, ALL);
    let inside = Inside::start(PRICES, weir_adapter_openai::adapter, Durability::Process);
    let front: Arc<dyn Front> = weir_adapter_openai::front();
    let mut random = Random::seeded();
    let (mut answered, mut least) = (0, i64::MAX);
    for number in 0..ALL {
        let body = random.request();
        let call = inside.call(front.clone(), &body);
        let (most, prompt, output) = bound(&call).unwrap_or_else(|error| panic!("{error}: {body}"));
        check_engine(
            &inside,
            &call,
            &mut random,
            (most, prompt.min(body.to_string().len() as u64), output),
            &body,
        );
        if number % (ALL / sent) != 0 {
            continue;
        }
        let Ok(reply) = inside.stack.clone().call(call.clone()).await else { continue };
        assert!(matches!(reply.body, Body::Whole(_)));
        let cost = reply.outcome().and_then(|outcome| outcome.cost_nanousd).expect("priced");
        assert!(cost <= most, "{cost} > {most}: {body}");
        answered += 1;
        least = least.min(most - cost);
    }
    weir_e2e::figure(format_args!("{answered} answered, the nearest {least} nano-dollars below its bound"));
    assert!(answered > sent * 9 / 10, "{answered}");
}

/// Any split of the prompt's bytes as tokens into classes, and of the answer's limit, costs no more.
fn check_engine(
    inside: &Inside,
    call: &Arc<Call>,
    random: &mut Random,
    (most, prompt, output): (i64, u64, u64),
    body: &Value,
) {
    let route = inside.snapshot().resolve(call.request.model()).unwrap();
    let price = route.targets[0].price().unwrap();
    let text = body.to_string();
    let possible = |class: Class| match class {
        Class::AudioIn => text.contains("input_audio"),
        Class::ImageIn => text.contains("image_url"),
        Class::AudioOut => false,
        Class::CacheWrite1h => text.contains("\"1h\""),
        _ => true,
    };
    let tier = match body["service_tier"].as_str() {
        Some(name) => ServiceTier::from_name(name),
        None => ServiceTier::Standard,
    };
    let (mut left_in, mut left_out) =
        (random.below(prompt as usize + 1) as u64, random.below(output as usize + 1) as u64);
    let mut usage = Usage::new();
    for class in TOKEN_CLASSES.into_iter().filter(|class| possible(*class)) {
        let left = if class.is_input() { &mut left_in } else { &mut left_out };
        let share = if random.chance(30) { *left } else { random.below(*left as usize + 1) as u64 };
        usage.set(class, share);
        *left -= share;
    }
    let cost = price.cost_in(&usage, tier).expect("priced").0;
    assert!(cost <= most, "{cost} > {most} for {usage:?}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_may_do_unasked_has_no_bound() {
    let inside = Inside::start("", weir_adapter_openai::adapter, Durability::Process);
    let request = |more: Value| {
        let mut body = json!({"model": "openai/gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bound(&inside.call(weir_adapter_openai::front(), &body))
    };
    let plain = request(json!({})).unwrap();
    assert!(request(json!({"web_search_options": {}})).unwrap_err().contains("web_search_options"));
    let file = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]);
    let window = request(json!({"messages": file})).unwrap();
    assert_eq!(window.1, 128_000, "what lies elsewhere fills the window");
    // The same word behind an escape.
    let hidden = json!({"model": "openai/gpt-4o", "max_tokens": 5, "messages": file})
        .to_string()
        .replace("\"file\"", "\"\\u0066ile\"");
    let raw = inside.call_raw(weir_adapter_openai::front(), hidden);
    assert_eq!(bound(&raw).unwrap().1, 128_000);
    let choices = request(json!({"n": 3})).unwrap();
    assert_eq!(choices.2, 15);
    assert!(plain.1 < 1_000, "{}", plain.1);
    let image =
        |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    let small = request(json!({"messages": image("https://x.test/p.png")})).unwrap();
    let inline =
        request(json!({"messages": image(&format!("data:image/png;base64,{}", "A".repeat(400_000)))}))
            .unwrap();
    assert!((1_445..3_000).contains(&small.1) && inline.1 < 3_000, "{} {}", small.1, inline.1);
}
