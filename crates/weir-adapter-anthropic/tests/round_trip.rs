//! Conversations that cross the dialects: signatures come back byte for byte, streams put together by Anthropic's rules.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{Foreign, Said, Spec, chat, decoder};
use weir_adapter::Operation;
use weir_adapter::testkit::{Whole, stream};
use weir_adapter_anthropic::front;
use weir_wire::openai::chat::{
    Choice, Chunk, ChunkChoice, Content, Delta, FunctionCall, Message, ReasoningDetail, Response, ToolCall,
};
use weir_wire::openai::{self, usage::Usage};

const MODEL: &str = "claude-sonnet-4-5";

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
}

/// What Claude answers in the first turn of the loop.
fn first_reply() -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "model": MODEL, "content": [
        {"type": "thinking", "thinking": "Look\nit up — é", "signature": "EuECCkgICRACGAIqQDqf+/rgajV80I=="},
        {"type": "redacted_thinking", "data": "EtgBCkYIBxgCKkDQfGkw/+=="},
        {"type": "text", "text": "One moment."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
        {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}
    ], "stop_reason": "tool_use", "usage": {"input_tokens": 10, "output_tokens": 20}})
}

/// Anthropic's events for a whole reply, deltas in pieces of a few characters.
fn events(message: &Value) -> Vec<u8> {
    let mut out = String::new();
    let mut send = |event: Value| {
        out.push_str(&format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    };
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    send(json!({"type": "message_start", "message": start}));
    for (index, block) in message["content"].as_array().unwrap().iter().enumerate() {
        let mut begun = block.clone();
        let mut deltas = Vec::new();
        let pieces = |text: &Value| -> Vec<String> {
            let text = if text.is_string() { text.as_str().unwrap().to_owned() } else { text.to_string() };
            text.chars().collect::<Vec<_>>().chunks(5).map(|piece| piece.iter().collect()).collect()
        };
        for (member, kind, name, empty) in [
            ("thinking", "thinking_delta", "thinking", json!("")),
            ("text", "text_delta", "text", json!("")),
            ("input", "input_json_delta", "partial_json", json!({})),
        ] {
            if let Some(value) = block.get(member).filter(|value| **value != json!({})) {
                deltas.extend(pieces(value).into_iter().map(|piece| json!({"type": kind, name: piece})));
                begun[member] = empty;
            }
        }
        if let Some(signature) = block.get("signature") {
            deltas.push(json!({"type": "signature_delta", "signature": signature}));
            begun["signature"] = json!("");
        }
        send(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        deltas
            .into_iter()
            .for_each(|delta| send(json!({"type": "content_block_delta", "index": index, "delta": delta})));
        send(json!({"type": "content_block_stop", "index": index}));
    }
    send(
        json!({"type": "message_delta", "delta": {"stop_reason": message["stop_reason"], "stop_sequence": null}, "usage": message["usage"]}),
    );
    send(json!({"type": "message_stop"}));
    out.into_bytes()
}

/// A chat client's second turn: the answer as it got it, then the results.
fn second_turn(assistant: &Message) -> Value {
    json!({"model": "m", "max_tokens": 9000, "reasoning_effort": "low", "tools": weather(), "messages": [
        {"role": "user", "content": "Weather?"}, serde_json::to_value(assistant).unwrap(),
        {"role": "tool", "tool_call_id": "toolu_1", "content": "sun"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "no city", "is_error": true}
    ]})
}

#[test]
fn chat_clients_bring_signatures_back() {
    let reply = first_reply();
    let Ok(openai::Response::Chat(whole)) = decoder().whole(reply.to_string().as_bytes()) else {
        panic!("a reply")
    };
    let (body, dropped) = chat(second_turn(&whole.choices[0].message), MODEL);
    assert_eq!(body["messages"][1]["content"], reply["content"]);
    assert_eq!((dropped.len(), &body["thinking"]["type"]), (0, &json!("enabled")));
    assert_eq!(body["messages"][2]["content"][1]["is_error"], true);
    if let Some(problem) = Spec::load().and_then(|spec| spec.problem(&body)) {
        panic!("{problem}");
    }
}

#[test]
fn streamed_answers_come_back_too() {
    let reply = first_reply();
    let chunks = stream::decode(decoder().as_mut(), &events(&reply), &[]).unwrap();
    let answer = &Whole::of_chunks(&chunks).answers[&0];
    let call = |call: &weir_adapter::testkit::Call| ToolCall {
        id: Some(call.id.clone()),
        kind: Some("function".to_owned()),
        function: Some(FunctionCall {
            name: Some(call.name.clone()),
            arguments: Some(call.arguments.clone()),
            ..FunctionCall::default()
        }),
        ..ToolCall::default()
    };
    let message = Message {
        role: "assistant".to_owned(),
        content: Some(Content::Text(answer.text.clone())),
        reasoning_content: Some(answer.reasoning.clone()),
        reasoning_details: Some(answer.reasoning_details.clone()),
        tool_calls: Some(answer.calls.values().map(call).collect()),
        ..Message::default()
    };
    let (body, dropped) = chat(second_turn(&message), MODEL);
    assert_eq!((&body["messages"][1]["content"], dropped.len()), (&reply["content"], 0));
    // A client that keeps the pieces as they came.
    let pieces = |chunk: &openai::Chunk| match chunk {
        openai::Chunk::Chat(chunk) => {
            chunk.choices.first().and_then(|choice| choice.delta.reasoning_details.clone())
        }
        openai::Chunk::Completions(_) => None,
    };
    let pieces = chunks.iter().filter_map(pieces).flatten().collect();
    let (body, _) = chat(second_turn(&Message { reasoning_details: Some(pieces), ..message }), MODEL);
    assert_eq!(body["messages"][1]["content"], reply["content"]);
}

#[test]
fn blocks_that_openai_lacks_come_back_whole_and_streamed() {
    let mut reply = first_reply();
    reply["content"] = json!([
        {"type": "text", "text": "I will search."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}]},
        {"type": "text", "text": "It is so."}
    ]);
    reply["stop_reason"] = "end_turn".into();
    let Ok(openai::Response::Chat(whole)) = decoder().whole(reply.to_string().as_bytes()) else {
        panic!("a reply")
    };
    let (body, _) = chat(second_turn(&whole.choices[0].message), MODEL);
    assert_eq!(body["messages"][1]["content"], reply["content"]);

    let chunks = stream::decode(decoder().as_mut(), &events(&reply), &[]).unwrap();
    let mut blocks = Vec::new();
    for chunk in &chunks {
        let openai::Chunk::Chat(chunk) = chunk else { continue };
        let carried = chunk.choices.first().and_then(|choice| choice.delta.extra.get("content_blocks"));
        blocks.extend(carried.and_then(Value::as_array).into_iter().flatten().cloned());
    }
    assert_eq!(Value::Array(blocks), reply["content"]);
    // A client that has changed the text gets its own text sent.
    let mut changed = whole.choices[0].message.clone();
    changed.content = Some(Content::Text("Something else.".to_owned()));
    let (body, _) = chat(second_turn(&changed), MODEL);
    assert_eq!(body["messages"][1]["content"], "Something else.");
}

// === Clients of /v1/messages, other providers ===

fn decoded(body: &Value) -> weir_wire::openai::chat::Request {
    match front().decode(Operation::Chat, body.to_string().as_bytes()) {
        Ok(openai::Request::Chat(chat)) => chat,
        other => panic!("{other:?}"),
    }
}

/// What Gemini or another provider answers, as its adapter hands it on.
fn foreign_message() -> Message {
    let mut hung = Map::new();
    hung.insert("extra_content".to_owned(), json!({"google": {"thought_signature": "AbC+/=="}}));
    Message {
        role: "assistant".to_owned(),
        content: Some(Content::Text("Moment".to_owned())),
        reasoning_content: Some("think".to_owned()),
        reasoning_details: Some(vec![
            ReasoningDetail {
                kind: "reasoning.text".to_owned(),
                text: Some("think".to_owned()),
                signature: Some("SIG+/==".to_owned()),
                format: Some("google-gemini-v1".to_owned()),
                index: Some(0),
                ..ReasoningDetail::default()
            },
            ReasoningDetail {
                kind: "reasoning.encrypted".to_owned(),
                data: Some("DATA+/==".to_owned()),
                format: Some("google-gemini-v1".to_owned()),
                id: Some("call_1".to_owned()),
                index: Some(1),
                ..ReasoningDetail::default()
            },
            ReasoningDetail {
                kind: "google.part".to_owned(),
                format: Some("google-gemini-v1".to_owned()),
                index: Some(2),
                extra: Map::from_iter([("part".to_owned(), json!({"executableCode": {"code": "1"}}))]),
                ..ReasoningDetail::default()
            },
        ]),
        tool_calls: Some(vec![ToolCall {
            id: Some("call_1".to_owned()),
            kind: Some("function".to_owned()),
            function: Some(FunctionCall {
                name: Some("weather".to_owned()),
                arguments: Some(r#"{"city":"Bern"}"#.to_owned()),
                ..FunctionCall::default()
            }),
            extra: hung,
            ..ToolCall::default()
        }]),
        ..Message::default()
    }
}

/// The next request of a client that sends the content back as it got it.
#[track_caller]
fn comes_back(content: &Value) {
    let sent = json!({"model": "gemini", "max_tokens": 9, "messages": [
        {"role": "user", "content": "Weather?"}, {"role": "assistant", "content": content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "sun"}]}]});
    let chat = decoded(&sent);
    let expected = foreign_message();
    let back = &chat.messages[1];
    assert_eq!(back.text(), expected.text());
    assert_eq!(back.reasoning_content, expected.reasoning_content);
    assert_eq!(back.reasoning_details, expected.reasoning_details);
    assert_eq!(back.tool_calls, expected.tool_calls);
    assert_eq!(
        (chat.messages[2].role.as_str(), chat.messages[2].tool_call_id.as_deref()),
        ("tool", Some("call_1"))
    );
}

#[test]
fn signatures_of_others_survive_a_messages_client() {
    let response = Response {
        id: "resp-1".to_owned(),
        choices: vec![Choice {
            message: foreign_message(),
            finish_reason: Some("tool_calls".to_owned()),
            ..Choice::default()
        }],
        ..Response::default()
    };
    let written = support::written_whole(openai::Response::Chat(response));
    assert_eq!(written["stop_reason"], "tool_use");
    comes_back(&written["content"]);
}

#[test]
fn and_so_they_do_in_streams() {
    let whole = foreign_message();
    let details = whole.reasoning_details.unwrap();
    let (mut text, mut signature) = (details[0].clone(), details[0].clone());
    (text.signature, signature.text) = (None, None);
    let mut call = whole.tool_calls.unwrap().remove(0);
    call.index = Some(0);
    let deltas = [
        Delta { role: Some("assistant".to_owned()), ..Delta::default() },
        Delta {
            reasoning_content: Some("think".to_owned()),
            reasoning_details: Some(vec![text]),
            ..Delta::default()
        },
        Delta {
            reasoning_details: Some(vec![signature, details[1].clone(), details[2].clone()]),
            ..Delta::default()
        },
        Delta { content: Some(Content::Text("Moment".to_owned())), ..Delta::default() },
        Delta { tool_calls: Some(vec![call]), ..Delta::default() },
    ];
    let chunks: Vec<openai::Chunk> = deltas
        .into_iter()
        .map(|delta| chunk(delta, None))
        .chain([chunk(Delta::default(), Some("tool_calls"))])
        .collect();
    let message = support::assemble(&support::written(&chunks));
    assert_eq!(message["stop_reason"], "tool_use");
    comes_back(&message["content"]);
}

fn chunk(delta: Delta, finish: Option<&str>) -> openai::Chunk {
    let choice = ChunkChoice { delta, finish_reason: finish.map(str::to_owned), ..ChunkChoice::default() };
    openai::Chunk::Chat(Chunk {
        id: "c1".to_owned(),
        model: "m".to_owned(),
        choices: vec![choice],
        ..Chunk::default()
    })
}

#[test]
fn plain_reasoning_and_parallel_calls_in_any_order() {
    let call = |index: u32, id: Option<&str>, arguments: &str| ToolCall {
        index: Some(index),
        id: id.map(str::to_owned),
        function: Some(FunctionCall {
            name: id.map(|_| "f".to_owned()),
            arguments: Some(arguments.to_owned()),
            ..FunctionCall::default()
        }),
        ..ToolCall::default()
    };
    let calls = |list: Vec<ToolCall>| chunk(Delta { tool_calls: Some(list), ..Delta::default() }, None);
    let mut last = Chunk {
        usage: Some(Usage {
            prompt_tokens: 7,
            completion_tokens: 3,
            cost: Some(serde_json::from_str("0.5").unwrap()),
            ..Usage::default()
        }),
        ..Chunk::default()
    };
    last.id = "c1".to_owned();
    let chunks = [
        chunk(Delta { reasoning: Some("a".to_owned()), ..Delta::default() }, None),
        chunk(
            Delta {
                reasoning: Some("b".to_owned()),
                content: Some(Content::Text(String::new())),
                ..Delta::default()
            },
            None,
        ),
        calls(vec![call(0, Some("x"), ""), call(1, None, "{\"b\"")]),
        calls(vec![call(0, None, "{\"a\":1}"), call(1, None, ":2}")]),
        chunk(Delta::default(), Some("stop")),
        openai::Chunk::Chat(last),
    ];
    let message = support::assemble(&support::written(&chunks));
    let said = Said::of_message(&message);
    assert_eq!(said.thinking, [("ab".to_owned(), String::new())]);
    assert_eq!(said.calls[0], ("x".to_owned(), "f".to_owned(), json!({"a": 1})));
    assert_eq!((said.calls[1].0.as_str(), &said.calls[1].2), ("toolu_c1_1", &json!({"b": 2})));
    assert_eq!((said.stop.as_str(), said.usage), ("tool_use", [7, 3, 0, 0]));
    assert_eq!(message["usage"]["cost"], 0.5);
    // Reasoning without proof goes back as plain text, for providers that want it so.
    let sent = json!({"model": "m", "messages": [{"role": "assistant", "content": message["content"]}]});
    let back = decoded(&sent);
    assert_eq!(
        (back.messages[0].reasoning_content.as_deref(), &back.messages[0].reasoning_details),
        (Some("ab"), &None)
    );
}

#[test]
fn pictures_that_a_model_made() {
    let images = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}]);
    let extra = Map::from_iter([("images".to_owned(), images)]);
    let block =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}});
    let streamed = support::assemble(&support::written(&[chunk(
        Delta { extra: extra.clone(), ..Delta::default() },
        Some("stop"),
    )]));
    assert_eq!(streamed["content"], json!([block]));
    let message = Message { extra, ..Message::default() };
    let response = Response { choices: vec![Choice { message, ..Choice::default() }], ..Response::default() };
    assert_eq!(support::written_whole(openai::Response::Chat(response))["content"], json!([block]));
}

#[test]
fn wrong_bodies_are_the_clients_to_change() {
    for (body, param) in [
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": "x"}), "messages"),
        (json!({"model": "m", "messages": [1]}), "messages[0]"),
        (json!({"model": "m", "messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"model": "m", "messages": [{"role": "king", "content": []}]}), "messages[0].role"),
        (json!({"model": "m", "messages": [], "temperature": "hot"}), "temperature"),
        (json!({"model": "m", "messages": [], "tools": [{"input_schema": {}}]}), "tools[0].name"),
        (json!({"model": "m", "messages": [], "tool_choice": {"type": "tool"}}), "tool_choice.name"),
        (json!({"model": "m", "messages": [], "system": 1}), "system"),
        (json!({"model": "m", "messages": [], "stop_sequences": "x"}), "stop_sequences"),
    ] {
        let error = front().decode(Operation::Chat, body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
    }
}

// === Anything both dialects have ===

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Zé\"\\\\ ]{0,11}[a-z]"
}

fn maybe_marked(block: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (block, any::<bool>()).prop_map(|(mut block, marked)| {
        if marked {
            block["cache_control"] = json!({"type": "ephemeral", "ttl": "5m"});
        }
        block
    })
}

fn user_block() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(|text| json!({"type": "text", "text": text})),
        Just(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}})),
        Just(json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}})),
        word().prop_map(|text| json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, "title": "t", "citations": {"enabled": true}})),
        Just(json!({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]})),
    ]
}

fn assistant() -> impl Strategy<Value = (Value, Value)> {
    (proptest::collection::vec(word(), 0..3), word(), 1..3usize, word()).prop_map(|(thoughts, text, calls, result)| {
        let mut content: Vec<Value> = thoughts
            .iter()
            .map(|thought| json!({"type": "thinking", "thinking": thought, "signature": format!("{thought}+/==")}))
            .collect();
        content.push(json!({"type": "text", "text": text}));
        let ids: Vec<String> = (0..calls).map(|at| format!("toolu_{at}")).collect();
        content.extend(ids.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {"x": [text, 1]}})));
        let results = ids.iter().map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": result, "is_error": false}));
        (json!({"role": "assistant", "content": content}), json!({"role": "user", "content": results.collect::<Vec<_>>()}))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Anthropic's form through OpenAI's and back is the same.
    #[test]
    fn requests_survive_the_other_dialect(
        first in proptest::collection::vec(user_block(), 1..4),
        marked in maybe_marked(user_block()),
        turns in proptest::collection::vec(assistant(), 0..3),
        system in proptest::option::of(word()),
        stop in proptest::option::of(proptest::collection::vec("[a-z]{1,3}", 1..3)),
        user in proptest::option::of("[a-z]{1,5}"),
        choice in prop_oneof![Just(json!({"type": "auto"})), Just(json!({"type": "any", "disable_parallel_tool_use": true})), Just(json!({"type": "tool", "name": "f"}))],
    ) {
        let mut content = first;
        content.push(marked);
        let mut messages = vec![json!({"role": "user", "content": content})];
        messages.extend(turns.into_iter().flat_map(|(assistant, results)| [assistant, results]));
        let mut body = json!({"model": MODEL, "max_tokens": 100, "messages": messages, "stream": true, "temperature": 0.5,
            "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": choice});
        if let Some(system) = system { body["system"] = system.into(); }
        if let Some(stop) = stop { body["stop_sequences"] = stop.into(); }
        if let Some(user) = user { body["metadata"] = json!({"user_id": user}); }
        let (back, wire) = support::encoded(Arc::new(Foreign(front())), &body, MODEL);
        prop_assert_eq!(&back, &body);
        prop_assert!(wire.dropped.is_empty(), "{:?}", wire.dropped);
        // The typed form is a chat request that survives JSON.
        let chat = decoded(&body);
        let again: weir_wire::openai::chat::Request = serde_json::from_value(serde_json::to_value(&chat).unwrap()).unwrap();
        prop_assert_eq!(again, chat);
    }

    /// No body makes the front panic, and what it takes the adapter takes or refuses.
    #[test]
    fn any_json_is_taken_or_refused(
        name in prop_oneof![Just("system"), Just("messages"), Just("tools"), Just("tool_choice"), Just("thinking"), Just("output_config"), Just("metadata"), Just("stop_sequences"), Just("cache_control")],
        value in prop_oneof![Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!([{}])), Just(json!([{"type": "text"}])), Just(json!("x")), Just(json!(1)), Just(json!([[1]])), Just(json!({"type": "x"}))],
    ) {
        let mut body = json!({"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
        body[name] = value;
        if front().decode(Operation::Chat, body.to_string().as_bytes()).is_ok() {
            let request = support::request(Arc::new(Foreign(front())), &body);
            let _ = support::adapter().encode(&request, &weir_adapter::EncodeOptions::new(MODEL));
        }
    }
}
