//! Chat requests through Anthropic's form and back: the same conversation.

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_adapter::Operation;
use weir_wire::openai;
use weir_wire::openai::chat::{Message, Request};

const MODEL: &str = "claude-sonnet-4-5";

/// Text that stands as it is: not empty, and not ending in space.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Zé\"\\\\{} \n]{0,20}[a-z.]"
}

fn user() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        text().prop_map(|text| json!({"type": "text", "text": text})),
        Just(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})),
        Just(
            json!({"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGOD=="}, "cache_control": {"type": "ephemeral"}})
        ),
        Just(
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}})
        ),
        text().prop_map(|name| json!({"type": "file", "file": {"file_id": "file_1", "filename": name}})),
    ];
    prop_oneof![
        text().prop_map(|text| json!({"role": "user", "content": text})),
        proptest::collection::vec(part, 1..4).prop_map(|parts| json!({"role": "user", "content": parts})),
    ]
}

/// An answer with thoughts and calls, and the results.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let call = ("[a-zA-Z0-9_]{1,9}", text(), any::<i64>());
    (proptest::option::of(text()), proptest::collection::vec(call, 1..3), any::<bool>()).prop_map(|(thought, calls, failed)| {
        let call = |(at, (name, value, number)): (usize, &(String, String, i64))| {
            let arguments = json!({"x": value, "n": number}).to_string();
            json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        };
        let mut assistant = json!({"role": "assistant", "content": null,
            "tool_calls": calls.iter().enumerate().map(call).collect::<Vec<_>>()});
        if let Some(thought) = &thought {
            assistant["reasoning_content"] = json!(thought);
            assistant["reasoning_details"] = json!([
                {"type": "reasoning.text", "text": thought, "signature": "A+/=", "format": "anthropic-claude-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "B+/=", "format": "anthropic-claude-v1", "index": 1}]);
        }
        let result = |(at, (_, value, _)): (usize, &(String, String, i64))| {
            let mut result = json!({"role": "tool", "tool_call_id": format!("call_{at}"), "content": value});
            if failed {
                result["is_error"] = true.into();
            }
            result
        };
        std::iter::once(assistant).chain(calls.iter().enumerate().map(result)).collect()
    })
}

/// The conversation, with text in one form.
fn said(request: &Request) -> Vec<(String, Value)> {
    let one = |message: &Message| {
        let mut json = serde_json::to_value(message).unwrap();
        let text = json["content"].as_str().map(|text| json!([{"type": "text", "text": text}]));
        if let Some(parts) = text {
            json["content"] = parts;
        }
        (message.role.clone(), json)
    };
    request.messages.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn chat_requests_survive_the_other_dialect(
        system in proptest::option::of(text()),
        rounds in proptest::collection::vec((user(), exchange()), 1..3),
        limit in 2_000..50_000_u64,
        choice in prop_oneof![Just(json!("auto")), Just(json!("none")), Just(json!("required")), Just(json!({"type": "function", "function": {"name": "f"}}))],
        parallel in proptest::option::of(any::<bool>()),
        stop in proptest::option::of("[a-z]{1,4}"),
    ) {
        let mut messages: Vec<Value> = system.iter().map(|text| json!({"role": "system", "content": text})).collect();
        // More than four cache markers can't be kept: that is tested elsewhere.
        let markers = serde_json::to_string(&rounds).unwrap_or_default().matches("cache_control").count();
        prop_assume!(markers <= 4);
        let last = rounds.len() - 1;
        for (at, (user, exchange)) in rounds.into_iter().enumerate() {
            messages.push(user);
            messages.extend(exchange);
            if at < last {
                // Else the next user's turn and the results would become one.
                messages.push(json!({"role": "assistant", "content": "Well."}));
            }
        }
        let mut body = json!({"model": MODEL, "messages": messages, "max_tokens": limit, "tool_choice": choice, "user": "u", "temperature": 0.25,
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}}]});
        if let Some(parallel) = parallel.filter(|_| body["tool_choice"] != "none") { body["parallel_tool_calls"] = parallel.into(); }
        if let Some(stop) = stop { body["stop"] = json!([stop]); }

        let (upstream, dropped) = support::chat(body.clone(), MODEL);
        prop_assert!(dropped.is_empty(), "{:?}", dropped);
        let back = weir_adapter_anthropic::front().decode(Operation::Chat, upstream.to_string().as_bytes());
        let Ok(openai::Request::Chat(back)) = back else { panic!("{back:?}") };
        let sent: Request = serde_json::from_value(body).unwrap();
        prop_assert_eq!(said(&back), said(&sent));
        let rest = |request: Request| Request { messages: Vec::new(), ..request };
        prop_assert_eq!(rest(back), rest(sent));
    }
}
