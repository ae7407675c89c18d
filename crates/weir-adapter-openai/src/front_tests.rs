//! Tests of [`super`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn peek(operation: Operation, body: &str) -> Result<Peek, InvalidRequest> {
    OpenAi.peek(operation, &http::Request::new(()).into_parts().0, body.as_bytes())
}

#[test]
fn a_glance_tells() {
    let body = r#"{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true},"max_tokens":5,
        "max_completion_tokens":7,"n":2,"user":"u\u0041"}"#;
    let found = peek(Operation::Chat, body).unwrap();
    assert_eq!((found.model.as_str(), found.stream, found.include_usage), ("m", true, true));
    assert_eq!((found.output_limit, found.choices, found.user.as_deref()), (Some(7), 2, Some("uA")));
    assert_eq!(found.members.list.len(), 8);
    let quiet = peek(Operation::Completions, r#"{"model":"m","prompt":["a"],"max_tokens":5,"stream":null,"stream_options":{"include_usage":true}}"#).unwrap();
    assert_eq!((quiet.stream, quiet.include_usage, quiet.output_limit), (false, false, Some(5)));
    let embeddings = peek(Operation::Embeddings, r#"{"model":"m","input":[[1,2]],"stream":true}"#).unwrap();
    assert!(!embeddings.stream);
}

#[track_caller]
fn check(operation: Operation, body: &str, code: &str, param: Option<&str>) {
    let error = peek(operation, body).unwrap_err();
    assert_eq!((error.code, error.param.as_deref()), (code, param), "{error}");
}

#[test]
fn bad_bodies_are_refused() {
    use Operation::{Chat, Completions, Embeddings};
    check(Chat, "nonsense", "invalid_json", None);
    check(Chat, "[]", "invalid_json", None);
    check(Chat, r#"{"model":"m","model":"n"}"#, "invalid_json", None);
    check(Chat, r#"{"messages":[{}]}"#, "missing_required_parameter", Some("model"));
    check(Chat, r#"{"model":"","messages":[{}]}"#, "missing_required_parameter", Some("model"));
    check(Chat, r#"{"model":5,"messages":[{}]}"#, "invalid_value", Some("model"));
    check(Chat, r#"{"model":"m"}"#, "missing_required_parameter", Some("messages"));
    check(Chat, r#"{"model":"m","messages":null}"#, "missing_required_parameter", Some("messages"));
    check(Chat, r#"{"model":"m","messages":[ ]}"#, "invalid_value", Some("messages"));
    check(Chat, r#"{"model":"m","messages":"hi"}"#, "invalid_value", Some("messages"));
    check(Chat, r#"{"model":"m","messages":[{}],"stream":"yes"}"#, "invalid_value", Some("stream"));
    check(
        Chat,
        r#"{"model":"m","messages":[{}],"stream_options":1}"#,
        "invalid_value",
        Some("stream_options"),
    );
    check(
        Chat,
        r#"{"model":"m","messages":[{}],"stream_options":{"include_usage":1}}"#,
        "invalid_value",
        Some("stream_options.include_usage"),
    );
    check(Chat, r#"{"model":"m","messages":[{}],"max_tokens":-1}"#, "invalid_value", Some("max_tokens"));
    check(
        Chat,
        r#"{"model":"m","messages":[{}],"max_completion_tokens":1.5}"#,
        "invalid_value",
        Some("max_completion_tokens"),
    );
    check(Chat, r#"{"model":"m","messages":[{}],"n":0}"#, "invalid_value", Some("n"));
    check(Chat, r#"{"model":"m","messages":[{}],"n":4294967296}"#, "invalid_value", Some("n"));
    check(Chat, r#"{"model":"m","messages":[{}],"user":[]}"#, "invalid_value", Some("user"));
    check(Completions, r#"{"model":"m"}"#, "missing_required_parameter", Some("prompt"));
    check(Completions, r#"{"model":"m","prompt":{}}"#, "invalid_value", Some("prompt"));
    check(Embeddings, r#"{"model":"m"}"#, "missing_required_parameter", Some("input"));
    check(Embeddings, r#"{"model":"m","input":""}"#, "invalid_value", Some("input"));
    check(Embeddings, r#"{"model":"m","input":[]}"#, "invalid_value", Some("input"));
    let wrong = OpenAi.decode(Operation::Chat, br#"{"model":"m","messages":[1]}"#).unwrap_err();
    assert_eq!(wrong.code, "invalid_value");
}

#[test]
fn decodes_each_operation() {
    assert!(matches!(OpenAi.decode(Operation::Chat, br#"{"model":"m"}"#), Ok(openai::Request::Chat(_))));
    assert!(matches!(OpenAi.decode(Operation::Completions, b"{}"), Ok(openai::Request::Completions(_))));
    assert!(matches!(OpenAi.decode(Operation::Embeddings, b"{}"), Ok(openai::Request::Embeddings(_))));
}

fn encoder(include_usage: bool) -> Box<dyn Encoder> {
    let body = format!(
        r#"{{"model":"m","messages":[{{}}],"stream":true,"stream_options":{{"include_usage":{include_usage}}}}}"#
    );
    let peek = peek(Operation::Chat, &body).unwrap();
    OpenAi.encoder(&Request::new(Operation::Chat, Arc::new(OpenAi), body.into(), peek))
}

fn written(include_usage: bool, chunks: Vec<openai::Chunk>) -> Vec<String> {
    let (mut encoder, mut out) = (encoder(include_usage), BytesMut::new());
    chunks.into_iter().for_each(|chunk| encoder.chunk(chunk, &mut out));
    encoder.end(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
}

fn chat(json: Value) -> openai::Chunk {
    openai::Chunk::Chat(serde_json::from_value(json).unwrap())
}

#[test]
fn usage_goes_last_and_only_where_asked() {
    let chunks = || {
        vec![
            chat(json!({"id": "1", "choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 1}})),
            chat(json!({"id": "1", "choices": [{"delta": {}, "finish_reason": "stop"}]})),
            chat(json!({"id": "1", "choices": [], "usage": {"prompt_tokens": 2}})),
        ]
    };
    let quiet = written(false, chunks());
    assert_eq!((quiet.len(), quiet[2].as_str()), (3, "[DONE]"));
    assert!(quiet.iter().all(|event| !event.contains("usage")));
    let asked = written(true, chunks());
    assert_eq!(asked.len(), 4);
    let usage: Value = serde_json::from_str(&asked[2]).unwrap();
    assert_eq!(
        (&usage["choices"], &usage["usage"]["prompt_tokens"], &usage["id"]),
        (&json!([]), &json!(2), &json!("1"))
    );
    assert_eq!(asked[3], "[DONE]");
}

#[test]
fn text_completions_stream_too() {
    let chunk = |json: Value| openai::Chunk::Completions(serde_json::from_value(json).unwrap());
    let events = written(
        true,
        vec![
            chunk(json!({"choices": [{"text": "a"}]})),
            chunk(json!({"choices": [{"text": "", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}})),
        ],
    );
    assert_eq!(events.len(), 4);
    assert!(events[2].contains(r#""choices":[]"#) && events[2].contains(r#""prompt_tokens":1"#));
}

#[test]
fn errors_have_openais_form() {
    let error = openai::Error::new("server_error", "overloaded", "try later");
    let body = r#"{"error":{"message":"try later","type":"server_error","param":null,"code":"overloaded"}}"#;
    assert_eq!(OpenAi.error(503, &error), body);
    assert_eq!(OpenAi.error_event(&error), format!("data: {body}\n\n"));
    assert_eq!(encoder(false).whole(openai::Response::Chat(openai::chat::Response::default()))[0], b'{');
    assert!(OpenAi.forwarded_headers().iter().all(|name| *name == name.to_lowercase()));
}
