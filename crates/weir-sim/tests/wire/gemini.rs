//! The simulator as Gemini.

use crate::client::{post, sim};
use serde_json::{Value, json};
use weir_sim::SimConfig;

fn path(model: &str, verb: &str) -> String {
    format!("/v1beta/models/{model}:{verb}")
}

fn hello() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]})
}

fn with(mut body: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn tools() -> Value {
    json!([{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}])
}

fn text(chunks: &[Value]) -> String {
    let parts = chunks
        .iter()
        .flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array().into_iter().flatten());
    parts.filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

#[tokio::test]
async fn three_forms_of_the_same_answer() {
    let sim = sim(SimConfig::default());
    for more in
        [json!({}), json!({"tools": tools()}), json!({"generation_config": {"max_output_tokens": 900}})]
    {
        let body = with(hello(), more.clone());
        let whole = post(&sim, &path("gemini-3-pro-preview", "generateContent"), &body).await.json();
        let events = post(&sim, &path("gemini-3-pro-preview", "streamGenerateContent?alt=sse"), &body).await;
        assert!(events.body.ends_with(b"\r\n\r\n"));
        let events = events.events();
        let array = post(&sim, &path("gemini-3-pro-preview", "streamGenerateContent"), &body).await.json();
        let array = array.as_array().unwrap();
        assert_eq!(text(std::slice::from_ref(&whole)), text(&events));
        assert_eq!(text(&events), text(array));
        assert_eq!(whole["usageMetadata"], events.last().unwrap()["usageMetadata"]);
        assert!(events.iter().all(|event| event["usageMetadata"]["promptTokenCount"].is_u64()));
        assert_eq!(events.last().unwrap()["candidates"][0]["finishReason"], "STOP");
        let usage = &whole["usageMetadata"];
        let sum = ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"]
            .iter()
            .map(|key| usage[*key].as_u64().unwrap_or(0));
        assert_eq!(usage["totalTokenCount"].as_u64(), Some(sum.sum()));
    }
}

#[tokio::test]
async fn calls_must_come_back_signed() {
    let sim = sim(SimConfig::default());
    let url = path("gemini-3-pro-preview", "generateContent");
    let first = with(hello(), json!({"tools": tools()}));
    let content = post(&sim, &url, &first).await.json()["candidates"][0]["content"].clone();
    assert!(content["parts"][0]["functionCall"]["id"].is_string());
    let response = json!({"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}]});
    let second = |content: &Value| {
        with(first.clone(), json!({"contents": [hello()["contents"][0], content, response]}))
    };
    let good = post(&sim, &url, &second(&content)).await;
    assert_eq!(text(&[good.json()]), "The tools say: sunny");
    let mut altered = content.clone();
    altered["parts"][0]["thoughtSignature"] = json!("AAAA");
    assert!(post(&sim, &url, &second(&altered)).await.error().contains("not valid"));
    let mut missing = content.clone();
    missing["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    assert!(post(&sim, &url, &second(&missing)).await.error().contains("missing a thought_signature"));
    let mut skipped = content;
    skipped["parts"][0]["thoughtSignature"] = json!("skip_thought_signature_validator");
    assert_eq!(post(&sim, &url, &second(&skipped)).await.status, 200);
    // Older models give no ids, and do not ask.
    let older = path("gemini-2.5-flash", "generateContent");
    let content = post(&sim, &older, &first).await.json()["candidates"][0]["content"].clone();
    assert!(content["parts"][0]["functionCall"]["id"].is_null());
    assert_eq!(post(&sim, &older, &second(&missing)).await.status, 200);
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let sim = sim(SimConfig::default());
    let schema = |parameters: Value| json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]});
    let config = |config: Value| json!({"generationConfig": config});
    let cases = vec![
        (json!({"contents": []}), "contents is not specified"),
        (json!({"messages": []}), "Unknown name \"messages\""),
        (json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}), "valid role"),
        (json!({"contents": [{"role": "user", "parts": []}]}), "must not be empty"),
        (
            json!({"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]}),
            "Struct",
        ),
        (schema(json!({"type": "OBJECT", "properties": {}})), "should be non-empty for OBJECT type"),
        (
            schema(
                json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "additionalProperties": false}),
            ),
            "Unknown name \"additionalProperties\"",
        ),
        (schema(json!({"type": "OBJECT", "properties": {"a": {"$ref": "#/x"}}})), "Unknown name \"$ref\""),
        (schema(json!({"type": ["STRING"]})), "not repeating"),
        (config(json!({"responseSchema": {"type": "STRING"}})), "Response schema can only be used"),
        (config(json!({"thinkingConfig": {"thinkingLevel": "LOW"}})), "Thinking level is not supported"),
        (config(json!({"temperature": 3})), "out of range"),
        (json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}), "without function_declarations"),
    ];
    for (more, why) in cases {
        let answer =
            post(&sim, &path("gemini-2.5-flash", "generateContent"), &with(hello(), more.clone())).await;
        assert_eq!(answer.status, 400, "{more}");
        assert!(answer.error().contains(why), "{more}: {}", answer.error());
    }
    let unknown = post(&sim, &path("gemini-nonexistent", "streamGenerateContent?alt=sse"), &hello()).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["error"]["status"].as_str()),
        (404, Some("NOT_FOUND"))
    );
    assert_eq!(unknown.headers["content-type"], "text/event-stream");
}

#[tokio::test]
async fn blocks_limits_and_embeddings() {
    let sim = sim(SimConfig::default());
    let safety = post(&sim, &path("gemini-2.5-flash+filtered", "generateContent"), &hello()).await.json();
    assert_eq!(safety["candidates"][0]["finishReason"], "SAFETY");
    assert_eq!(safety["candidates"][0]["content"], json!({}));
    let blocked = post(&sim, &path("gemini-2.5-flash+blocked", "generateContent"), &hello()).await.json();
    assert!(blocked.get("candidates").is_none() && blocked["promptFeedback"]["blockReason"] == "SAFETY");
    let limited = with(hello(), json!({"generationConfig": {"maxOutputTokens": 5}}));
    let limited = post(&sim, &path("gemini-2.5-flash", "generateContent"), &limited).await.json();
    assert_eq!(limited["candidates"][0]["content"], json!({"role": "model"}));
    assert_eq!(limited["candidates"][0]["finishReason"], "MAX_TOKENS");
    let image = json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "x"}]}]});
    let count = post(&sim, &path("gemini-2.5-flash", "countTokens"), &image).await.json();
    assert_eq!(count["totalTokens"], 260);
    let request = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "x"}]}, "outputDimensionality": 5});
    let batch = post(
        &sim,
        &path("gemini-embedding-001", "batchEmbedContents"),
        &json!({"requests": [request, request]}),
    )
    .await
    .json();
    assert_eq!(batch["embeddings"][1]["values"].as_array().unwrap().len(), 5);
}
