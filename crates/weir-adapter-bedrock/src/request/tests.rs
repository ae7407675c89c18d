//! Requests as a whole.

use weir_adapter::testkit::plain;
use weir_adapter::{Operation, WireBody};

use super::*;

fn descriptor() -> Descriptor {
    serde_json::from_value(json!({
        "name": "bedrock", "dialect": "bedrock", "title": "t", "evidence": "verified", "source": "s", "date": "2026-11-01",
        "auth": "bearer", "chain": "aws", "operations": ["chat"],
        "model_rules": [
            {"models": ["*claude*"], "facts": {"reasoning": "budget", "top_k": "top_k"},
             "while_reasoning": {"drop": ["temperature", "top_p", "top_k"]}},
            {"models": ["*opus-5*"], "facts": {"reasoning": "adaptive"}, "parameters": {"drop": ["temperature"]}},
            {"models": ["*gpt-oss*"], "facts": {"reasoning": "effort"}},
            {"models": ["*nova*"], "facts": {"reasoning": "nova", "top_k": "nested"}},
            {"models": ["mistral.*"], "messages": {"tool_ids": "nine"}}
        ]
    }))
    .unwrap()
}

#[track_caller]
fn check(model: &str, asked: Value, expected: Value, left_out: &[&str]) {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
    let wire =
        encode(&descriptor(), &plain::request(Operation::Chat, &body), &EncodeOptions::new(model)).unwrap();
    let WireBody::Bytes(bytes) = &wire.body else { panic!("bytes") };
    let sent: Value = serde_json::from_slice(bytes).unwrap();
    let mut whole = json!({"messages": [{"role": "user", "content": [{"text": "a"}]}]});
    whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
    assert_eq!(sent, whole);
    assert_eq!(wire.dropped, left_out);
}

#[test]
fn sampling_and_limits() {
    check(
        "us.anthropic.claude-sonnet-4-5",
        json!({"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["x", ""], "top_k": 3}),
        json!({"inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
            "additionalModelRequestFields": {"top_k": 3}}),
        &[],
    );
    check(
        "amazon.nova-pro-v1:0",
        json!({"temperature": 1.5, "top_k": 3, "seed": 1, "n": 2}),
        json!({"inferenceConfig": {"temperature": 1}, "additionalModelRequestFields": {"inferenceConfig": {"topK": 3}}}),
        &["temperature", "n", "seed"],
    );
    check("meta.llama3", json!({"top_k": 3, "odd": true}), json!({}), &["top_k", "odd"]);
}

#[test]
fn reasoning_in_each_familys_words() {
    let fields = |fields: Value| json!({"additionalModelRequestFields": fields});
    let claude = "us.anthropic.claude-sonnet-4-5";
    let thinking = |budget: u64| fields(json!({"thinking": {"type": "enabled", "budget_tokens": budget}}));
    check(claude, json!({"reasoning_effort": "low", "temperature": 0.5}), thinking(4096), &["temperature"]);
    let mut usual = thinking(2000);
    usual["inferenceConfig"] = json!({"temperature": 1});
    check(claude, json!({"reasoning": {"max_tokens": 2000}, "temperature": 1}), usual, &[]);
    let mut within = thinking(1999);
    within["inferenceConfig"] = json!({"maxTokens": 2000});
    check(claude, json!({"reasoning_effort": "high", "max_tokens": 2000}), within, &[]);
    let small = json!({"inferenceConfig": {"maxTokens": 100}});
    check(claude, json!({"reasoning_effort": "high", "max_tokens": 100}), small, &["reasoning_effort"]);
    check(claude, json!({"reasoning_effort": "none"}), json!({}), &[]);
    check(
        "anthropic.claude-opus-5",
        json!({"reasoning_effort": "xhigh", "temperature": 0.2}),
        json!({"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}, "outputConfig": {"effort": "xhigh"}}),
        &["temperature"],
    );
    check(
        "openai.gpt-oss-20b-1:0",
        json!({"reasoning_effort": "xhigh"}),
        fields(json!({"reasoning_effort": "high"})),
        &[],
    );
    check(
        "us.amazon.nova-2-lite-v1:0",
        json!({"reasoning_effort": "minimal"}),
        fields(json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}})),
        &[],
    );
    check("meta.llama3", json!({"reasoning_effort": "low"}), json!({}), &["reasoning_effort"]);
    let own = json!({"type": "adaptive", "display": "summarized"});
    check(claude, json!({"thinking": own.clone()}), fields(json!({"thinking": own})), &[]);
}

#[test]
fn formats_tiers_and_own_members() {
    check(
        "m",
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {"type": "object"}}}}),
        json!({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "n", "schema": "{\"type\":\"object\"}", "description": "d"}}}}}),
        &[],
    );
    let guard = json!({"guardrailIdentifier": "g", "guardrailVersion": "1"});
    check(
        "m",
        json!({"service_tier": "flex", "guardrailConfig": guard, "additionalModelRequestFields": {"x": 1}}),
        json!({"serviceTier": {"type": "flex"}, "guardrailConfig": guard, "additionalModelRequestFields": {"x": 1}}),
        &[],
    );
    check("m", json!({"service_tier": "scale"}), json!({}), &["service_tier"]);
    let body = json!({"model": "m", "messages": [], "response_format": {"type": "json_object"}});
    let refused = encode(&descriptor(), &plain::request(Operation::Chat, &body), &EncodeOptions::new("m"));
    assert!(matches!(refused, Err(EncodeError::Unsupported { .. })));
}

#[test]
fn the_path_has_the_model_encoded() {
    for (stream, model, path) in [
        (
            false,
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
        ),
        (
            true,
            "arn:aws:bedrock:us-east-1:1:x/y",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ax%2Fy/converse-stream",
        ),
    ] {
        let body = json!({"model": "m", "messages": [], "stream": stream});
        let wire = encode(&descriptor(), &plain::request(Operation::Chat, &body), &EncodeOptions::new(model))
            .unwrap();
        assert_eq!(wire.path, path);
    }
}

#[test]
fn some_models_take_short_ids_only() {
    let call = json!({"id": "toolu_01", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "toolu_01", "content": "x"}]});
    let wire = encode(
        &descriptor(),
        &plain::request(Operation::Chat, &body),
        &EncodeOptions::new("mistral.mistral-large"),
    )
    .unwrap();
    let WireBody::Bytes(bytes) = &wire.body else { panic!("bytes") };
    let sent: Value = serde_json::from_slice(bytes).unwrap();
    let id = sent["messages"][0]["content"][0]["toolUse"]["toolUseId"].as_str().unwrap();
    assert_eq!((id.len(), &sent["messages"][1]["content"][0]["toolResult"]["toolUseId"]), (9, &json!(id)));
}
