//! Providers with a dialect of their own behind clients of another: text, tools, pictures, reasoning, errors, whole and
//! streamed, against simulators that are as strict as the vendors.

use serde_json::{Value, json};
use weir_e2e::{Answer, Bench};

const PICTURE: &str = "data:image/png;base64,iVBORw0KGgo=";

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!([{"type": "function", "function": {"name": "weather", "description": "How it is outside", "parameters": schema}}])
}

/// What a client has of an answer, whole or streamed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) text: String,
    reasoning: String,
    calls: Vec<(String, String, String)>,
    pub(super) finish: String,
    usage: (u64, u64),
}

pub(super) fn seen(answer: &Answer, stream: bool) -> Seen {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut seen = Seen::default();
    let bodies = if stream { answer.chunks() } else { vec![answer.json()] };
    assert!(!stream || answer.finished(), "{}", answer.text());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for body in &bodies {
        let choice = &body["choices"][0];
        let said = if stream { &choice["delta"] } else { &choice["message"] };
        seen.text += &text(&said["content"]);
        seen.reasoning += &text(&said["reasoning_content"]);
        seen.finish += &text(&choice["finish_reason"]);
        for call in said["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            if call["id"].is_string() {
                seen.calls.push((text(&call["id"]), text(&function["name"]), String::new()));
            }
            seen.calls.last_mut().expect("a call has begun").2 += &text(&function["arguments"]);
        }
        if let Some(usage) = body.get("usage").filter(|usage| usage.is_object()) {
            let count = |name: &str| usage[name].as_u64().unwrap();
            seen.usage = (count("prompt_tokens"), count("completion_tokens"));
        }
    }
    seen
}

/// One chat to its tools and back: what the simulator checks of pairing and arguments holds in each turn.
async fn tool_loop(bench: &Bench, model: &str, words: &str, calls: usize, stream: bool) {
    let at = format!("{model}, {words}, stream {stream}");
    let user = json!({"role": "user", "content": format!("How is the weather? [[sim:{words}]]")});
    let ask = |messages: &Value| {
        json!({"model": model, "stream": stream, "stream_options": {"include_usage": true},
        "max_tokens": 3000, "messages": messages, "tools": tools()})
    };
    let first =
        seen(&bench.post("/v1/chat/completions", &unless_whole(ask(&json!([user])), stream)).await, stream);
    assert_eq!((first.calls.len(), first.finish.as_str()), (calls, "tool_calls"), "{at}: {first:?}");
    let mut messages = vec![user];
    let written: Vec<Value> = first
        .calls
        .iter()
        .map(|(id, name, arguments)| {
            assert_eq!(name, "weather", "{at}");
            let arguments: Value = serde_json::from_str(arguments).expect("arguments are JSON");
            assert!(arguments["city"].is_string(), "{at}: {arguments}");
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}})
        })
        .collect();
    messages.push(json!({"role": "assistant", "content": first.text, "tool_calls": written}));
    for (id, _, _) in &first.calls {
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": "sunny, 21 °C"}));
    }
    let body = unless_whole(ask(&json!(messages)), stream);
    let second = seen(&bench.post("/v1/chat/completions", &body).await, stream);
    assert!(second.text.contains("sunny, 21 °C"), "{at}: {second:?}");
    assert_eq!(second.finish, "stop", "{at}");
    assert!(second.usage.0 > 0 && second.usage.1 > 0, "{at}: {second:?}");
}

/// `stream_options` only where it may stand.
fn unless_whole(mut body: Value, stream: bool) -> Value {
    if !stream {
        body.as_object_mut().unwrap().remove("stream_options");
    }
    body
}

/// What every dialect must carry between OpenAI's chat and its provider, and back.
pub(super) async fn carries(bench: &Bench, model: &str) {
    for stream in [false, true] {
        for (words, calls) in
            [("tool_calls=1", 1), ("tool_calls=3+hard_args", 3), ("tool_calls=2+text_tool", 2)]
        {
            tool_loop(bench, model, words, calls, stream).await;
        }
        let said = bench.chat(model, "Tell me more [[sim:len=40]]", stream).await;
        let said = seen(&said, stream);
        assert_eq!((said.finish.as_str(), said.text.is_empty()), ("stop", false));
        let short = json!({"model": model, "stream": stream, "max_tokens": 5, "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello [[sim:len=40]]"}]});
        let short = seen(&bench.post("/v1/chat/completions", &short).await, stream);
        assert_eq!(short.finish, "length", "{model}: {short:?}");
        let shown = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]}]});
        let shown = seen(&bench.post("/v1/chat/completions", &shown).await, stream);
        assert!(shown.text.contains("What is this?"), "{model}: {shown:?}");
    }
    // The same through Anthropic's front.
    let message = json!({"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi [[sim:tool_calls=2]]"}],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]});
    let answer = bench.post("/v1/messages", &message).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let calls =
        answer["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use").count();
    assert_eq!((calls, answer["stop_reason"].as_str()), (2, Some("tool_use")), "{answer}");
    assert!(answer["usage"]["input_tokens"].as_u64().unwrap() > 0, "{answer}");
}

/// Failures before an answer, and within one that has begun.
pub(super) async fn fails(bench: &Bench, model: &str) {
    for (words, status) in [("status=429", 429), ("status=400", 400), ("status=401", 502), ("garble", 502)] {
        let answer = bench.chat(model, &format!("x [[sim:{words}]]"), false).await;
        assert_eq!(answer.status, status, "{words}: {}", answer.text());
    }
    let broken = bench.chat(model, "x [[sim:len=40+gap=30ms+error_event_at=8]]", true).await;
    assert_eq!(broken.status, 200, "{}", broken.text());
    assert!(broken.text().contains("\"error\""), "{}", broken.text());
    assert!(!broken.finished(), "{}", broken.text());
    let early = bench.chat(model, "x [[sim:error_event_at=0]]", true).await;
    assert!(early.status >= 500, "an error before any content keeps a status: {}", early.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn ollamas_own_api_is_reached_from_every_front() {
    let bench = Bench::start("  ollama: { base_url: \"{sim}\" }\n").await;
    carries(&bench, "ollama/llama3.2").await;
    fails(&bench, "ollama/llama3.2").await;
    for stream in [false, true] {
        let body = json!({"model": "ollama/qwen3:4b", "stream": stream, "reasoning_effort": "low",
            "messages": [{"role": "user", "content": "Why?"}]});
        let thought = seen(&bench.post("/v1/chat/completions", &body).await, stream);
        assert!(!thought.reasoning.is_empty() && !thought.text.is_empty(), "{thought:?}");
    }
    let refused = json!({"model": "ollama/llama3.2", "reasoning_effort": "low", "messages": [{"role": "user", "content": "Why?"}]});
    assert_eq!(bench.post("/v1/chat/completions", &refused).await.status, 400);
    let vectors =
        json!({"model": "ollama/nomic-embed-text", "input": ["a", "b c"], "encoding_format": "float"});
    let vectors = bench.post("/v1/embeddings", &vectors).await.json();
    assert_eq!(vectors["data"][1]["embedding"].as_array().unwrap().len(), 768, "{vectors}");
    assert_eq!(vectors["usage"]["prompt_tokens"], 3, "{vectors}");
    let text = json!({"model": "ollama/llama3.2", "prompt": "fn main", "max_tokens": 4, "temperature": 0});
    let text = bench.post("/v1/completions", &text).await;
    assert_eq!(text.json()["choices"][0]["finish_reason"], "length", "{}", text.text());
    let (_, attempts) = bench.rows().await;
    assert!(attempts.iter().all(|attempt| attempt.provider == "ollama"));
    bench.audit(&[]).await;
}

// === Bedrock ===

/// AWS's own example of a pair of keys, which the simulator knows.
const AWS: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "a session's token"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_CONFIG_FILE", "/nowhere"),
];

async fn bedrock(more: &str, environment: &[(&str, &str)]) -> Bench {
    let mut bench =
        Bench::prepare(&format!("  bedrock: {{ base_url: \"{{sim}}\", region: us-east-1{more} }}\n"), None)
            .await;
    for (name, value) in environment {
        bench.weir.set_env(name, value);
    }
    bench.weir.run().await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_is_signed_for_by_awss_chain_and_reached_from_every_front() {
    let bench = bedrock("", &AWS).await;
    let model = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    carries(&bench, model).await;
    fails(&bench, model).await;
    // Keys that sign stand nowhere but in the signature.
    let seen = bench.sim.state.captured();
    let signed = seen.iter().filter(|one| one.path.contains("%3A0/converse"));
    let authorization = |one: &weir_sim::Captured| {
        one.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone())
    };
    let all: Vec<String> = signed.filter_map(authorization).collect();
    assert!(
        !all.is_empty() && all.iter().all(|one| one.contains("/us-east-1/bedrock/aws4_request")),
        "{all:?}"
    );
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_keeps_reasoning_and_caches() {
    let bench = bedrock("", &AWS).await;
    let model = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    for stream in [false, true] {
        for words in ["reasoning", "reasoning+tool_calls=2+text_tool", "reasoning+redacted"] {
            let user = json!({"role": "user", "content": format!("How is the weather? [[sim:{words}]]")});
            let ask = |messages: &Value| {
                json!({"model": model, "max_tokens": 3000, "stream": stream,
                "thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": messages,
                "tools": [{"name": "weather", "input_schema": tools()[0]["function"]["parameters"]}]})
            };
            let answer = bench.post("/v1/messages", &ask(&json!([user]))).await;
            let content = super::thinking::blocks(&answer, stream);
            assert!(content.len() > 1, "{words}: {content:?}");
            let results: Vec<Value> = content
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny, 21 °C"}))
                .collect();
            let messages = json!([user, {"role": "assistant", "content": content}, {"role": "user", "content": results}]);
            let mut altered = messages.clone();
            let answer = bench.post("/v1/messages", &ask(&messages)).await;
            let content = super::thinking::blocks(&answer, stream);
            let text: String = content.iter().filter_map(|block| block["text"].as_str()).collect();
            assert!(text.contains("sunny"), "{words}, {stream}: {content:?}");
            // A signature that is not the provider's is refused, so the good one came through untouched.
            if words != "reasoning+redacted" {
                assert!(super::thinking::alter(&mut altered[1]["content"][0]), "{words}: {altered}");
                let refused = bench.post("/v1/messages", &ask(&altered)).await;
                assert_eq!(refused.status, 400, "{words}: {}", refused.text());
            }
        }
    }
    let long = "A rule of the house. ".repeat(200);
    let body = json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}],
        "system": [{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]});
    for (written, read) in [(true, false), (false, true)] {
        let usage = bench.post("/v1/messages", &body).await.json()["usage"].clone();
        let count = |name: &str| usage[name].as_u64().unwrap_or(0) > 100;
        assert_eq!(
            (count("cache_creation_input_tokens"), count("cache_read_input_tokens")),
            (written, read),
            "{usage}"
        );
    }
    bench.audit(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_takes_a_bearer_key_and_says_where_no_credential_is_found() {
    let bench = bedrock(", api_key: a-bedrock-key", &[]).await;
    let said = seen(&bench.chat("bedrock/amazon.nova-lite-v1:0", "Hello", true).await, true);
    assert_eq!(said.finish, "stop");
    let sent = &bench.sim.state.captured()[0];
    assert!(
        sent.headers.contains(&("authorization".to_owned(), "Bearer a-bedrock-key".to_owned())),
        "{sent:?}"
    );
    let none = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
    ];
    let bench = bedrock("", &none).await;
    let answer = bench.chat("bedrock/amazon.nova-lite-v1:0", "Hello", false).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("found no credential"), "{}", answer.text());
}
