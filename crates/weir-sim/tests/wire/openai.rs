//! The simulator as OpenAI.

use crate::client::{post, send, sim};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use weir_sim::{Script, SimConfig};

const CHAT: &str = "/v1/chat/completions";

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello there"}]})
}

fn with(mut body: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])
}

#[tokio::test]
async fn whole_and_streamed_say_and_cost_the_same() {
    let sim = sim(SimConfig::default());
    for more in [
        json!({}),
        json!({"n": 3}),
        json!({"max_tokens": 5}),
        json!({"tools": tools()}),
        json!({"stop": "said"}),
    ] {
        let whole = post(&sim, CHAT, &with(hello("gpt-4o+tool_calls=2"), more.clone())).await.json();
        let options = json!({"stream": true, "stream_options": {"include_usage": true}});
        let chunks =
            post(&sim, CHAT, &with(with(hello("gpt-4o+tool_calls=2"), more.clone()), options)).await.events();
        assert_eq!(chunks.last().unwrap()["usage"], whole["usage"], "{more}");
        assert!(chunks.last().unwrap()["choices"].as_array().unwrap().is_empty());
        for choice in whole["choices"].as_array().unwrap() {
            let mine = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap());
            let mine: Vec<&Value> = mine.filter(|part| part["index"] == choice["index"]).collect();
            let text: String = mine.iter().filter_map(|part| part["delta"]["content"].as_str()).collect();
            assert_eq!(text, choice["message"]["content"].as_str().unwrap_or(""));
            assert_eq!(mine.last().unwrap()["finish_reason"], choice["finish_reason"]);
            assert_eq!(arguments(&mine), whole_arguments(choice), "{more}");
        }
    }
}

fn arguments(parts: &[&Value]) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for call in parts.iter().flat_map(|part| part["delta"]["tool_calls"].as_array().into_iter().flatten()) {
        let index = call["index"].as_u64().unwrap() as usize;
        if call["id"].is_string() {
            assert_eq!(index, calls.len());
            calls.push(String::new());
        }
        calls[index].push_str(call["function"]["arguments"].as_str().unwrap());
    }
    calls
}

fn whole_arguments(choice: &Value) -> Vec<String> {
    let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
    calls.map(|call| call["function"]["arguments"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn bad_requests_are_refused_in_openais_words() {
    let sim = sim(SimConfig::default());
    let call = json!({"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]});
    let user = json!({"role": "user", "content": "x"});
    let cases: Vec<(Value, u16, Value, Value)> = vec![
        (json!({"model": "gpt-4o"}), 400, json!("missing_required_parameter"), json!("messages")),
        (json!({"model": "gpt-4o", "messages": []}), 400, json!("empty_array"), json!("messages")),
        (hello("no-such-model"), 404, json!("model_not_found"), json!(null)),
        (hello("davinci-002"), 404, json!(null), json!("model")),
        (
            with(hello("o3"), json!({"max_tokens": 4})),
            400,
            json!("unsupported_parameter"),
            json!("max_tokens"),
        ),
        (
            with(hello("gpt-5"), json!({"temperature": 0.2})),
            400,
            json!("unsupported_value"),
            json!("temperature"),
        ),
        (
            with(hello("gpt-4o"), json!({"temperature": 2.5})),
            400,
            json!("decimal_above_max_value"),
            json!("temperature"),
        ),
        (with(hello("gpt-4o"), json!({"top_k": 4})), 400, json!("unknown_parameter"), json!("top_k")),
        (with(hello("gpt-4o"), json!({"tools": []})), 400, json!("empty_array"), json!("tools")),
        (with(hello("gpt-4o"), json!({"tool_choice": "auto"})), 400, json!(null), json!("tool_choice")),
        (
            with(hello("gpt-4o"), json!({"response_format": {"type": "json_object"}})),
            400,
            json!(null),
            json!("messages"),
        ),
        (with(hello("gpt-4o"), json!({"stream_options": {}})), 400, json!(null), json!("stream_options")),
        (json!({"model": "gpt-4o", "messages": [user, call]}), 400, json!(null), json!("messages")),
        (
            json!({"model": "gpt-4o", "messages": [user, {"role": "tool", "tool_call_id": "c1", "content": "y"}]}),
            400,
            json!(null),
            json!("messages[1].role"),
        ),
        (
            json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}),
            400,
            json!("invalid_value"),
            json!("messages[0].content[0].type"),
        ),
    ];
    for (body, status, code, param) in cases {
        let answer = post(&sim, CHAT, &body).await;
        assert_eq!(answer.status, status, "{body}");
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["param"]), (&code, &param), "{body}");
    }
}

#[tokio::test]
async fn a_key_is_needed_and_the_demo_needs_none() {
    let body = Bytes::from(hello("echo").to_string());
    let request = || Request::post(CHAT).header("host", "sim").body(Full::from(body.clone())).unwrap();
    assert_eq!(send(&sim(SimConfig::default()), request()).await.status, 401);
    let demo = sim(SimConfig::demo());
    let answer = send(&demo, request()).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hello there");
    assert_eq!(post(&demo, CHAT, &hello("gpt-4o")).await.status, 404);
}

#[tokio::test]
async fn the_demo_models_do_what_they_are_named_for() {
    let demo = sim(SimConfig::demo());
    let called = post(&demo, CHAT, &with(hello("tools"), json!({"tools": tools()}))).await.json();
    assert_eq!(called["choices"][0]["finish_reason"], "tool_calls");
    let mut failed = Vec::new();
    for _ in 0..10 {
        failed.push(post(&demo, CHAT, &hello("flaky")).await.status == 500);
    }
    assert_eq!(failed.iter().filter(|failed| **failed).count(), 2);
    let embedded = post(&demo, "/v1/embeddings", &json!({"model": "embed", "input": "x"})).await.json();
    assert_eq!(embedded["data"][0]["embedding"].as_array().unwrap().len(), 256);
    let story = post(&demo, CHAT, &hello("story")).await.json();
    assert_eq!(story["usage"]["completion_tokens"], 300);
}

#[tokio::test]
async fn a_schema_is_followed() {
    let sim = sim(SimConfig::default());
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["n", "tags"],
        "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
    let answer = post(&sim, CHAT, &with(hello("gpt-4o"), json!({"response_format": format}))).await.json();
    let content: Value =
        serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(content["n"].is_i64());
    assert_eq!(content["tags"][0], "a");
}

#[tokio::test]
async fn a_long_prompt_is_cached_the_second_time() {
    let sim = sim(SimConfig::default());
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "word ".repeat(3000)}]});
    let usage = |answer: crate::client::Answer| answer.json()["usage"].clone();
    let first = usage(post(&sim, CHAT, &body).await);
    let second = usage(post(&sim, CHAT, &body).await);
    assert_eq!(first["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(second["prompt_tokens_details"]["cached_tokens"], 2944);
    assert_eq!(first["prompt_tokens"], second["prompt_tokens"]);
}

#[tokio::test]
async fn a_script_fails_twice_and_then_is_well() {
    let sim = sim(SimConfig { capture: 10, ..SimConfig::default() });
    let script = br#"{"rules": [{"match": {"model": "gpt-4o"}, "sequence": ["status=500", "status=429+header=retry-after:2"]}]}"#;
    sim.set_script(Script::from_json(script).unwrap()).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = post(&sim, CHAT, &hello("gpt-4o")).await;
        seen.push((answer.status.as_u16(), answer.headers.contains_key("retry-after")));
    }
    assert_eq!(seen, [(500, false), (429, true), (200, false)]);
    assert_eq!(sim.captured().len(), 3);
    assert_eq!(sim.captured()[0].path, CHAT);
}

#[tokio::test]
async fn streams_fail_as_told() {
    let sim = sim(SimConfig::default());
    let streamed = |words: &str| with(hello(&format!("gpt-4o+{words}")), json!({"stream": true}));
    let error = post(&sim, CHAT, &streamed("error_event_at=2")).await.events();
    assert_eq!((error.len(), error[2]["error"]["type"].as_str()), (3, Some("server_error")));
    let ended = post(&sim, CHAT, &streamed("end_at=3")).await;
    assert_eq!(ended.events().len(), 3);
    assert!(!ended.body.ends_with(b"[DONE]\n\n"));
    let done = post(&sim, CHAT, &streamed("slice=1+pings=1+crlf")).await;
    assert!(done.body.starts_with(b": keep-alive\n\ndata: ") && done.body.ends_with(b"data: [DONE]\r\n\r\n"));
    let garbled = post(&sim, CHAT, &hello("gpt-4o+garble")).await;
    assert!(serde_json::from_slice::<Value>(&garbled.body).is_err());
}

#[tokio::test]
async fn the_truth_log_has_a_start_and_an_end_for_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth.jsonl");
    let sim = sim(SimConfig { truth_log: Some(file.clone()), ..SimConfig::default() });
    let usage = post(&sim, CHAT, &hello("gpt-4o")).await.json()["usage"].clone();
    post(&sim, CHAT, &hello("gpt-4o+lie_usage=2")).await;
    post(&sim, CHAT, &hello("gpt-4o+status=503")).await;
    post(&sim, CHAT, &with(hello("bench-stream-4"), json!({"stream": true}))).await;
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends: Vec<&Value> = lines.iter().filter(|line| line["event"] == "end").collect();
    assert_eq!((lines.len(), ends.len()), (8, 4));
    assert!(lines.iter().all(|line| line["attempt"] == "call-1"));
    assert_eq!(ends[0]["billed"]["output"], usage["completion_tokens"]);
    assert_eq!(ends[0]["billed"]["input"], usage["prompt_tokens"]);
    assert_eq!(ends[1]["reported"]["output"].as_u64(), ends[1]["billed"]["output"].as_u64().map(|n| n * 2));
    assert_eq!((ends[2]["end"].as_str(), ends[2]["status"].as_u64()), (Some("refused"), Some(503)));
    assert_eq!(
        (ends[3]["billed"]["output"].as_u64(), ends[3]["usage_sent"].as_bool()),
        (Some(4), Some(false))
    );
}

#[tokio::test]
async fn embeddings_take_text_and_tokens() {
    let sim = sim(SimConfig::default());
    for (input, count) in
        [(json!("a"), 1), (json!(["a", "b"]), 2), (json!([1, 2, 3]), 1), (json!([[1], [2, 3]]), 2)]
    {
        let body = json!({"model": "text-embedding-3-small", "input": input, "dimensions": 8});
        let answer = post(&sim, "/v1/embeddings", &body).await.json();
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(count), "{answer}");
    }
    let bad = json!({"model": "text-embedding-3-small", "input": [], "dimensions": 8});
    assert_eq!(post(&sim, "/v1/embeddings", &bad).await.status, 400);
}

#[tokio::test]
async fn speech_is_billed_as_audio_whole_and_streamed() {
    let sim = sim(SimConfig::default());
    let spoken = |format: &str, more: Value| {
        let body = with(
            hello("gpt-audio"),
            json!({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": format}}),
        );
        with(body, more)
    };
    let whole = post(&sim, CHAT, &spoken("wav", json!({}))).await.json();
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = post(&sim, CHAT, &spoken("pcm16", options.clone())).await.events();
    let pieces =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["audio"]["transcript"].as_str());
    assert_eq!(
        pieces.collect::<String>(),
        whole["choices"][0]["message"]["audio"]["transcript"].as_str().unwrap()
    );
    assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
    assert!(whole["usage"]["completion_tokens_details"]["audio_tokens"].as_u64() > Some(10));
    assert_eq!(post(&sim, CHAT, &spoken("wav", options)).await.json()["error"]["param"], "audio.format");
    let heard = json!({"role": "user", "content": [{"type": "input_audio", "input_audio": {"format": "wav", "data": "A".repeat(8000)}}]});
    let heard = post(&sim, CHAT, &with(hello("gpt-audio"), json!({"messages": [heard]}))).await.json();
    assert_eq!(heard["usage"]["prompt_tokens_details"]["audio_tokens"], 6);
}
