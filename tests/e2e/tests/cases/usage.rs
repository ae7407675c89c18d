//! W-033: what 203 golden usages become in the real readers and decoders, and what that costs by the catalog's
//! arithmetic. The golden side (`tests/golden/usage`) is made by code of its own.

use std::sync::Arc;

use serde_json::{Value, json};
use weir_adapter::{Adapter, Descriptor, Front, Operation, ReplyForm, Request};
use weir_catalog::{Catalog, Price, PriceFields, ServiceTier};
use weir_e2e::root;
use weir_wire::Usage;

/// A day on which no golden price has ended.
const DAY: i64 = 1_790_000_000;

struct Golden(Value);

impl Golden {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or("")
    }

    /// Embeddings have no output and no price for it.
    fn operation(&self) -> Operation {
        let usage = &self.0["usage"];
        let embeds = self.0["price"].get("output").is_none() && self.text("model").contains("embedding");
        match embeds || usage.get("promptTokenDetails").is_some() {
            true => Operation::Embeddings,
            false => Operation::Chat,
        }
    }

    fn adapter(&self) -> Arc<dyn Adapter> {
        let dialect = match self.text("convention") {
            "xai" => "openai",
            other => other,
        };
        // Anthropic's models at Azure speak Anthropic's dialect; its own endpoint in OpenAI's is any such endpoint.
        let name = match (self.text("provider"), dialect) {
            ("anthropic", "openai") => "openai-compatible",
            (_, "anthropic") => "anthropic",
            (provider, _) => provider,
        };
        let path = root().join(format!("config/providers/{name}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let descriptor: Descriptor = weir_config::yaml::parse(&text, name).unwrap();
        let make = [
            ("openai", weir_adapter_openai::adapter as fn(Descriptor) -> Arc<dyn Adapter>),
            ("anthropic", weir_adapter_anthropic::adapter),
            ("gemini", weir_adapter_gemini::adapter),
        ];
        make.iter().find(|(name, _)| *name == dialect).unwrap().1(descriptor)
    }

    /// A minimal reply around the usage.
    fn whole(&self) -> Value {
        let (usage, model) = (&self.0["usage"], self.text("model"));
        match (self.text("convention"), self.operation()) {
            ("anthropic", _) => json!({"id": "msg_1", "type": "message", "role": "assistant", "model": model,
                "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", "stop_sequence": null, "usage": usage}),
            ("gemini", Operation::Embeddings) => {
                json!({"embedding": {"values": [0.5]}, "usageMetadata": usage})
            }
            ("gemini", _) => {
                json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": usage, "modelVersion": model, "responseId": "r"})
            }
            (_, Operation::Embeddings) => json!({"object": "list", "model": model, "usage": usage,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}),
            _ => json!({"id": "c", "object": "chat.completion", "created": 1, "model": model, "usage": usage,
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}]}),
        }
    }

    /// The same as the frames of a stream.
    fn stream(&self) -> Vec<String> {
        let (usage, model) = (&self.0["usage"], self.text("model"));
        let data = |value: Value| format!("data: {value}\n\n");
        let named = |name: &str, value: Value| format!("event: {name}\ndata: {value}\n\n");
        match self.text("convention") {
            "anthropic" => vec![
                named(
                    "message_start",
                    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                    "model": model, "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage}}),
                ),
                named(
                    "content_block_start",
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
                named(
                    "content_block_delta",
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}),
                ),
                named("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
                named(
                    "message_delta",
                    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
                ),
                named("message_stop", json!({"type": "message_stop"})),
            ],
            "gemini" => vec![data(self.whole())],
            _ => {
                let chunk = |choices: Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices});
                let mut last = chunk(json!([]));
                last["usage"] = usage.clone();
                vec![
                    data(chunk(
                        json!([{"index": 0, "delta": {"role": "assistant", "content": "x"}, "finish_reason": null}]),
                    )),
                    data(chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]))),
                    data(last),
                    "data: [DONE]\n\n".to_owned(),
                ]
            }
        }
    }

    fn price(&self) -> Arc<Price> {
        let mut fields = self.0["price"].clone();
        fields["model"] = json!(format!("{}/{}", self.text("provider"), self.text("model")));
        let price: PriceFields = serde_json::from_value(fields).unwrap();
        let catalog = Catalog::new(Vec::new()).unwrap().with_prices(Vec::new(), vec![price]).unwrap();
        let schedule = catalog.schedule(self.text("provider"), self.text("provider"), self.text("model"));
        schedule.at(DAY).cloned().expect("the golden price is found")
    }

    /// What of the reader's counts differs from the golden ones.
    fn differs(&self, how: &str, usage: Option<&Usage>) -> Option<String> {
        let name = self.text("name");
        let Some(usage) = usage else { return Some(format!("{name} ({how}): no usage was read")) };
        let found: Value =
            usage.iter().map(|((class, _), count)| (class.name().to_owned(), json!(count))).collect();
        let found: Value = found
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if sorted(&found) != sorted(&self.0["classes"]) {
            return Some(format!("{name} ({how}): read {found}, golden {}", self.0["classes"]));
        }
        let tier = ServiceTier::from_name(self.0["tier"].as_str().unwrap_or("default"));
        let cost = self.price().cost_in(usage, tier).map(|cost| cost.0);
        let golden = self.0["cost_nanousd"].as_i64();
        (cost != golden).then(|| format!("{name} ({how}): costs {cost:?}, golden {golden:?}"))
    }
}

fn sorted(object: &Value) -> Vec<(&String, &Value)> {
    let mut pairs: Vec<_> = object.as_object().unwrap().iter().collect();
    pairs.sort_by_key(|(name, _)| *name);
    pairs
}

fn request(front: Arc<dyn Front>, operation: Operation, model: &str, stream: bool) -> Request {
    let body = match operation {
        Operation::Embeddings => json!({"model": model, "input": "x"}),
        _ => {
            json!({"model": model, "max_tokens": 8, "stream": stream, "messages": [{"role": "user", "content": "x"}]})
        }
    };
    let raw = bytes::Bytes::from(body.to_string());
    let (head, ()) = http::Request::new(()).into_parts();
    let peek = front.peek(operation, &head, &raw).unwrap();
    Request::new(operation, front, raw, peek)
}

fn read_whole(form: ReplyForm, body: &[u8]) -> (&'static str, Result<Option<Usage>, String>) {
    match form {
        ReplyForm::Native(mut reader) => {
            let read = reader.whole(body).map_err(|error| error.to_string());
            ("native", read.map(|_| reader.usage().cloned()))
        }
        ReplyForm::Foreign(mut decoder) => {
            let read = decoder.whole(body).map_err(|error| error.to_string());
            ("foreign", read.map(|_| decoder.usage().cloned()))
        }
    }
}

fn read_stream(form: ReplyForm, frames: &[String]) -> (&'static str, Result<Option<Usage>, String>) {
    match form {
        ReplyForm::Native(mut reader) => {
            let read = frames.iter().try_for_each(|frame| reader.frame(frame.as_bytes()).map(drop));
            let read = read.and_then(|()| reader.end()).map_err(|error| error.to_string());
            ("native stream", read.map(|_| reader.usage().cloned()))
        }
        ReplyForm::Foreign(mut decoder) => {
            let mut chunks = Vec::new();
            let read = frames.iter().try_for_each(|frame| decoder.frame(frame.as_bytes(), &mut chunks));
            let read = read.and_then(|()| decoder.end(&mut chunks)).map_err(|error| error.to_string());
            ("foreign stream", read.map(|()| decoder.usage().cloned()))
        }
    }
}

#[test]
fn w033_every_golden_usage_costs_exactly_what_it_should() {
    let (mut wrong, mut entries, mut readings) = (Vec::new(), 0, 0);
    for dialect in ["openai", "anthropic", "gemini"] {
        let text =
            std::fs::read_to_string(root().join(format!("tests/golden/usage/{dialect}.jsonl"))).unwrap();
        for line in text.lines() {
            let golden = Golden(serde_json::from_str(line).unwrap());
            entries += 1;
            let adapter = golden.adapter();
            let (operation, model) = (golden.operation(), golden.text("model"));
            let fronts = match operation {
                Operation::Embeddings => vec![weir_adapter_openai::front()],
                _ => vec![weir_adapter_openai::front(), weir_adapter_anthropic::front()],
            };
            for front in fronts {
                let whole = request(front.clone(), operation, model, false);
                let mut read =
                    vec![read_whole(adapter.reply_form(&whole), golden.whole().to_string().as_bytes())];
                if operation == Operation::Chat {
                    let streamed = request(front, operation, model, true);
                    read.push(read_stream(adapter.reply_form(&streamed), &golden.stream()));
                }
                for (how, usage) in read {
                    readings += 1;
                    match usage {
                        Ok(usage) => wrong.extend(golden.differs(how, usage.as_ref())),
                        Err(error) => wrong.push(format!("{} ({how}): {error}", golden.text("name"))),
                    }
                }
            }
        }
    }
    println!("{entries} golden usages, {readings} readings, {} wrong", wrong.len());
    assert!(entries >= 120, "{entries}");
    assert!(wrong.is_empty(), "{} of {readings}:\n{}", wrong.len(), wrong.join("\n"));
}
