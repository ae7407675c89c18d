use super::*;

/// Puts the chunks of a stream together, and says what stands in it.
fn assembled(operation: Operation, chunks: &[&str]) -> Option<Value> {
    let mut events: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
    events.push(b"[DONE]");
    let whole = OpenAi.assemble(operation, &events)?;
    Some(serde_json::from_slice(&whole).unwrap())
}

fn events(stream: &Bytes) -> Vec<String> {
    let text = std::str::from_utf8(stream).unwrap();
    text.split("\n\n").filter_map(|frame| frame.strip_prefix("data: ")).map(str::to_owned).collect()
}

/// A whole answer that is taken apart and put together is the same again.
#[track_caller]
fn round_trip(operation: Operation, whole: &Value) {
    let stream = OpenAi.stream(operation, whole.to_string().as_bytes(), true).unwrap();
    let events = events(&stream);
    let events: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    let again: Value = serde_json::from_slice(&OpenAi.assemble(operation, &events).unwrap()).unwrap();
    assert_eq!(*whole, again);
}

#[test]
fn puts_a_stream_together() {
    let found = assembled(
        Operation::Chat,
        &[
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":"f","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"a"}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"b"}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"He"},"logprobs":{"content":[{"token":"He","logprob":-0.1}]}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"y"},"logprobs":{"content":[{"token":"y","logprob":-0.2}]}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"t1","type":"function","function":{"name":"g","arguments":""}}]}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"f","arguments":"{\"a"}},{"index":1,"function":{"arguments":"{}"}}]}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        ],
    );
    let want = json!({
        "id": "c", "object": "chat.completion", "created": 7, "model": "m", "system_fingerprint": "f",
        "choices": [{"index": 0, "finish_reason": "tool_calls",
            "logprobs": {"content": [{"token": "He", "logprob": -0.1}, {"token": "y", "logprob": -0.2}]},
            "message": {"role": "assistant", "content": "Hey", "refusal": null, "reasoning_content": "ab", "tool_calls": [
                {"id": "t0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "t1", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    });
    assert_eq!(found, Some(want));
}

#[test]
fn reasoning_blocks_are_one_by_index() {
    let chunk = |detail: Value| {
        json!({"id": "c", "choices": [{"index": 0, "delta": {"reasoning_details": [detail]}, "finish_reason": "stop"}]}).to_string()
    };
    let chunks = [
        chunk(json!({"type": "reasoning.text", "text": "a", "index": 0})),
        chunk(json!({"type": "reasoning.text", "text": "b", "signature": "s", "index": 0})),
        chunk(json!({"type": "reasoning.encrypted", "data": "d", "index": 1})),
        chunk(json!({"type": "reasoning.text", "text": "x"})),
    ];
    let found = assembled(Operation::Chat, &chunks.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let want = json!([
        {"type": "reasoning.text", "text": "ab", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "index": 1},
        {"type": "reasoning.text", "text": "x"},
    ]);
    assert_eq!(found["choices"][0]["message"]["reasoning_details"], want);
}

#[test]
fn what_is_not_known_is_not_put_together() {
    let piece = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    let both = |one: Value, other: Value| {
        let (one, other) = (piece(one), piece(other));
        assembled(Operation::Chat, &[&one, &other])
    };
    assert!(both(json!({"odd": "a"}), json!({"odd": "a"})).is_some());
    assert_eq!(both(json!({"odd": "a"}), json!({"odd": "b"})), None);
    assert_eq!(both(json!({"content": "a"}), json!({"content": [{"type": "text"}]})), None);
    assert_eq!(both(json!({"tool_calls": [{"id": "a"}]}), json!({})), None);
    let open = piece(json!({"content": "a"}));
    assert_eq!(OpenAi.assemble(Operation::Chat, &[open.as_bytes()]), None);
    assert_eq!(OpenAi.assemble(Operation::Chat, &[]), None);
}

#[test]
fn whole_answers_go_there_and_back() {
    let message = json!({"role": "assistant", "content": "h\u{e9}\n\"", "reasoning": "r", "annotations": [{"type": "url_citation"}],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]});
    round_trip(
        Operation::Chat,
        &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": {"content": [{"logprob": -1e-7}]}, "message": message},
            {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": null}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0}}),
    );
    round_trip(
        Operation::Completions,
        &json!({"id": "c", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "text": "t", "logprobs": {"tokens": ["t"]}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}),
    );
}

#[test]
fn usage_only_for_those_who_ask() {
    let whole = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "a"}}], "usage": {"x": 1}}).to_string();
    let count = |asked| events(&OpenAi.stream(Operation::Chat, whole.as_bytes(), asked).unwrap()).len();
    assert_eq!((count(true), count(false)), (4, 3));
}

#[test]
fn only_complete_answers_count() {
    let check = |reason: Value, want: bool| {
        let whole = json!({"choices": [{"finish_reason": "stop"}, {"finish_reason": reason}]}).to_string();
        assert_eq!(OpenAi.is_complete(Operation::Chat, whole.as_bytes()), want, "{whole}");
    };
    check(json!("stop"), true);
    check(json!("tool_calls"), true);
    check(json!("length"), false);
    check(json!("content_filter"), false);
    check(json!("error"), false);
    check(Value::Null, false);
    assert!(!OpenAi.is_complete(Operation::Chat, b"{\"choices\":[]}"));
    let refused = br#"{"choices":[{"finish_reason":"stop","message":{"refusal":"no"}}]}"#;
    assert!(!OpenAi.is_complete(Operation::Chat, refused));
    assert!(OpenAi.is_complete(Operation::Embeddings, br#"{"data":[{}]}"#));
    assert!(!OpenAi.is_complete(Operation::Embeddings, b"{}"));
}
