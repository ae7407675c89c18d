//! The tool loop over several turns with thinking on: through chat and through messages, whole and streamed, against
//! Anthropic and Gemini simulators that refuse a signature which is not theirs, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const GEMINI: &str = "gemini/gemini-2.5-flash";

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

// === chat ===

fn chat_body(model: &str, stream: bool, messages: &[Value]) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 4000, "reasoning_effort": "low", "messages": messages,
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema()}}]})
}

/// The assistant's message as a client keeps it: whole, or put together from the pieces of a stream.
fn chat_message(answer: &Answer, stream: bool) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !stream {
        return answer.json()["choices"][0]["message"].clone();
    }
    assert!(answer.finished(), "{}", answer.text());
    let mut message = json!({"role": "assistant", "content": null});
    let append = |place: &mut Value, part: &Value| {
        if let Some(part) = part.as_str() {
            *place = json!(place.as_str().unwrap_or("").to_owned() + part);
        }
    };
    for chunk in answer.chunks() {
        let delta = &chunk["choices"][0]["delta"];
        append(&mut message["content"], &delta["content"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            let calls = message.as_object_mut().unwrap().entry("tool_calls").or_insert_with(|| json!([]));
            let calls = calls.as_array_mut().unwrap();
            while calls.len() <= index {
                calls.push(json!({"type": "function", "function": {"name": "", "arguments": ""}}));
            }
            let own = &mut calls[index];
            for name in ["id", "extra_content"] {
                if !call[name].is_null() {
                    own[name] = call[name].clone();
                }
            }
            append(&mut own["function"]["name"], &call["function"]["name"]);
            append(&mut own["function"]["arguments"], &call["function"]["arguments"]);
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            let details =
                message.as_object_mut().unwrap().entry("reasoning_details").or_insert_with(|| json!([]));
            let details = details.as_array_mut().unwrap();
            // Pieces of the same block, as OpenRouter streams them.
            let same = details.iter_mut().find(|known| {
                known["index"] == detail["index"]
                    && known["type"] == detail["type"]
                    && !detail["index"].is_null()
            });
            match same {
                Some(known) => {
                    for (name, value) in detail.as_object().unwrap() {
                        if ["text", "summary", "data"].contains(&name.as_str()) {
                            append(&mut known[name.as_str()], value);
                        } else if !value.is_null() {
                            known[name.as_str()] = value.clone();
                        }
                    }
                }
                None => details.push(detail.clone()),
            }
        }
        append(&mut message["reasoning_content"], &delta["reasoning_content"]);
    }
    message.as_object_mut().unwrap().retain(|name, value| name == "content" || !value.is_null());
    message
}

/// Changes the first signature in a message, wherever it stands.
pub(super) fn alter(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter_mut().any(|(name, value)| match value {
            Value::String(text) if text.starts_with("weir:") => alter_inside(text),
            Value::String(text)
                if ["signature", "data", "thought_signature", "thoughtSignature"]
                    .contains(&name.as_str())
                    && text.len() > 8 =>
            {
                let middle = text.len() / 2;
                let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
                text.replace_range(middle..=middle, other);
                true
            }
            value => alter(value),
        }),
        Value::Array(list) => list.iter_mut().any(alter),
        _ => false,
    }
}

/// The same in what weir wraps for a client of another dialect.
fn alter_inside(text: &mut String) -> bool {
    let wrapped = STANDARD.decode(&text["weir:".len()..]).unwrap();
    let mut value: Value = serde_json::from_slice(&wrapped).unwrap();
    let altered = alter(&mut value);
    *text = format!("weir:{}", STANDARD.encode(value.to_string()));
    altered
}

async fn chat_loop(bench: &Bench, model: &str, words: &str, stream: bool) {
    let at = format!("{model}, {words}, stream {stream}");
    let mut messages =
        vec![json!({"role": "user", "content": format!("How is the weather? [[sim:{words}]]")})];
    for turn in 1..=2 {
        let answer = bench.post("/v1/chat/completions", &chat_body(model, stream, &messages)).await;
        let message = chat_message(&answer, stream);
        let calls = message["tool_calls"]
            .as_array()
            .unwrap_or_else(|| panic!("{at}, turn {turn}: {message}"))
            .clone();
        assert!(!calls.is_empty(), "{at}");
        messages.push(message);
        for call in &calls {
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny, 21 °C"}));
        }
        // An altered signature is refused, so the good one must have come through untouched.
        let mut altered = messages.clone();
        let place = altered.iter_mut().rfind(|message| message["role"] == "assistant").unwrap();
        assert!(alter(place), "{at}, turn {turn}: no signature in {place}");
        let refused = bench.post("/v1/chat/completions", &chat_body(model, stream, &altered)).await;
        assert_eq!(refused.status, 400, "{at}, turn {turn}: {}", refused.text());
        let answer = bench.post("/v1/chat/completions", &chat_body(model, stream, &messages)).await;
        let message = chat_message(&answer, stream);
        assert!(
            message["content"].as_str().is_some_and(|text| text.contains("sunny")),
            "{at}, turn {turn}: {message}"
        );
        messages.push(message);
        messages.push(json!({"role": "user", "content": format!("And tomorrow? [[sim:{words}]]")}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_with_anthropic_keeps_signatures() {
    let bench = Bench::start("").await;
    for stream in [false, true] {
        for words in ["reasoning", "reasoning+tool_calls=2+text_tool", "reasoning+redacted"] {
            chat_loop(&bench, CLAUDE, words, stream).await;
        }
    }
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_with_gemini_keeps_signatures() {
    let bench = Bench::start("").await;
    for stream in [false, true] {
        for words in ["reasoning", "reasoning+tool_calls=2", "reasoning+no_call_id"] {
            chat_loop(&bench, GEMINI, words, stream).await;
        }
    }
    bench.audit(&[]).await;
}

// === messages ===

fn messages_body(model: &str, stream: bool, messages: &[Value]) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": messages, "tools": [{"name": "weather", "input_schema": schema()}]})
}

/// The content blocks as a client keeps them.
pub(super) fn blocks(answer: &Answer, stream: bool) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !stream {
        return answer.json()["content"].as_array().unwrap().clone();
    }
    assert!(answer.finished(), "{}", answer.text());
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments: Vec<String> = Vec::new();
    for event in answer.chunks() {
        let index = event["index"].as_u64().map(|index| usize::try_from(index).unwrap());
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(index, Some(blocks.len()));
                blocks.push(event["content_block"].clone());
                arguments.push(String::new());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut blocks[index.unwrap()], &event["delta"]);
                for name in ["text", "thinking", "signature"] {
                    if let Some(part) = delta[name].as_str() {
                        block[name] = json!(block[name].as_str().unwrap_or("").to_owned() + part);
                    }
                }
                arguments[index.unwrap()] += delta["partial_json"].as_str().unwrap_or("");
            }
            _ => {}
        }
    }
    for (block, arguments) in blocks.iter_mut().zip(&arguments).filter(|(_, arguments)| !arguments.is_empty())
    {
        block["input"] = serde_json::from_str(arguments).unwrap();
    }
    blocks
}

async fn messages_loop(bench: &Bench, model: &str, words: &str, stream: bool) {
    let at = format!("{model}, {words}, stream {stream}");
    let path = "/v1/messages";
    let mut messages =
        vec![json!({"role": "user", "content": format!("How is the weather? [[sim:{words}]]")})];
    for turn in 1..=2 {
        let answer = bench.post(path, &messages_body(model, stream, &messages)).await;
        let content = blocks(&answer, stream);
        let calls: Vec<_> = content.iter().filter(|block| block["type"] == "tool_use").cloned().collect();
        assert!(!calls.is_empty(), "{at}, turn {turn}: {content:?}");
        messages.push(json!({"role": "assistant", "content": content}));
        let results: Vec<Value> = calls
            .iter()
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny, 21 °C"}))
            .collect();
        messages.push(json!({"role": "user", "content": results}));
        let mut altered = messages.clone();
        let place = altered.iter_mut().rfind(|message| message["role"] == "assistant").unwrap();
        assert!(alter(place), "{at}, turn {turn}: no signature in {place}");
        let refused = bench.post(path, &messages_body(model, stream, &altered)).await;
        assert_eq!(refused.status, 400, "{at}, turn {turn}: {}", refused.text());
        let answer = bench.post(path, &messages_body(model, stream, &messages)).await;
        let content = blocks(&answer, stream);
        let text: String = content.iter().filter_map(|block| block["text"].as_str()).collect();
        assert!(text.contains("sunny"), "{at}, turn {turn}: {content:?}");
        messages.push(json!({"role": "assistant", "content": content}));
        messages.push(json!({"role": "user", "content": format!("And tomorrow? [[sim:{words}]]")}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_with_anthropic_keep_signatures() {
    let bench = Bench::start("").await;
    for stream in [false, true] {
        for words in ["reasoning", "reasoning+tool_calls=2+text_tool", "reasoning+redacted"] {
            messages_loop(&bench, CLAUDE, words, stream).await;
        }
    }
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_with_gemini_keep_signatures() {
    let bench = Bench::start("").await;
    for stream in [false, true] {
        for words in ["reasoning", "reasoning+tool_calls=2"] {
            messages_loop(&bench, GEMINI, words, stream).await;
        }
    }
    bench.audit(&[]).await;
}
