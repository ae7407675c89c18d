use std::sync::Arc;

use weir_adapter::Descriptor;
use weir_adapter::adapter::{EncodeOptions, WireBody};
use weir_wire::openai::chat::{Chunk, ChunkChoice, Delta, FunctionCall, ReasoningDetail, ToolCall};

use super::*;

fn request(body: &Value) -> Result<Request, InvalidRequest> {
    let head = http::Request::new(()).into_parts().0;
    let body = Bytes::from(body.to_string());
    let peek = Responses.peek(Operation::Chat, &head, &body)?;
    let mut request = Request::new(Operation::Chat, Arc::new(Responses), body, peek);
    "1".clone_into(&mut request.id);
    Ok(request)
}

fn chat(body: Value) -> Value {
    let request = request(&body).unwrap();
    let chat = request.typed().unwrap().as_chat().unwrap().clone();
    serde_json::to_value(chat).unwrap()
}

#[test]
fn refuses_what_can_not_be_kept() {
    for (body, param) in [
        (json!({"input": "x"}), "model"),
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": []}), "input"),
        (json!({"model": "m", "input": 1}), "input"),
        (json!({"model": "m", "input": "x", "stream": 1}), "stream"),
        (json!({"model": "m", "input": "x", "background": true}), "background"),
        (json!({"model": "m", "input": "x", "prompt": {"id": "p"}}), "prompt"),
        (json!({"model": "m", "input": "x", "max_output_tokens": -1}), "max_output_tokens"),
    ] {
        assert_eq!(request(&body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    for (body, param) in [
        (json!({"model": "m", "input": [{"type": "item_reference", "id": "x"}]}), "input[0]"),
        (json!({"model": "m", "input": [{"role": "robot", "content": "x"}]}), "input[0].role"),
        (json!({"model": "m", "input": [{"type": "function_call", "name": "f"}]}), "input[0].call_id"),
        (json!({"model": "m", "input": "x", "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"model": "m", "input": "x", "text": {"format": {"type": "xml"}}}), "text.format.type"),
    ] {
        assert_eq!(request(&body).unwrap().typed().unwrap_err().param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn one_turn_of_the_assistant_is_one_message() {
    let signed = carrier::pack(&ReasoningDetail {
        kind: "reasoning.text".into(),
        signature: Some("s".into()),
        format: Some("anthropic-claude-v1".into()),
        index: Some(0),
        ..ReasoningDetail::default()
    });
    let hung = carrier::pack(&carrier::CallExtra {
        tool_call: "c2".into(),
        extra: json!({"extra_content": {"google": {"thought_signature": "g"}}}).as_object().unwrap().clone(),
    });
    let body = json!({"model": "m", "instructions": "be", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "https://x/y", "detail": "low"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": signed},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": hung},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "a\"b"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]});
    let sent = chat(body);
    let expected = json!([
        {"role": "system", "content": "be"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I"}],
         "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c2", "type": "function", "function": {"name": "patch", "arguments": "{\"input\":\"a\\\"b\"}"},
             "extra_content": {"google": {"thought_signature": "g"}}}],
         "reasoning_content": "hm",
         "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]},
        {"role": "tool", "content": "one", "tool_call_id": "c1"},
        {"role": "tool", "content": [{"type": "text", "text": "two"}], "tool_call_id": "c2"},
    ]);
    assert_eq!(sent["messages"], expected);
    assert_eq!(sent["input[8]"]["type"], "web_search_call");
}

#[test]
fn what_chat_lacks_is_reported_by_who_can_not_honour_it() {
    let body = json!({"model": "m", "input": "x", "store": false, "truncation": "auto", "max_tool_calls": 3,
        "include": ["reasoning.encrypted_content", "file_search_call.results"], "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"}, "tool_choice": {"type": "function", "name": "f"},
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true},
                  {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]}]});
    let descriptor: Descriptor = serde_saphyr::from_str(
        "{name: x, dialect: openai, title: X, evidence: declared, source: t, date: 2026-01-01, auth: bearer, operations: [chat]}",
    )
    .unwrap();
    let wire = crate::adapter(descriptor).encode(&request(&body).unwrap(), &EncodeOptions::new("m")).unwrap();
    let mut dropped = wire.dropped.clone();
    dropped.sort();
    assert_eq!(dropped, ["include[1]", "max_tool_calls", "tools[0]", "truncation"]);
    let WireBody::Bytes(sent) = &wire.body else { panic!("bytes") };
    let sent: Value = serde_json::from_slice(sent).unwrap();
    assert_eq!(sent["tools"][0]["function"]["name"], "f");
    assert_eq!(sent["tools"][1]["function"]["name"], "n__g");
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!((&sent["reasoning_effort"], &sent["verbosity"]), (&json!("low"), &json!("low")));
    assert_eq!(wire.path, "/chat/completions");
}

fn delta(delta: Delta) -> openai::Chunk {
    let choice = ChunkChoice { delta, ..ChunkChoice::default() };
    openai::Chunk::Chat(Chunk {
        id: "c".into(),
        model: "up".into(),
        choices: vec![choice],
        ..Chunk::default()
    })
}

fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> openai::Chunk {
    let function = FunctionCall {
        name: name.map(Into::into),
        arguments: Some(arguments.into()),
        ..FunctionCall::default()
    };
    let call = ToolCall {
        index: Some(index),
        id: id.map(Into::into),
        function: Some(function),
        ..ToolCall::default()
    };
    delta(Delta { tool_calls: Some(vec![call]), ..Delta::default() })
}

fn data(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn tools_get_their_own_form_back() {
    let body = json!({"model": "m", "input": "x", "stream": true, "tools": [
        {"type": "custom", "name": "patch"}, {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]}]});
    let mut encoder = Responses.encoder(&request(&body).unwrap());
    let mut out = BytesMut::new();
    for chunk in [
        call(0, Some("a"), Some("patch"), "{\"inp"),
        call(1, Some("b"), Some("n__g"), ""),
        call(0, None, None, "ut\":\"do\"}"),
        call(1, None, None, "{\"q\":1}"),
    ] {
        encoder.chunk(chunk, &mut out);
    }
    encoder.end(&mut out);
    let events = data(&out);
    let last = &events.last().unwrap()["response"];
    let expected = json!([
        {"id": "ctc_100", "type": "custom_tool_call", "status": "completed", "call_id": "a", "name": "patch", "input": "do"},
        {"id": "fc_101", "type": "function_call", "status": "completed", "call_id": "b", "name": "g", "namespace": "n", "arguments": "{\"q\":1}"},
    ]);
    assert_eq!(last["output"], expected);
    assert_eq!((&last["id"], &last["model"]), (&json!("resp_1"), &json!("up")));
    assert_eq!(last["tools"], body["tools"]);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"response.custom_tool_call_input.done"), "{kinds:?}");
}

#[test]
fn proofs_of_other_providers_come_along_and_back() {
    let detail = |text: Option<&str>, signature: Option<&str>| ReasoningDetail {
        kind: "reasoning.text".into(),
        text: text.map(Into::into),
        signature: signature.map(Into::into),
        format: Some("anthropic-claude-v1".into()),
        index: Some(0),
        ..ReasoningDetail::default()
    };
    let mut encoder = Responses.encoder(&request(&json!({"model": "m", "input": "x"})).unwrap());
    let mut out = BytesMut::new();
    for piece in [detail(Some("a"), None), detail(Some("b"), None), detail(None, Some("sig"))] {
        encoder.chunk(delta(Delta { reasoning_details: Some(vec![piece]), ..Delta::default() }), &mut out);
    }
    encoder
        .chunk(delta(Delta { content: Some("hi".to_owned().into_content()), ..Delta::default() }), &mut out);
    encoder.end(&mut out);
    let output = data(&out).last().unwrap()["response"]["output"].clone();
    assert_eq!(output[0]["summary"], json!([{"type": "summary_text", "text": "ab"}]));
    let back = chat(json!({"model": "m", "input": output}));
    let expected = json!([{"type": "reasoning.text", "text": "ab", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}]);
    assert_eq!(back["messages"][0]["reasoning_details"], expected);
    assert_eq!(back["messages"][0]["content"], json!([{"type": "text", "text": "hi"}]));
}

trait IntoContent {
    fn into_content(self) -> weir_wire::openai::chat::Content;
}

impl IntoContent for String {
    fn into_content(self) -> weir_wire::openai::chat::Content {
        weir_wire::openai::chat::Content::Text(self)
    }
}

#[test]
fn a_failure_within_the_answer_ends_it_as_failed() {
    let mut encoder = Responses.encoder(&request(&json!({"model": "m", "input": "x"})).unwrap());
    let mut out = BytesMut::new();
    encoder
        .chunk(delta(Delta { content: Some("hi".to_owned().into_content()), ..Delta::default() }), &mut out);
    assert!(encoder.error(&openai::Error::new("upstream_error", "upstream_truncated", "broke"), &mut out));
    let events = data(&out);
    let [.., error, failed] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!("broke")));
    assert_eq!(
        (&failed["type"], &failed["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
    assert_eq!(failed["sequence_number"], error["sequence_number"].as_u64().unwrap() + 1);
}

#[test]
fn what_weir_made_for_others_stays_away_from_openai() {
    let made = "0198c0ffee0070008000000000000001";
    let body = json!({"model": "m", "previous_response_id": "resp_1", "input": [
        {"type": "reasoning", "id": format!("rs_{made}00"), "summary": []},
        {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "weir:e30="},
        {"type": "reasoning", "id": "rs_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "message", "id": format!("msg_{made}01"), "role": "assistant", "content": []},
        {"type": "message", "id": "msg_68af4033", "role": "assistant", "content": []},
    ]});
    let descriptor: Descriptor = serde_saphyr::from_str(
        "{name: x, dialect: openai, title: X, evidence: declared, source: t, date: 2026-01-01, auth: bearer, operations: [chat, responses]}",
    )
    .unwrap();
    let wire = crate::adapter(descriptor).encode(&request(&body).unwrap(), &EncodeOptions::new("m")).unwrap();
    assert_eq!(
        (wire.path.as_ref(), &wire.dropped[..]),
        ("/responses", &["input[0]".to_owned(), "input[1]".to_owned()][..])
    );
    let WireBody::Bytes(sent) = &wire.body else { panic!("bytes") };
    let sent: Value = serde_json::from_slice(sent).unwrap();
    let expected = json!({"model": "m", "input": [
        body["input"][2], {"type": "message", "role": "assistant", "content": []}, body["input"][4],
    ]});
    assert_eq!(sent, expected);
}
