//! The simulator's answers have no field that no recorded answer of the vendor has.
//!
//! The recordings lie beside the project; where they are not, there is nothing to compare with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::client::{post, sim};
use serde_json::{Value, json};
use weir_sim::SimConfig;

/// Paths such as `choices[].message.content`; what a caller chose (tool arguments) is left out.
fn paths(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = format!("{at}.{key}");
                if !key.starts_with("input") || !value.is_object() {
                    out.insert(path.clone());
                    if key != "args" {
                        paths(value, &path, out);
                    }
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|item| paths(item, &format!("{at}[]"), out)),
        _ => {}
    }
}

fn folder(provider: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures")).join(provider);
    path.is_dir().then_some(path)
}

/// All paths in all recorded answers of one API of a provider.
fn recorded(provider: &str, api: &str) -> Option<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for case in std::fs::read_dir(folder(provider)?).unwrap() {
        let case = case.unwrap().path();
        let meta: Value = serde_json::from_slice(&std::fs::read(case.join("meta.json")).unwrap()).unwrap();
        if meta["api"] != api {
            continue;
        }
        if let Ok(bytes) = std::fs::read(case.join("response.json")) {
            match serde_json::from_slice(&bytes).unwrap() {
                Value::Array(list) => list.iter().for_each(|value| paths(value, "", &mut out)),
                value => paths(&value, "", &mut out),
            }
        }
        let stream = std::fs::read_to_string(case.join("response.sse")).unwrap_or_default();
        for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
            if let Ok(value) = serde_json::from_str(data) {
                paths(&value, "", &mut out);
            }
        }
    }
    assert!(out.len() > 10, "the recordings of {provider} {api} have {} paths", out.len());
    Some(out)
}

async fn check(provider: &str, api: &str, url: &str, bodies: Vec<Value>) {
    let Some(known) = recorded(provider, api) else { return };
    let sim = sim(SimConfig::default());
    for body in bodies {
        let answer = post(&sim, url, &body).await;
        let values = if answer.headers["content-type"].as_bytes().starts_with(b"text/event-stream") {
            answer.events()
        } else {
            vec![answer.json()]
        };
        let mut ours = BTreeSet::new();
        values.iter().for_each(|value| paths(value, "", &mut ours));
        let invented: Vec<&String> = ours.difference(&known).collect();
        assert!(invented.is_empty(), "{provider} {body}: {invented:?}");
        assert!(!values.is_empty() && ours.len() > 3);
    }
}

#[tokio::test]
async fn openai() {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}]);
    let mut bodies = Vec::new();
    for stream in [false, true] {
        bodies.push(json!({"model": "gpt-4o", "messages": messages, "stream": stream}));
        bodies.push(json!({"model": "gpt-4o", "messages": messages, "stream": stream, "tools": tools}));
        bodies.push(json!({"model": "gpt-4o", "messages": messages, "stream": stream, "logprobs": true}));
        bodies.push(json!({"model": "gpt-4o+refusal", "messages": messages, "stream": stream}));
    }
    bodies.push(json!({"model": "gpt-audio", "messages": messages, "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}));
    bodies.push(json!({"model": "gpt-4o", "messages": []}));
    check("openai", "chat", "/v1/chat/completions", bodies).await;
    let bodies = vec![
        json!({"model": "gpt-3.5-turbo-instruct", "prompt": "hi", "stream": true}),
        json!({"model": "gpt-3.5-turbo-instruct", "prompt": "hi"}),
    ];
    check("openai", "completions", "/v1/completions", bodies).await;
    let bodies = vec![
        json!({"model": "text-embedding-3-small", "input": "hi"}),
        json!({"model": "nope", "input": "hi"}),
    ];
    check("openai", "embeddings", "/v1/embeddings", bodies).await;
}

#[tokio::test]
async fn anthropic() {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let tools =
        json!([{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}]);
    let mut bodies = Vec::new();
    for stream in [false, true] {
        for model in [
            "claude-sonnet-4-5",
            "claude-sonnet-4-5+redacted",
            "claude-sonnet-5",
            "claude-sonnet-5+text_tool",
        ] {
            bodies.push(json!({"model": model, "max_tokens": 500, "messages": messages, "stream": stream}));
            bodies.push(json!({"model": model, "max_tokens": 500, "messages": messages, "stream": stream, "tools": tools}));
        }
    }
    bodies.push(json!({"model": "claude-sonnet-4-5", "messages": messages}));
    check("anthropic", "messages", "/v1/messages", bodies).await;
}

#[tokio::test]
async fn gemini() {
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let tools = json!([{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]}]);
    for verb in ["generateContent", "streamGenerateContent?alt=sse"] {
        for model in [
            "gemini-2.5-flash",
            "gemini-3-pro-preview",
            "gemini-2.5-flash+filtered",
            "gemini-2.5-flash+cached=1",
        ] {
            let bodies = vec![
                json!({"contents": contents}),
                json!({"contents": contents, "tools": tools}),
                json!({"contents": contents, "generationConfig": {"thinkingConfig": {"includeThoughts": true}}}),
            ];
            check("gemini", "generate_content", &format!("/v1beta/models/{model}:{verb}"), bodies).await;
        }
    }
}
