use std::sync::Arc;

use weir_adapter::{EncodeOptions, ReplyForm, WireBody};
use weir_wire::openai::chat::{Chunk, ChunkChoice, Content, Delta, FunctionCall, ReasoningDetail, ToolCall};

use super::*;

fn request(operation: Operation, body: &Value) -> Result<Request, InvalidRequest> {
    let head = http::Request::new(()).into_parts().0;
    let body = Bytes::from(body.to_string());
    let peek = GenerateContent.peek(operation, &head, &body)?;
    Ok(Request::new(operation, Arc::new(GenerateContent), body, peek))
}

fn chat(body: &Value) -> Value {
    let request = request(Operation::Chat, body).unwrap();
    serde_json::to_value(request.typed().unwrap().as_chat().unwrap()).unwrap()
}

#[test]
fn a_request_becomes_a_chat() {
    let sent = chat(&json!({"model": "m", "systemInstruction": {"parts": [{"text": "be"}]}, "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "_-8"}}]},
        {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "yes"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "ok"}}}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": true}}}}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"temperature": 0.5, "topK": 3, "maxOutputTokens": 7, "stopSequences": ["x"],
            "responseMimeType": "application/json", "thinkingConfig": {"thinkingBudget": 1024}}}));
    let expected = json!([
        {"role": "system", "content": "be"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,/+8"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "yes"}], "reasoning_content": "hm",
         "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
        {"role": "tool", "content": "ok", "tool_call_id": "call_1"},
    ]);
    assert_eq!(sent["messages"], expected);
    let schema = json!({"type": "object", "properties": {"type": {"type": ["string", "null"]}}});
    assert_eq!(sent["tools"], json!([{"type": "function", "function": {"name": "f", "parameters": schema}}]));
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!((&sent["max_tokens"], &sent["top_k"], &sent["stop"]), (&json!(7), &json!(3), &json!(["x"])));
    assert_eq!(
        (&sent["reasoning_effort"], &sent["response_format"]["type"]),
        (&json!("low"), &json!("json_object"))
    );
    assert_eq!(sent["tools[1].googleSearch"], json!({}));
}

#[test]
fn refuses() {
    for (body, param) in [
        (json!({"contents": [{}]}), "model"),
        (json!({"model": "m"}), "contents"),
        (json!({"model": "m", "contents": []}), "contents"),
        (
            json!({"model": "m", "contents": [{}], "generationConfig": {"maxOutputTokens": "7"}}),
            "generationConfig.maxOutputTokens",
        ),
    ] {
        assert_eq!(request(Operation::Chat, &body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    for (body, param) in [
        (json!({"model": "m", "contents": [{"role": "robot"}]}), "contents[0].role"),
        (
            json!({"model": "m", "contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}),
            "contents[0].parts[0]",
        ),
        (json!({"model": "m", "contents": [{}], "cachedContent": "c"}), "cachedContent"),
    ] {
        let request = request(Operation::Chat, &body).unwrap();
        assert_eq!(request.typed().unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn gemini_gets_the_clients_bytes() {
    let own = r#"{"model":"smart","stream":true,"contents":[{"parts":[{"text":"é  "}]}],"cachedContent":"c","x": 1}"#;
    let value: Value = serde_json::from_str(own).unwrap();
    let head = http::Request::new(()).into_parts().0;
    let peek = GenerateContent.peek(Operation::Chat, &head, own.as_bytes()).unwrap();
    let request = Request::new(Operation::Chat, Arc::new(GenerateContent), own.into(), peek);
    let adapter = crate::adapter(crate::tests::descriptor());
    let wire = adapter.encode(&request, &EncodeOptions::new("gemini-x")).unwrap();
    assert_eq!(wire.path, "/v1beta/models/gemini-x:streamGenerateContent?alt=sse");
    let WireBody::Bytes(sent) = &wire.body else { panic!("bytes") };
    assert_eq!(
        &sent[..],
        r#"{"contents":[{"parts":[{"text":"é  "}]}],"cachedContent":"c","x": 1}"#.as_bytes()
    );
    let ReplyForm::Native(mut reader) = adapter.reply_form(&request) else { panic!("it passes") };
    let frame = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hey\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5}}\r\n\r\n";
    assert!(reader.frame(frame).unwrap().semantic);
    reader.end().unwrap();
    assert_eq!(reader.usage().unwrap().prompt_tokens(), 3);
    drop(value);
}

#[test]
fn calls_go_out_whole_with_what_must_come_back() {
    let piece = |delta: Delta| {
        let choice = ChunkChoice { delta, ..ChunkChoice::default() };
        openai::Chunk::Chat(Chunk {
            id: "c".into(),
            model: "up".into(),
            choices: vec![choice],
            ..Chunk::default()
        })
    };
    let detail = |text: Option<&str>, signature: Option<&str>| {
        let detail = ReasoningDetail {
            kind: "reasoning.text".into(),
            text: text.map(Into::into),
            signature: signature.map(Into::into),
            format: Some("anthropic-claude-v1".into()),
            index: Some(0),
            ..ReasoningDetail::default()
        };
        piece(Delta { reasoning_details: Some(vec![detail]), ..Delta::default() })
    };
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str| {
        let function = FunctionCall {
            name: name.map(Into::into),
            arguments: Some(arguments.into()),
            ..FunctionCall::default()
        };
        let call = ToolCall {
            id: id.map(Into::into),
            function: Some(function),
            index: Some(0),
            ..ToolCall::default()
        };
        piece(Delta { tool_calls: Some(vec![call]), ..Delta::default() })
    };
    let mut encoder =
        GenerateContent.encoder(&request(Operation::Chat, &json!({"model": "m", "contents": [{}]})).unwrap());
    let mut out = BytesMut::new();
    for chunk in [
        detail(Some("a"), None),
        detail(None, Some("sig")),
        piece(Delta { content: Some(Content::Text("hi".into())), ..Delta::default() }),
        call(Some("c1"), Some("f"), "{\"a\""),
        call(None, None, ":1}"),
    ] {
        encoder.chunk(chunk, &mut out);
    }
    encoder.end(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let parts: Vec<Value> = events
        .iter()
        .flat_map(|event| event["candidates"][0]["content"]["parts"].as_array().cloned().unwrap())
        .collect();
    assert_eq!(parts[0], json!({"text": "a", "thought": true}));
    assert_eq!(parts[1], json!({"text": "hi"}));
    assert_eq!(parts[2]["functionCall"], json!({"id": "c1", "name": "f", "args": {"a": 1}}));
    assert_eq!(events.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    let back = chat(&json!({"model": "m", "contents": [{"role": "model", "parts": parts}]}));
    let details = json!([{"type": "reasoning.text", "text": "a", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}]);
    assert_eq!(back["messages"][0]["reasoning_details"], details);
}

#[test]
fn errors_in_its_own_words() {
    let error = openai::Error::new("invalid_request_error", "x", "change it");
    let body: Value = serde_json::from_slice(&GenerateContent.error(404, &error)).unwrap();
    assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&json!(404), &json!("NOT_FOUND")));
    let event = GenerateContent.error_event(&openai::Error::new("upstream_error", "upstream_truncated", "m"));
    assert!(
        event.starts_with(b"data: {\"error\":{\"code\":502,\"message\":\"m\",\"status\":\"UNAVAILABLE\""),
        "{event:?}"
    );
}
