//! Whole requests: OpenAI's body in, Gemini's out.

use serde_json::{Value, json};
use weir_adapter::{EncodeError, EncodeOptions, Operation, WireBody, WireRequest};

use crate::adapter;
use crate::tests::{descriptor, request, spec};

#[track_caller]
fn encode(model: &str, body: &Value) -> Result<WireRequest, EncodeError> {
    let wire = adapter(descriptor()).encode(&request(Operation::Chat, body), &EncodeOptions::new(model))?;
    spec::check(&wire.path, &body_of(&wire));
    Ok(wire)
}

fn body_of(wire: &WireRequest) -> Value {
    let WireBody::Bytes(bytes) = &wire.body else { panic!("a body in bytes") };
    serde_json::from_slice(bytes).unwrap()
}

/// What a request becomes: only the members that `expected` names are compared, and all that was dropped.
#[track_caller]
fn check(model: &str, body: Value, expected: Value, dropped: &[&str]) {
    let wire = encode(model, &body).unwrap();
    let actual = body_of(&wire);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(actual.get(name).unwrap_or(&Value::Null), value, "{name} of {actual:#}");
    }
    assert_eq!(wire.dropped, dropped);
}

fn user(text: &str) -> Value {
    json!({"role": "user", "parts": [{"text": text}]})
}

#[test]
fn system_texts_become_the_instruction_and_turns_merge() {
    check(
        "gemini-3.5-flash",
        json!({"messages": [
            {"role": "system", "content": "a"}, {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": "1"}, {"role": "user", "content": "2"}, {"role": "assistant", "content": "3"},
            {"role": "system", "content": "c"}, {"role": "user", "content": "4"}]}),
        json!({"systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
            "contents": [{"role": "user", "parts": [{"text": "1"}, {"text": "2"}]},
                {"role": "model", "parts": [{"text": "3"}]}, user("4")]}),
        &[],
    );
}

#[test]
fn there_is_always_a_user_turn_and_it_is_the_first() {
    check(
        "gemini-3.5-flash",
        json!({"messages": [{"role": "system", "content": "a"}]}),
        json!({"systemInstruction": null, "contents": [user("a")]}),
        &[],
    );
    check(
        "gemini-3.5-flash",
        json!({"messages": [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}]}),
        json!({"contents": [user(" "), {"role": "model", "parts": [{"text": "b"}]}]}),
        &[],
    );
    check(
        "gemma-3-27b-it",
        json!({"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}),
        json!({"systemInstruction": null, "contents": [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]}),
        &[],
    );
}

#[test]
fn results_find_their_names_and_keep_the_order_of_calls() {
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"x\": 12345678901234567890123}"}});
    let messages = json!([{"role": "user", "content": "q"},
        {"role": "assistant", "content": "t", "tool_calls": [call("a", "f"), call("b", "g"), call("c", "h")]},
        {"role": "tool", "tool_call_id": "c", "content": "not json", "is_error": true},
        {"role": "tool", "tool_call_id": "a", "content": "{\"n\": 1.50}"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "[1]"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"role": "user", "content": "and?"}]);
    let wire = encode("gemini-2.5-flash", &json!({ "messages": messages })).unwrap();
    let WireBody::Bytes(bytes) = &wire.body else { panic!() };
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(
        text.contains(r#""args":{"x":12345678901234567890123}"#) && text.contains(r#""response":{"n":1.50}"#),
        "{text}"
    );
    let contents = body_of(&wire)["contents"].take();
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"id": "a", "name": "f", "response": {"n": 1.5}}},
            {"functionResponse": {"id": "b", "name": "g", "response": {"output": "[1]"}}},
            {"functionResponse": {"id": "c", "name": "h", "response": {"error": "not json"}}}]})
    );
    // What a result can't hold comes behind, in a content of its own, with what the user says next.
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    assert_eq!(contents[3], json!({"role": "user", "parts": [image, {"text": "and?"}]}));
    let wire = encode("gemini-3.5-flash", &json!({ "messages": messages })).unwrap();
    assert_eq!(body_of(&wire)["contents"][2]["parts"][1]["functionResponse"]["parts"], json!([image]));
}

#[test]
fn orphans_and_broken_calls_are_refused() {
    for (messages, param) in [
        (json!([{"role": "tool", "tool_call_id": "x", "content": ""}]), "messages[0].tool_call_id"),
        (json!([{"role": "narrator", "content": ""}]), "messages[0].role"),
        (
            json!([{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}]),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        match encode("gemini-3.5-flash", &json!({ "messages": messages })) {
            Err(EncodeError::Invalid(invalid)) => assert_eq!(invalid.param.as_deref(), Some(param)),
            other => panic!("{other:?}"),
        }
    }
    let foreign = json!({"messages": [{"role": "user", "content": [{"type": "sculpture"}]}]});
    assert!(matches!(encode("m", &foreign), Err(EncodeError::Unsupported { .. })));
}

#[test]
fn media_come_by_url_and_as_data() {
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (given, expected, dropped) in [
        (
            json!({"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA", "detail": "high"}}),
            json!({"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}}),
            vec![],
        ),
        (
            json!({"type": "image_url", "image_url": {"url": "https://x.y/a.png?b=c.gif"}, "cache_control": {"type": "ephemeral"}}),
            json!({"fileData": {"mimeType": "image/png", "fileUri": "https://x.y/a.png?b=c.gif"}}),
            vec!["messages[0].content[0].cache_control"],
        ),
        (
            json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
            json!({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}),
            vec![],
        ),
        (
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}),
            json!({"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}),
            vec![],
        ),
        (
            json!({"type": "file", "file": {"file_id": "files/abc"}}),
            json!({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}),
            vec![],
        ),
        (
            json!({"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=1"}, "video_metadata": {"start_offset": "1s"}}),
            json!({"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}, "videoMetadata": {"startOffset": "1s"}}),
            vec![],
        ),
    ] {
        check(
            "gemini-3.5-flash",
            part(given),
            json!({"contents": [{"role": "user", "parts": [expected]}]}),
            &dropped,
        );
    }
    let detail = part(json!({"type": "image_url", "image_url": {"url": "https://x/a", "detail": "low"}}));
    check("gemini-2.5-flash", detail, json!({}), &["messages[0].content[0].image_url.detail"]);
    for url in ["file:///etc/passwd", "data:image/png,abc", "data:;base64,AAAA"] {
        let body = part(json!({"type": "image_url", "image_url": {"url": url}}));
        assert!(matches!(encode("m", &body), Err(EncodeError::Invalid(_))), "{url}");
    }
}

#[test]
fn tools_and_their_choice() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
        {"type": "function", "function": {"name": "g", "description": "d", "parameters": {"type": "object", "properties": {"x": {"const": 1}}}}}]);
    let ask = |choice: Value| json!({"messages": [{"role": "user", "content": "q"}], "tools": tools, "tool_choice": choice});
    let declared = json!([{"functionDeclarations": [
        {"name": "f", "description": "", "parametersJsonSchema": {"type": "object", "properties": {}}},
        {"name": "g", "description": "d", "parametersJsonSchema": {"type": "object", "properties": {"x": {"enum": [1]}}}}]}]);
    let named = json!({"type": "function", "function": {"name": "g"}});
    let some = |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [{"type": "function", "function": {"name": "f"}}]}});
    for (choice, config) in [
        (json!("auto"), json!({"mode": "AUTO"})),
        (json!("none"), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"})),
        (named, json!({"mode": "ANY", "allowedFunctionNames": ["g"]})),
        (some("required"), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
        (some("auto"), json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]})),
    ] {
        let expected = json!({"tools": declared, "toolConfig": {"functionCallingConfig": config}});
        check("gemini-3.5-flash", ask(choice), expected, &[]);
    }
    let old = json!([{"functionDeclarations": [{"name": "f", "description": ""}, {"name": "g", "description": "d",
        "parameters": {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}}}]}]);
    check(
        "gemini-2.0-flash",
        ask(Value::Null),
        json!({"tools": old, "toolConfig": null}),
        &["tools[1].function.parameters.properties.x.enum"],
    );
    let mut strict = ask(json!("auto"));
    strict["tools"][0]["function"]["strict"] = true.into();
    strict["parallel_tool_calls"] = false.into();
    let validated = json!({"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}});
    check("gemini-3.5-flash", strict, validated, &["parallel_tool_calls"]);
    let none = json!({"messages": [{"role": "user", "content": "q"}], "tools": [], "tool_choice": "none"});
    check("gemini-3.5-flash", none, json!({"tools": null, "toolConfig": null}), &[]);
}

#[test]
fn googles_own_tools() {
    let f = json!({"type": "function", "function": {"name": "f"}});
    let ask = |tools: Value| json!({"messages": [{"role": "user", "content": "q"}], "tools": tools});
    check(
        "gemini-2.5-flash",
        ask(json!([{"type": "google_search"}, {"url_context": {}}])),
        json!({"tools": [{"googleSearch": {}}, {"urlContext": {}}]}),
        &[],
    );
    check(
        "gemini-3.5-flash",
        ask(json!([f, {"type": "code_execution"}])),
        json!({"tools": [{"codeExecution": {}}, {"functionDeclarations": [{"name": "f", "description": ""}]}],
            "toolConfig": {"includeServerSideToolInvocations": true}}),
        &[],
    );
    check("gemini-2.5-flash", ask(json!([f, {"type": "code_execution"}])), json!({}), &["tools[1]"]);
}

#[test]
fn settings_have_their_places() {
    check(
        "gemini-2.5-flash",
        json!({"messages": [{"role": "user", "content": "q"}], "max_completion_tokens": 9, "temperature": 3, "top_p": 0.5, "top_k": 4,
            "stop": ["a", "b", "c", "d", "e", "f"], "n": 2, "seed": 7, "presence_penalty": 0.5, "frequency_penalty": 1, "logprobs": true,
            "top_logprobs": 3, "logit_bias": {"1": 2}, "service_tier": "flex", "user": "u", "metadata": {"a": "b"}, "store": false,
            "prompt_cache_key": "k", "stream_options": {"include_usage": true}, "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "extra_body": {"google": {"cached_content": "cachedContents/x", "unknown": 1}}, "verbosity": "low",
            "modalities": ["text", "audio"], "audio": {"voice": "Kore", "format": "wav"}}),
        json!({"generationConfig": {"temperature": 2, "topP": 0.5, "topK": 4, "presencePenalty": 0.5, "frequencyPenalty": 1, "seed": 7,
                "stopSequences": ["a", "b", "c", "d", "e"], "maxOutputTokens": 9, "candidateCount": 2, "responseLogprobs": true, "logprobs": 3,
                "responseModalities": ["TEXT", "AUDIO"], "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}], "cachedContent": "cachedContents/x"}),
        &[
            "temperature",
            "stop[5]",
            "audio.format",
            "logit_bias",
            "service_tier",
            "extra_body.google.unknown",
            "verbosity",
        ],
    );
    let big = json!({"messages": [{"role": "user", "content": "q"}], "seed": 5_000_000_000_u64});
    check("gemini-2.5-flash", big, json!({"generationConfig": null}), &["seed"]);
}

#[test]
fn defaults_and_limits_of_the_route() {
    let defaults = json!({"temperature": 0.2, "top_p": 0.1, "messages": []});
    let body = json!({"messages": [{"role": "user", "content": "q"}], "temperature": 1});
    let options = EncodeOptions {
        output_limit: Some(77),
        defaults: defaults.as_object(),
        ..EncodeOptions::new("gemini-2.5-flash")
    };
    let wire = adapter(descriptor()).encode(&request(Operation::Chat, &body), &options).unwrap();
    let expected = json!({"temperature": 1, "topP": 0.1, "maxOutputTokens": 77});
    assert_eq!(body_of(&wire)["generationConfig"], expected);
}

#[test]
fn efforts_become_what_the_model_takes() {
    let thinking = |config: Value| json!({"generationConfig": {"thinkingConfig": config}});
    for (model, effort, config, exact) in [
        ("gemini-2.5-flash", "none", json!({"thinkingBudget": 0}), true),
        ("gemini-2.5-flash", "medium", json!({"thinkingBudget": 8192, "includeThoughts": true}), true),
        ("gemini-2.5-pro", "none", json!({"thinkingBudget": 128}), false),
        ("gemini-3.5-flash", "minimal", json!({"thinkingLevel": "MINIMAL", "includeThoughts": true}), true),
        ("gemini-3.5-flash", "none", json!({"thinkingLevel": "MINIMAL"}), false),
        ("gemini-3.7-flash", "minimal", json!({"thinkingLevel": "LOW", "includeThoughts": true}), false),
        ("gemini-3-pro-preview", "medium", json!({"thinkingLevel": "HIGH", "includeThoughts": true}), false),
        ("gemini-9-new", "xhigh", json!({"thinkingLevel": "HIGH", "includeThoughts": true}), false),
    ] {
        let body = json!({"messages": [{"role": "user", "content": "q"}], "reasoning_effort": effort});
        let dropped: &[&str] = if exact { &[] } else { &["reasoning_effort"] };
        check(model, body, thinking(config), dropped);
    }
    let ask = |name: &str, value: Value| json!({"messages": [{"role": "user", "content": "q"}], name: value});
    check(
        "gemini-2.0-flash",
        ask("reasoning_effort", "low".into()),
        json!({"generationConfig": null}),
        &["reasoning_effort"],
    );
    check("gemini-2.0-flash", ask("reasoning_effort", "none".into()), json!({"generationConfig": null}), &[]);
    let budget = json!({"thinkingBudget": 500, "includeThoughts": true});
    check("gemini-2.5-flash", ask("reasoning", json!({"max_tokens": 500})), thinking(budget.clone()), &[]);
    check(
        "gemini-2.5-flash",
        ask("thinking", json!({"type": "enabled", "budget_tokens": 500})),
        thinking(budget),
        &[],
    );
    check(
        "gemini-2.5-flash",
        ask("thinking", json!({"type": "disabled"})),
        thinking(json!({"thinkingBudget": 0})),
        &[],
    );
    let level = json!({"thinkingLevel": "HIGH"});
    check(
        "gemini-3.5-flash",
        ask("reasoning", json!({"effort": "high", "exclude": true})),
        thinking(level),
        &[],
    );
    let own = json!({"google": {"thinking_config": {"thinking_budget": 3, "include_thoughts": false}}});
    check(
        "gemini-3.5-flash",
        ask("extra_body", own),
        thinking(json!({"thinkingBudget": 3, "includeThoughts": false})),
        &[],
    );
}

#[test]
fn answers_in_json() {
    let schema = json!({"type": "object", "properties": {"b": {"type": ["string", "null"]}, "a": {"type": "integer"}}, "additionalProperties": false});
    let ask =
        |format: Value| json!({"messages": [{"role": "user", "content": "q"}], "response_format": format});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
    check(
        "gemini-2.5-flash",
        ask(format.clone()),
        json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}}),
        &[],
    );
    let openapi = json!({"type": "OBJECT", "properties": {"b": {"type": "STRING", "nullable": true}, "a": {"type": "INTEGER"}}, "propertyOrdering": ["b", "a"]});
    check(
        "gemini-2.0-flash",
        ask(format.clone()),
        json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema": openapi}}),
        &[],
    );
    let object = json!({"generationConfig": {"responseMimeType": "application/json"}});
    check("gemini-2.5-flash", ask(json!({"type": "json_object"})), object, &[]);
    check("gemini-2.5-flash", ask(json!({"type": "text"})), json!({"generationConfig": null}), &[]);
    let mut both = ask(format);
    both["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    check("gemini-2.5-flash", both.clone(), json!({"generationConfig": null}), &["response_format"]);
    check("gemini-3.5-flash", both, json!({}), &[]);
}

#[test]
fn the_same_request_gives_the_same_bytes_and_streams_have_their_path() {
    let body = json!({"messages": [{"role": "user", "content": "q"}], "stream": true, "temperature": 0.1, "top_k": 3, "seed": 1});
    let (one, other) = (encode("a/b", &body).unwrap(), encode("a/b", &body).unwrap());
    assert_eq!(one.path, "/v1beta/models/a%2Fb:streamGenerateContent?alt=sse");
    assert_eq!(format!("{:?}", body_of(&one)), format!("{:?}", body_of(&other)));
    assert!(!body_of(&one).to_string().contains("stream"));
}

#[test]
fn embeddings_of_one_and_of_several() {
    let encode = |body: Value| {
        let request = request(Operation::Embeddings, &body);
        let wire = adapter(descriptor()).encode(&request, &EncodeOptions::new("gemini-embedding-001"))?;
        spec::check(&wire.path, &body_of(&wire));
        Ok::<WireRequest, EncodeError>(wire)
    };
    let one = encode(
        json!({"input": "a", "dimensions": 3, "encoding_format": "base64", "task_type": "RETRIEVAL_QUERY"}),
    )
    .unwrap();
    assert_eq!(one.path, "/v1beta/models/gemini-embedding-001:embedContent");
    let first = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3, "taskType": "RETRIEVAL_QUERY"});
    assert_eq!(body_of(&one), first);
    let several = encode(json!({"input": ["a", "b"], "odd": 1})).unwrap();
    assert_eq!(several.path, "/v1beta/models/gemini-embedding-001:batchEmbedContents");
    assert_eq!(body_of(&several)["requests"][1]["content"], json!({"parts": [{"text": "b"}]}));
    assert_eq!(several.dropped, ["odd"]);
    for tokens in [json!([1, 2]), json!([[1], [2]])] {
        assert!(matches!(encode(json!({ "input": tokens })), Err(EncodeError::Unsupported { .. })));
    }
}
