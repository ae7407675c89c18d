//! Tests of [`super`] and of the edits: what is sent, where, with which key.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use weir_adapter::Front;

use super::*;

fn adapter(file: &str) -> OpenAi {
    OpenAi::new(serde_saphyr::from_str(file).unwrap())
}

macro_rules! provider {
    ($name:literal) => {
        adapter(include_str!(concat!("../../../config/providers/", $name, ".yaml")))
    };
}

fn request(operation: Operation, body: &str) -> Request {
    let front: Arc<dyn Front> = crate::front();
    let peek = front.peek(operation, &http::Request::new(()).into_parts().0, body.as_bytes()).unwrap();
    Request::new(operation, front, Bytes::copy_from_slice(body.as_bytes()), peek)
}

fn sent(wire: &WireRequest) -> String {
    let WireBody::Bytes(bytes) = &wire.body else { panic!("bytes") };
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn check(adapter: &OpenAi, body: &str, options: &EncodeOptions<'_>, expected: &str, dropped: &[&str]) {
    let wire = adapter.encode(&request(Operation::Chat, body), options).unwrap();
    assert_eq!(sent(&wire), expected);
    assert_eq!(wire.dropped, dropped);
}

const PLAIN: &str = r#"{"model":"m", "messages":[{"role":"user","content":"é"}]}"#;

#[test]
fn bytes_pass_but_for_the_model() {
    let openai = provider!("openai");
    check(&openai, PLAIN, &EncodeOptions::new("m"), PLAIN, &[]);
    check(&openai, PLAIN, &EncodeOptions::new("gpt-4o"), &PLAIN.replace("\"m\"", "\"gpt-4o\""), &[]);
    let plain = request(Operation::Chat, PLAIN);
    let WireBody::Bytes(bytes) = openai.encode(&plain, &EncodeOptions::new("m")).unwrap().body else {
        panic!()
    };
    assert_eq!(bytes.as_ptr(), plain.raw().as_ptr(), "nothing was copied");
}

#[test]
fn streams_are_asked_for_usage() {
    let openai = provider!("openai");
    let options = EncodeOptions::new("m");
    let with = |more: &str| format!(r#"{{"model":"m","messages":[{{}}],"stream":true{more}}}"#);
    let usage = r#","stream_options":{"include_usage":true}"#;
    check(&openai, &with(""), &options, &with(usage), &[]);
    check(&openai, &with(usage), &options, &with(usage), &[]);
    check(&openai, &with(r#","stream_options":null"#), &options, &with(usage), &[]);
    check(&openai, &with(r#","stream_options":{"include_usage":false}"#), &options, &with(usage), &[]);
    check(
        &openai,
        &with(r#","stream_options":{"a":1}"#),
        &options,
        &with(r#","stream_options":{"a":1,"include_usage":true}"#),
        &[],
    );
    check(&openai, &with(""), &EncodeOptions { include_usage: false, ..options }, &with(""), &[]);
    check(&provider!("mistral"), &with(usage), &options, &with(""), &[]);
}

#[test]
fn limits_and_defaults_are_put_in() {
    let defaults =
        json!({"temperature": 0.2, "top_p": 1, "max_tokens": 9, "seed": 4}).as_object().unwrap().clone();
    let options =
        EncodeOptions { output_limit: Some(50), defaults: Some(&defaults), ..EncodeOptions::new("m") };
    let body = r#"{"model":"m","messages":[{}],"top_p":0.5}"#;
    let openai = provider!("openai");
    check(
        &openai,
        body,
        &options,
        r#"{"model":"m","messages":[{}],"top_p":0.5,"max_tokens":50,"temperature":0.2,"seed":4}"#,
        &[],
    );
    let mistral = provider!("mistral");
    let expected =
        r#"{"model":"m","messages":[{}],"top_p":0.5,"max_tokens":50,"temperature":0.2,"random_seed":4}"#;
    check(&mistral, body, &options, expected, &[]);
    let reasoning = EncodeOptions { model: "o3", ..options };
    let expected = r#"{"model":"o3","messages":[{}],"max_completion_tokens":50,"top_p":1,"seed":4}"#;
    let defaulted = check_order(&openai, r#"{"model":"m","messages":[{}]}"#, &reasoning);
    assert_eq!(defaulted, expected);
    let limited = r#"{"model":"m","messages":[{}],"max_completion_tokens":5}"#;
    let limited_out =
        check_order(&openai, limited, &EncodeOptions { output_limit: Some(50), ..EncodeOptions::new("m") });
    assert_eq!(limited_out, limited);
    let without = EncodeOptions { output_limit: None, ..options };
    assert!(check_order(&openai, r#"{"model":"m","messages":[{}]}"#, &without).contains(r#""max_tokens":9"#));
    let text = openai.encode(
        &request(Operation::Embeddings, r#"{"model":"m","input":"x"}"#),
        &EncodeOptions { output_limit: Some(5), ..EncodeOptions::new("m") },
    );
    assert_eq!(sent(&text.unwrap()), r#"{"model":"m","input":"x"}"#);
}

fn check_order(adapter: &OpenAi, body: &str, options: &EncodeOptions<'_>) -> String {
    sent(&adapter.encode(&request(Operation::Chat, body), options).unwrap())
}

#[test]
fn reasoning_models_get_what_they_take() {
    let openai = provider!("openai");
    let body = r#"{"model":"m","messages":[{}],"temperature":0.5,"max_tokens":5}"#;
    let bare = |model: &str| format!(r#"{{"model":"{model}","messages":[{{}}],"max_completion_tokens":5}}"#);
    let kept = |model: &str| {
        format!(r#"{{"model":"{model}","messages":[{{}}],"temperature":0.5,"max_completion_tokens":5}}"#)
    };
    for model in ["o3", "gpt-5-mini", "gpt-5.1-chat-latest", "gpt-5.5"] {
        check(&openai, body, &EncodeOptions::new(model), &bare(model), &["temperature"]);
    }
    for model in ["gpt-5.1", "gpt-5-chat-latest"] {
        check(&openai, body, &EncodeOptions::new(model), &kept(model), &[]);
    }
    check(&openai, body, &EncodeOptions::new("gpt-4o"), &body.replace("\"m\"", "\"gpt-4o\""), &[]);
    let effort = |effort: &str| {
        body.replace(r#","max_tokens""#, &format!(r#","reasoning_effort":"{effort}","max_tokens""#))
    };
    let wire = |effort_name: &str, model| {
        openai.encode(&request(Operation::Chat, &effort(effort_name)), &EncodeOptions::new(model)).unwrap()
    };
    assert_eq!(wire("high", "gpt-5.1").dropped, ["temperature"]);
    assert!(wire("none", "gpt-5.5").dropped.is_empty());
    let both = r#"{"model":"o3","messages":[{}],"max_tokens":5,"max_completion_tokens":6,"temperature":1}"#;
    check(
        &openai,
        both,
        &EncodeOptions::new("o3"),
        r#"{"model":"o3","messages":[{}],"max_completion_tokens":6,"temperature":1}"#,
        &[],
    );
    let system = r#"{"model":"o1-mini","messages":[{"role":"system","content":"a"}]}"#;
    check(&openai, system, &EncodeOptions::new("o1-mini"), &system.replace("system", "user"), &[]);
}

#[test]
fn empty_tools_are_not_sent() {
    let openai = provider!("openai");
    let options = EncodeOptions::new("m");
    let body =
        r#"{"model":"m","messages":[{}],"tools":[ ],"tool_choice":"required","parallel_tool_calls":true}"#;
    check(&openai, body, &options, r#"{"model":"m","messages":[{}]}"#, &[]);
    check(
        &openai,
        r#"{"model":"m","messages":[{}],"tool_choice":"none"}"#,
        &options,
        r#"{"model":"m","messages":[{}]}"#,
        &[],
    );
    let kept = r#"{"model":"m","messages":[{}],"tools":[{}],"tool_choice":"none"}"#;
    check(&openai, kept, &options, kept, &[]);
}

#[test]
fn mistral_gets_its_own_words() {
    let mistral = provider!("mistral");
    let body = r#"{"model":"m","messages":[{"role":"developer","content":"a"}],"seed":1,"user":"u","logprobs":null,"tools":[{}],"tool_choice":"required"}"#;
    let expected = r#"{"model":"m","messages":[{"role":"system","content":"a"}],"random_seed":1,"tools":[{}],"tool_choice":"any"}"#;
    check(&mistral, body, &EncodeOptions::new("m"), expected, &["user"]);
    let bad = request(Operation::Chat, r#"{"model":"m","messages":["developer"]}"#);
    assert!(matches!(mistral.encode(&bad, &EncodeOptions::new("m")), Err(EncodeError::Invalid(_))));
    let tools = request(Operation::Chat, r#"{"model":"m","messages":[{}],"tools":[{}]}"#);
    let refused = provider!("perplexity").encode(&tools, &EncodeOptions::new("sonar"));
    assert!(matches!(refused, Err(EncodeError::Unsupported { param, .. }) if param == "tools"));
}

#[test]
fn addresses() {
    let path = |adapter: &OpenAi, operation| adapter.path(operation, "gpt 4/o").into_owned();
    let openai = provider!("openai");
    assert_eq!(path(&openai, Operation::Chat), "/chat/completions");
    assert_eq!(path(&openai, Operation::Completions), "/completions");
    assert_eq!(path(&openai, Operation::Embeddings), "/embeddings");
    assert_eq!(path(&provider!("ollama-openai"), Operation::Chat), "/v1/chat/completions");
    let file = include_str!("../../../config/providers/azure.yaml");
    assert_eq!(path(&adapter(file), Operation::Embeddings), "/openai/v1/embeddings");
    let dated = adapter(&format!("{file}\napi_version: 2024-10-21\n"));
    assert_eq!(
        path(&dated, Operation::Chat),
        "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21"
    );
    assert!(dated.list_models().is_none());
    let newest = adapter(&format!("{file}\napi_version: v1\n"));
    let list = newest.list_models().unwrap();
    assert_eq!((list.method, &*list.path), (Method::GET, "/openai/v1/models"));
    assert!(provider!("demo").list_models().is_some());
    assert!(openai.serves(Operation::Embeddings) && !provider!("groq").serves(Operation::Embeddings));
}

#[test]
fn keys_stand_in_the_head() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let put = |adapter: &OpenAi, secret: &str| {
        let mut wire = WireRequest::json("/x", Bytes::new());
        adapter.authorize(&mut wire, &Credential::new("k", secret), now).map(|()| wire.headers)
    };
    let headers = put(&provider!("openai"), "secret").unwrap();
    assert_eq!(headers["authorization"], "Bearer secret");
    assert!(headers["authorization"].is_sensitive());
    assert_eq!(put(&provider!("azure"), "secret").unwrap()["api-key"], "secret");
    assert_eq!(put(&provider!("demo"), "secret").unwrap().len(), 1);
    assert_eq!(put(&provider!("vllm"), "").unwrap().len(), 1);
    assert_eq!(put(&provider!("openai"), "a\nb").unwrap_err(), EncodeError::Credential("k".to_owned()));
}

#[test]
fn headers_of_client_and_descriptor_go_along() {
    let file = format!(
        "{}\nheaders: {{ x-title: weir, \"b\\u00e4d\": x }}\n",
        include_str!("../../../config/providers/demo.yaml")
    );
    let mut plain = request(Operation::Chat, PLAIN);
    plain.headers.insert("openai-beta", HeaderValue::from_static("x=1"));
    let wire = adapter(&file).encode(&plain, &EncodeOptions::new("m")).unwrap();
    assert_eq!(
        (&wire.headers["x-title"], &wire.headers["openai-beta"]),
        (&HeaderValue::from_static("weir"), &HeaderValue::from_static("x=1"))
    );
}

#[test]
fn model_lists() {
    let openai = provider!("openai");
    let ids = |body: &str| openai.model_ids(body.as_bytes()).join(" ");
    assert_eq!(ids(r#"{"object":"list","data":[{"id":"a"},{"id":"b"},{}]}"#), "a b");
    assert_eq!(ids(r#"[{"id":"a"}]"#), "a");
    assert_eq!(ids(r#"{"models":[{"name":"l"}]}"#), "l");
    assert_eq!(ids("x"), "");
}
