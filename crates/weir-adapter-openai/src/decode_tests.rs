//! Tests of [`super`].

use weir_adapter::ErrorKind;
use weir_adapter::testkit::{Whole, stream};

use super::*;

fn decoder() -> ChatDecoder {
    ChatDecoder::new(Operation::Chat, Convention::default())
}

fn chunks(data: &[Value]) -> Result<Vec<openai::Chunk>, ProviderError> {
    let text: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
    stream::decode(&mut decoder(), format!("{text}data: [DONE]\n\n").as_bytes(), &[])
}

/// The deltas of a stream whose chunks have these choices.
#[track_caller]
fn check(choices: &[Value], expected: &[Value]) {
    let data: Vec<Value> =
        choices.iter().map(|choice| json!({"id": "r-1", "model": "m", "choices": [choice]})).collect();
    let found: Vec<Value> = chunks(&data)
        .unwrap()
        .iter()
        .map(|chunk| serde_json::from_slice::<Value>(&chunk.to_json()).unwrap()["choices"][0]["delta"].take())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn reasoning_has_one_name() {
    check(
        &[
            json!({"delta": {"reasoning": "a"}}),
            json!({"delta": {"reasoning_content": "b", "content": null}}),
            json!({"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "c"}]}, {"type": "text", "text": "d"}]}}),
            json!({"delta": {"content": [{"type": "thinking", "thinking": "e"}]}}),
            json!({"delta": {"reasoning": "f", "reasoning_content": "f"}}),
            json!({"delta": {"reasoning": {"odd": 1}, "content": "g"}}),
        ],
        &[
            json!({"reasoning_content": "a"}),
            json!({"reasoning_content": "b"}),
            json!({"content": "d", "reasoning_content": "c"}),
            json!({"content": "", "reasoning_content": "e"}),
            json!({"reasoning_content": "f"}),
            json!({"content": "g"}),
        ],
    );
}

#[test]
fn pieces_of_tool_calls_are_completed() {
    check(
        &[
            json!({"delta": {"role": null, "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": null}}]}}),
            json!({"delta": {"tool_calls": [{"function": {"arguments": "{}", "name": null}}]}}),
            json!({"delta": {"tool_calls": [{"id": "c2", "type": "function", "function": {"name": "g", "arguments": {"a": 1}}}]}}),
            json!({"delta": {"tool_calls": [{"id": "c1", "function": {"arguments": " "}}]}}),
            json!({"delta": {"tool_calls": []}}),
        ],
        &[
            json!({"tool_calls": [{"id": "c1", "index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [{"id": "c2", "index": 1, "type": "function", "function": {"name": "g", "arguments": "{\"a\":1}"}}]}),
            json!({"tool_calls": [{"id": "c1", "index": 0, "function": {"arguments": " "}}]}),
            json!({}),
        ],
    );
}

#[test]
fn calls_without_ids_get_some() {
    let call =
        json!({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g"}}]});
    let data = json!({"id": "chatcmpl-77", "choices": [{"delta": call, "finish_reason": "tool_call"}]});
    let whole = Whole::of_chunks(&chunks(&[data]).unwrap());
    let calls: Vec<_> =
        whole.answers[&0].calls.values().map(|call| (call.id.as_str(), call.name.as_str())).collect();
    assert_eq!(calls, [("call_77_0_0", "f"), ("call_77_0_1", "g")]);
    assert_eq!(whole.answers[&0].finish_reason.as_deref(), Some("tool_calls"));
}

#[test]
fn perplexity_repeats_the_message() {
    let message = |text: &str| json!({"message": {"role": "assistant", "content": text}});
    check(
        &[
            message("He"),
            message("Hello"),
            json!({"delta": {"content": "!"}, "message": {"content": "Hello!"}}),
            json!({"finish_reason": "stop"}),
        ],
        &[
            json!({"role": "assistant", "content": "He"}),
            json!({"role": "assistant", "content": "llo"}),
            json!({"content": "!"}),
            json!({}),
        ],
    );
}

#[test]
fn all_chunks_have_one_head() {
    let data = [
        json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}),
        json!({"id": "a", "created": 5.7, "model": "m", "choices": [{"delta": {"content": "x"}}]}),
        json!({"choices": [{"delta": {}, "finish_reason": "eos"}], "usage": {"prompt_tokens": 1}}),
    ];
    let chunks = chunks(&data).unwrap();
    assert_eq!(chunks.len(), 2);
    let last: Value = serde_json::from_slice(&chunks[1].to_json()).unwrap();
    assert_eq!((&last["id"], &last["created"], &last["model"]), (&json!("a"), &json!(5), &json!("m")));
    assert_eq!(
        (&last["object"], &last["choices"][0]["finish_reason"]),
        (&json!("chat.completion.chunk"), &json!("stop"))
    );
    assert_eq!(last["usage"]["prompt_tokens"], 1);
}

#[test]
fn several_choices_and_usage_from_groq() {
    let data = [
        json!({"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}, {"index": 1, "delta": {}, "finish_reason": "length"}],
            "x_groq": {"usage": {"prompt_tokens": 7}}}),
    ];
    let whole = Whole::of_chunks(&chunks(&data).unwrap());
    assert_eq!((whole.answers[&0].text.as_str(), whole.answers[&1].text.as_str()), ("a", "b"));
    assert_eq!(whole.answers[&1].finish_reason.as_deref(), Some("length"));
    assert_eq!(whole.usage.unwrap().prompt_tokens, 7);
}

#[track_caller]
fn check_fails(stream_text: &str, kind: ErrorKind) {
    let found = stream::decode(&mut decoder(), stream_text.as_bytes(), &[]);
    assert_eq!(found.unwrap_err().kind, kind, "{stream_text}");
}

#[test]
fn failures_are_errors() {
    check_fails("", ErrorKind::Empty);
    check_fails("data: [DONE]\n\n", ErrorKind::Empty);
    check_fails("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", ErrorKind::Truncated);
    check_fails("data: {\"choices\":[1]}\n\n", ErrorKind::Nonsense);
    check_fails("data: {\"choices\":[{\"delta\":{\"tool_calls\":[1]}}]}\n\n", ErrorKind::Nonsense);
    check_fails("data: {\"choices\":[{\"delta\":{\"content\":5}}]}\n\n", ErrorKind::Nonsense);
    check_fails("data: {a}\n\n", ErrorKind::Nonsense);
    check_fails("{\"a\": 1}\n\n", ErrorKind::Nonsense);
    check_fails("{\"error\": {\"code\": 429}}\n\n", ErrorKind::RateLimit);
    check_fails("event: error\ndata: {\"error\":{\"status_code\":503}}\n\n", ErrorKind::Overloaded);
    check_fails("data: {\"error\":{\"message\":\"x\"}}\n\n", ErrorKind::Server);
    check_fails("data: {\"choices\":[{\"delta\":{},\"error\":{\"code\":429}}]}\n\n", ErrorKind::RateLimit);
}

#[test]
fn a_stream_without_its_mark_is_complete_once_it_finished() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(stream::decode(&mut decoder(), text.as_bytes(), &[]).unwrap().len(), 1);
    let more = format!("{text}data: [DONE]\n\n{text}");
    assert_eq!(stream::decode(&mut decoder(), more.as_bytes(), &[]).unwrap().len(), 1);
}

#[test]
fn whole_chat_replies() {
    let body = json!({"id": "x-9", "choices": [{"delta": {}, "finish_reason": "tool_call", "message": {"content": [{"type": "text", "text": "t"}],
        "reasoning": "r", "refusal": null, "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}, {"id": "k", "function": {"name": "g"}}]}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": null}});
    let mut decoder = decoder();
    let response = decoder.whole(format!("  \n{body}").as_bytes()).unwrap();
    let whole = Whole::of_response(&response);
    let answer = &whole.answers[&0];
    assert_eq!((answer.text.as_str(), answer.reasoning.as_str()), ("t", "r"));
    assert_eq!((answer.calls[&0].id.as_str(), answer.calls[&0].arguments.as_str()), ("call_9_0_0", "{}"));
    assert_eq!((answer.calls[&1].id.as_str(), answer.calls[&1].arguments.as_str()), ("k", "{}"));
    assert_eq!(answer.finish_reason.as_deref(), Some("tool_calls"));
    assert_eq!(decoder.usage().unwrap().prompt_tokens(), 1);
}

#[test]
fn whole_replies_of_the_other_operations() {
    let mut text = ChatDecoder::new(Operation::Completions, Convention::default());
    let response =
        text.whole(br#"{"choices":[{"text":null,"finish_reason":"MAX_TOKENS","logprobs":null}]}"#).unwrap();
    let whole = Whole::of_response(&response);
    assert_eq!(whole.answers[&0].finish_reason.as_deref(), Some("length"));
    let stream_text = "data: {\"choices\":[{\"text\":\"ab\",\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n";
    let mut text = ChatDecoder::new(Operation::Completions, Convention::default());
    assert_eq!(
        Whole::of_chunks(&stream::decode(&mut text, stream_text.as_bytes(), &[]).unwrap()).answers[&0].text,
        "ab"
    );
    let mut embeddings = ChatDecoder::new(Operation::Embeddings, Convention::default());
    let body =
        br#"{"object":"list","data":[{"index":0,"embedding":[0.1]}],"id":null,"usage":{"prompt_tokens":3}}"#;
    assert!(matches!(embeddings.whole(body), Ok(openai::Response::Embeddings(_))));
    assert_eq!(embeddings.usage().unwrap().prompt_tokens(), 3);
    assert_eq!(embeddings.whole(b"{}").unwrap_err().kind, ErrorKind::Nonsense);
}

#[test]
fn whole_replies_that_are_none() {
    for (body, kind) in [
        ("x", ErrorKind::Nonsense),
        ("[]", ErrorKind::Nonsense),
        ("{}", ErrorKind::Nonsense),
        (r#"{"choices":[]}"#, ErrorKind::Empty),
        (r#"{"choices":[1]}"#, ErrorKind::Nonsense),
        (r#"{"error":"down"}"#, ErrorKind::Server),
        (r#"{"object":"error","message":"m"}"#, ErrorKind::Server),
    ] {
        assert_eq!(decoder().whole(body.as_bytes()).unwrap_err().kind, kind, "{body}");
    }
}
