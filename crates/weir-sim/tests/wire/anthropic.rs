//! The simulator as Anthropic.

use crate::client::{Answer, post, sim};
use serde_json::{Value, json};
use weir_sim::SimConfig;

const MESSAGES: &str = "/v1/messages";

fn hello(model: &str) -> Value {
    json!({"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": "hello there"}]})
}

fn with(mut body: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn tools() -> Value {
    json!([{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}])
}

/// Puts a stream's events together, as a client does.
fn assembled(answer: &Answer) -> Value {
    let mut message = Value::Null;
    let mut partial = String::new();
    for event in answer.events() {
        let index = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                partial.clear();
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let block = &mut message["content"][index];
                for (kind, key) in
                    [("text_delta", "text"), ("thinking_delta", "thinking"), ("signature_delta", "signature")]
                {
                    if delta["type"] == kind {
                        block[key] = json!(format!(
                            "{}{}",
                            block[key].as_str().unwrap(),
                            delta[key].as_str().unwrap()
                        ));
                    }
                }
                partial.push_str(delta["partial_json"].as_str().unwrap_or(""));
            }
            "content_block_stop" if message["content"][index]["type"] == "tool_use" => {
                message["content"][index]["input"] = serde_json::from_str(&partial).unwrap_or(json!({}));
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                for (key, value) in event["usage"].as_object().unwrap() {
                    message["usage"][key] = value.clone();
                }
            }
            _ => {}
        }
    }
    message
}

#[tokio::test]
async fn whole_and_streamed_say_and_cost_the_same() {
    let sim = sim(SimConfig::default());
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    for more in [
        json!({}),
        json!({"tools": tools()}),
        json!({"max_tokens": 3}),
        thinking,
        json!({"stop_sequences": ["said"]}),
    ] {
        let whole = post(&sim, MESSAGES, &with(hello("claude-sonnet-4-5"), more.clone())).await.json();
        let streamed = with(with(hello("claude-sonnet-4-5"), more.clone()), json!({"stream": true}));
        let streamed = assembled(&post(&sim, MESSAGES, &streamed).await);
        for key in ["stop_reason", "usage", "model", "role"] {
            assert_eq!(whole[key], streamed[key], "{more}");
        }
        let pairs = whole["content"].as_array().unwrap().iter().zip(streamed["content"].as_array().unwrap());
        for (one, other) in pairs {
            for key in ["type", "text", "thinking", "input", "name"] {
                assert_eq!(one[key], other[key], "{more}");
            }
        }
    }
}

#[tokio::test]
async fn the_tool_loop_with_thinking_needs_the_thinking_back_unchanged() {
    let sim = sim(SimConfig::default());
    let first = with(
        hello("claude-sonnet-4-5"),
        json!({"tools": tools(), "thinking": {"type": "enabled", "budget_tokens": 1024}}),
    );
    let answer = post(&sim, MESSAGES, &first).await.json();
    assert_eq!(answer["stop_reason"], "tool_use");
    let content = answer["content"].as_array().unwrap().clone();
    let id = content[1]["id"].clone();
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "sunny"}]});
    let second = |content: Vec<Value>| {
        let user = json!({"role": "user", "content": "hello there"});
        with(first.clone(), json!({"messages": [user, {"role": "assistant", "content": content}, result]}))
    };
    let good = post(&sim, MESSAGES, &second(content.clone())).await.json();
    let text = good["content"].as_array().unwrap().last().unwrap()["text"].clone();
    assert_eq!(text, "The tools say: sunny");
    let mut altered = content.clone();
    altered[0]["thinking"] = json!("something else");
    let mut resigned = content.clone();
    resigned[0]["signature"] = json!("AAAA");
    let missing = content[1..].to_vec();
    for (changed, why) in [
        (altered, "Invalid `signature`"),
        (resigned, "Invalid `signature`"),
        (missing, "Expected `thinking`"),
    ] {
        let answer = post(&sim, MESSAGES, &second(changed)).await;
        assert_eq!(answer.status, 400);
        assert!(answer.error().contains(why), "{}", answer.error());
    }
    let redacted = with(first.clone(), json!({"model": "claude-sonnet-4-5+redacted"}));
    let redacted = post(&sim, MESSAGES, &redacted).await.json()["content"].as_array().unwrap().clone();
    assert_eq!(redacted[0]["type"], "redacted_thinking");
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let sim = sim(SimConfig::default());
    let user = json!({"role": "user", "content": "x"});
    let call = |input: Value| json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": input}]});
    let result = |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "y"}]});
    let marked = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let cases = vec![
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (json!({"max_tokens": 70_000}), "maximum allowed number of output tokens"),
        (json!({"messages": []}), "at least one message"),
        (
            json!({"messages": [{"role": "assistant", "content": "x"}]}),
            "first message must use the \"user\" role",
        ),
        (json!({"messages": [user, user]}), "roles must alternate"),
        (json!({"messages": [{"role": "system", "content": "x"}]}), "Unexpected role \"system\""),
        (json!({"messages": [user, call(json!("{}")), result("t1")]}), "Input should be a valid dictionary"),
        (json!({"messages": [user, call(json!({})), user]}), "without `tool_result` blocks"),
        (json!({"messages": [user, call(json!({})), result("t2")]}), "without `tool_result` blocks"),
        (json!({"messages": [result("t1")]}), "unexpected `tool_use_id`"),
        (json!({"messages": [{"role": "user", "content": ""}]}), "must be non-empty"),
        (json!({"messages": [user, {"role": "assistant", "content": "x "}]}), "trailing whitespace"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "foo": 1}]}]}),
            "Extra inputs are not permitted",
        ),
        (json!({"system": [marked, marked, marked, marked, marked]}), "A maximum of 4 blocks"),
        (json!({"temperature": 0.5, "top_p": 0.5}), "cannot both be specified"),
        (json!({"temperature": 1.5}), "temperature: range: 0..1"),
        (json!({"seed": 1}), "seed: Extra inputs"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1000}}), "greater than or equal to 1024"),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            "must be greater than `thinking.budget_tokens`",
        ),
        (
            json!({"tools": tools(), "tool_choice": {"type": "any"}, "thinking": {"type": "enabled", "budget_tokens": 1024}}),
            "forces tool use",
        ),
        (json!({"model": "claude-opus-4-7", "temperature": 1.0}), "not supported for this model"),
        (json!({"model": "claude-nonexistent"}), "model: claude-nonexistent"),
        (json!({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}), "should match pattern"),
    ];
    for (more, why) in cases {
        let answer = post(&sim, MESSAGES, &with(hello("claude-sonnet-4-5"), more.clone())).await;
        assert!(answer.status.is_client_error(), "{more}");
        assert!(answer.error().contains(why), "{more}: {}", answer.error());
        assert_eq!(answer.json()["type"], "error");
    }
}

#[tokio::test]
async fn the_cache_is_written_once_and_then_read() {
    let sim = sim(SimConfig::default());
    let system = json!([
        {"type": "text", "text": "long ago and far away", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "and quite often too", "cache_control": {"type": "ephemeral"}},
    ]);
    let body = with(hello("claude-sonnet-4-5"), json!({"system": system}));
    let first = post(&sim, MESSAGES, &body).await.json()["usage"].clone();
    let second = post(&sim, MESSAGES, &body).await.json()["usage"].clone();
    assert_eq!(
        first["cache_creation"],
        json!({"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5})
    );
    assert_eq!(
        (&first["cache_creation_input_tokens"], &first["cache_read_input_tokens"]),
        (&json!(9), &json!(0))
    );
    assert_eq!(
        (&second["cache_creation_input_tokens"], &second["cache_read_input_tokens"]),
        (&json!(0), &json!(9))
    );
    assert_eq!(first["input_tokens"], second["input_tokens"]);
    let count =
        with(json!({"model": "claude-sonnet-4-5", "messages": body["messages"]}), json!({"system": system}));
    let counted = post(&sim, "/v1/messages/count_tokens", &count).await.json();
    assert_eq!(counted["input_tokens"].as_u64(), first["input_tokens"].as_u64().map(|tokens| tokens + 9));
}
