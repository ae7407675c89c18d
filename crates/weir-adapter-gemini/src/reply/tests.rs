//! Replies and streams, and turns that go back to where they came from.

use serde_json::{Value, json};
use weir_adapter::testkit::message::Whole;
use weir_adapter::{EncodeOptions, ErrorKind, Operation, WireBody};
use weir_wire::openai;

use crate::adapter;
use crate::tests::{chunks, decoder, descriptor, request, spec};

fn whole(body: Value) -> Result<openai::chat::Response, weir_adapter::ProviderError> {
    let mut decoder = decoder(&json!({"model": "m", "messages": []}));
    match decoder.whole(body.to_string().as_bytes())? {
        openai::Response::Chat(chat) => Ok(chat),
        other => panic!("{other:?}"),
    }
}

fn sse(frames: &[Value]) -> String {
    frames.iter().map(|frame| format!("data: {frame}\r\n\r\n")).collect()
}

fn parts(parts: Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}], "responseId": "r1"})
}

/// What the model turn becomes when the message goes back to `model`.
fn replay(model: &str, message: &openai::chat::Message) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "q"}), serde_json::to_value(message).unwrap()];
    for call in message.tool_calls.iter().flatten() {
        messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": "{\"ok\":true}"}));
    }
    let body = json!({"model": "m", "messages": messages});
    let wire =
        adapter(descriptor()).encode(&request(Operation::Chat, &body), &EncodeOptions::new(model)).unwrap();
    assert_eq!(wire.dropped, Vec::<String>::new());
    let WireBody::Bytes(bytes) = &wire.body else { panic!("bytes") };
    let body: Value = serde_json::from_slice(bytes).unwrap();
    spec::check(&wire.path, &body);
    body["contents"][1]["parts"].clone()
}

/// The same parts come back, whether they came whole or one part a frame.
#[track_caller]
fn check_round_trip(model: &str, said: Value, expected: Value) {
    let response = whole(parts(said.clone())).unwrap();
    assert_eq!(replay(model, &response.choices[0].message), expected, "whole");
    let frames: Vec<Value> = said.as_array().unwrap().iter().map(|part| parts(json!([part]))).collect();
    let chunks = chunks(&sse(&frames)).unwrap();
    assert_eq!(replay(model, &assemble(&chunks)), expected, "streamed");
}

/// A message as a client puts it together: texts appended, calls by index, lists extended.
fn assemble(chunks: &[openai::Chunk]) -> openai::chat::Message {
    let mut message = openai::chat::Message { role: "assistant".to_owned(), ..Default::default() };
    for chunk in chunks {
        let openai::Chunk::Chat(chunk) = chunk else { panic!("a chat") };
        for choice in &chunk.choices {
            super::answer::join(&mut message, choice.delta.clone());
        }
    }
    message
}

#[test]
fn signatures_go_back_to_the_part_they_came_with() {
    let call = |name: &str| json!({"functionCall": {"name": name, "args": {"x": 1}}});
    let signed = |mut part: Value, signature: &str| {
        part["thoughtSignature"] = signature.into();
        part
    };
    for said in [
        // Parallel calls: the first carries the signature of all.
        json!([signed(call("f"), "s/+=="), call("g"), call("h")]),
        // Text, then a call.
        json!([{"text": "I'll look: é"}, signed(call("f"), "s1")]),
        // A signed text.
        json!([{"text": "a"}, {"text": "b", "thoughtSignature": "s1"}, {"text": "c"}]),
        // The signature on a last part without text, as streams have it.
        json!([{"text": "Red delicious"}, {"text": "", "thoughtSignature": "s2"}]),
        // Behind the calls.
        json!([signed(call("f"), "s1"), {"text": "", "thoughtSignature": "s2"}]),
        json!([{"text": "a", "thoughtSignature": "s0"}, signed(call("f"), "s1"), {"text": "b", "thoughtSignature": "s2"}, call("g"), {"text": "c", "thoughtSignature": "s3"}]),
        // A signed thought.
        json!([{"text": "hm", "thought": true, "thoughtSignature": "s"}, {"text": "8"}]),
        // Code that Google ran.
        json!([signed(json!({"executableCode": {"language": "PYTHON", "code": "1", "id": "i"}}), "s1"), {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"text": "It is 1"}, {"text": "", "thoughtSignature": "s2"}]),
        json!([{"text": "see"}, signed(json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}), "s1"), {"text": "there", "thoughtSignature": "s2"}]),
    ] {
        check_round_trip("gemini-2.5-flash", said.clone(), said);
    }
}

#[test]
fn thoughts_without_a_signature_stay_here() {
    let said = json!([{"text": "hm ", "thought": true}, {"text": "so", "thought": true}, {"text": "8"}]);
    check_round_trip("gemini-3.5-flash", said, json!([{"text": "8"}]));
}

#[test]
fn ids_that_gemini_gave_go_back_and_others_do_not() {
    let given =
        json!([{"functionCall": {"id": "dv8szvqe", "name": "f", "args": {}}, "thoughtSignature": "s"}]);
    check_round_trip("gemini-3.5-flash", given.clone(), given);
    let none = json!([{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}]);
    check_round_trip("gemini-3.5-flash", none.clone(), none);
}

#[test]
fn a_history_from_elsewhere_gets_the_word_for_no_signature() {
    let message: openai::chat::Message = serde_json::from_value(json!({"role": "assistant", "content": "x",
        "reasoning_content": "because", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}],
        "reasoning_details": [{"type": "reasoning.text", "text": "because", "signature": "claude's", "format": "anthropic-claude-v1", "index": 0},
            {"type": "reasoning.encrypted", "data": "openai's", "format": "openai-responses-v1"}, {"type": "reasoning.encrypted", "data": "whose"}]})).unwrap();
    let call = |id: &str, name: &str| json!({"functionCall": {"id": id, "name": name, "args": {}}});
    let mut first = call("call_1", "f");
    assert_eq!(replay("gemini-2.5-flash", &message), json!([{"text": "x"}, first, call("call_2", "g")]));
    first["thoughtSignature"] = "skip_thought_signature_validator".into();
    assert_eq!(replay("gemini-3.5-flash", &message), json!([{"text": "x"}, first, call("call_2", "g")]));
}

#[test]
fn signatures_in_other_gateways_forms_are_understood() {
    let message = |extra: Value| {
        let mut message = json!({"role": "assistant", "content": "x", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        message.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
        serde_json::from_value::<openai::chat::Message>(message).unwrap()
    };
    let encrypted = json!([{"type": "reasoning.encrypted", "data": "s", "format": "google-gemini-v1", "id": "a", "index": 0}]);
    let expected = json!([{"text": "x"}, {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "s"}]);
    assert_eq!(replay("gemini-3.5-flash", &message(json!({ "reasoning_details": encrypted }))), expected);
    let text = message(json!({"tool_calls": null, "extra_content": {"google": {"thought_signature": "s"}}}));
    assert_eq!(replay("gemini-3.5-flash", &text), json!([{"text": "x", "thoughtSignature": "s"}]));
}

#[test]
fn a_changed_text_never_breaks_the_turn() {
    let response = whole(parts(json!([{"text": "äöü"}, {"text": "xyz", "thoughtSignature": "s"}]))).unwrap();
    let mut message = response.choices[0].message.clone();
    for text in ["", "ä", "äöüx", "a much longer text than it was", "äö€"] {
        message.content = Some(openai::chat::Content::Text(text.to_owned()));
        let parts = replay("gemini-3.5-flash", &message);
        let said: String =
            parts.as_array().unwrap().iter().map(|part| part["text"].as_str().unwrap()).collect();
        assert_eq!(said, text);
        assert_eq!(
            parts.as_array().unwrap().iter().filter(|part| part["thoughtSignature"] == "s").count(),
            1
        );
    }
}

#[test]
fn ids_are_unique_over_a_conversation_of_three_turns() {
    let mut seen = Vec::new();
    for reply in ["one", "two", "three"] {
        let mut body = parts(json!([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]));
        body["responseId"] = reply.into();
        let message = whole(body.clone()).unwrap().choices[0].message.clone();
        let again = whole(body).unwrap().choices[0].message.clone();
        assert_eq!(message, again);
        seen.extend(message.tool_calls.unwrap().into_iter().map(|call| call.id.unwrap()));
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), count), (6, 6));
}

#[test]
fn every_finish_reason_has_its_word() {
    for (reason, calls, expected) in [
        ("STOP", false, "stop"),
        ("STOP", true, "tool_calls"),
        ("MAX_TOKENS", false, "length"),
        ("SAFETY", false, "content_filter"),
        ("RECITATION", false, "content_filter"),
        ("BLOCKLIST", false, "content_filter"),
        ("PROHIBITED_CONTENT", false, "content_filter"),
        ("SPII", false, "content_filter"),
        ("IMAGE_SAFETY", false, "content_filter"),
        ("MODEL_ARMOR", false, "content_filter"),
        ("LANGUAGE", false, "stop"),
        ("OTHER", false, "stop"),
        ("SOMETHING_NEW", false, "stop"),
    ] {
        let part = if calls { json!({"functionCall": {"name": "f"}}) } else { json!({"text": "x"}) };
        let mut body = parts(json!([part]));
        body["candidates"][0]["finishReason"] = reason.into();
        let choice = whole(body.clone()).unwrap().choices.remove(0);
        assert_eq!(choice.finish_reason.as_deref(), Some(expected), "{reason}");
        assert_eq!(choice.extra["native_finish_reason"], reason);
        let streamed = Whole::of_chunks(&chunks(&sse(&[body])).unwrap());
        assert_eq!(streamed.answers[&0].finish_reason.as_deref(), Some(expected), "{reason}");
    }
    for (reason, kind) in [
        ("MALFORMED_FUNCTION_CALL", ErrorKind::Nonsense),
        ("UNEXPECTED_TOOL_CALL", ErrorKind::Nonsense),
        ("TOO_MANY_TOOL_CALLS", ErrorKind::Nonsense),
        ("MISSING_THOUGHT_SIGNATURE", ErrorKind::InvalidRequest),
    ] {
        let body = json!({"candidates": [{"finishReason": reason, "finishMessage": "why"}], "usageMetadata": {"promptTokenCount": 3}});
        for error in
            [whole(body.clone()).unwrap_err(), chunks(&sse(std::slice::from_ref(&body))).unwrap_err()]
        {
            assert_eq!(
                (error.kind, error.error.code.as_deref()),
                (kind, Some(&*reason.to_ascii_lowercase()))
            );
            assert!(error.error.message.ends_with(": why") && error.usage.is_some());
        }
    }
}

#[test]
fn blocked_empty_and_cut_replies_are_told_apart() {
    let blocked = json!({"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "why"}});
    let error = whole(blocked.clone()).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::ContentFilter, 400));
    assert_eq!(error.error.message, "the provider blocked the prompt: MODEL_ARMOR: why");
    assert_eq!(chunks(&sse(&[blocked])).unwrap_err().kind, ErrorKind::ContentFilter);
    // Not blocked: ratings only.
    let rated = json!({"promptFeedback": {"safetyRatings": []}, "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]});
    assert!(whole(rated).is_ok());
    for empty in [
        json!({}),
        json!({"candidates": [{"finishReason": "STOP"}]}),
        json!({"candidates": [{"content": {}, "finishReason": "OTHER"}]}),
    ] {
        assert_eq!(whole(empty.clone()).unwrap_err().kind, ErrorKind::Empty, "{empty}");
        assert_eq!(chunks(&sse(&[empty])).unwrap_err().kind, ErrorKind::Empty);
    }
    let thinking = json!({"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}], "usageMetadata": {"promptTokenCount": 1, "thoughtsTokenCount": 5}});
    let response = whole(thinking).unwrap();
    assert_eq!(response.choices[0].finish_reason.as_deref(), Some("length"));
    assert_eq!(response.choices[0].message.text(), "");
    let open = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}}]});
    for cut in [String::new(), sse(std::slice::from_ref(&open)), format!("{}data: {{\"candi", sse(&[open]))] {
        let kind = chunks(&cut).unwrap_err().kind;
        assert!(matches!(kind, ErrorKind::Truncated | ErrorKind::Nonsense), "{cut}: {kind:?}");
    }
    assert_eq!(chunks("<html>oops</html>\n\n").unwrap_err().kind, ErrorKind::Nonsense);
    let mut decoder = decoder(&json!({"model": "m", "messages": []}));
    assert_eq!(decoder.whole(b"oops").unwrap_err().kind, ErrorKind::Nonsense);
}

#[test]
fn errors_within_a_stream_under_200() {
    let frame = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 4}});
    let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let first = sse(&[frame]);
    for stream in [
        format!("{first}{}", serde_json::to_string_pretty(&error).unwrap()),
        format!("{first}data: {error}\r\n\r\n"),
        format!("[{error}]"),
    ] {
        let failure = chunks(&stream).unwrap_err();
        assert_eq!((failure.kind, failure.status), (ErrorKind::Overloaded, 503), "{stream}");
        assert_eq!(failure.usage.is_some(), stream.contains("candidates"));
    }
    let half = format!("{first}{{\"error\": {{");
    assert_eq!(chunks(&half).unwrap_err().kind, ErrorKind::Truncated);
}

#[test]
fn usage_comes_once_and_the_last_report_counts() {
    let frame = |count: u64| {
        json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": count, "thoughtsTokenCount": 5, "cachedContentTokenCount": 4, "serviceTier": "standard"},
        "createTime": "2026-03-12T18:06:36.729115Z", "modelVersion": "gemini-x"})
    };
    let last = json!({"candidates": [{"content": {"parts": [{"text": ""}]}}], "usageMetadata": {"trafficType": "ON_DEMAND"}});
    let chunks = chunks(&sse(&[frame(1), frame(3), last])).unwrap();
    let with_usage: Vec<&openai::chat::Chunk> = chunks
        .iter()
        .filter_map(|chunk| match chunk {
            openai::Chunk::Chat(chunk) => chunk.usage.is_some().then_some(chunk),
            openai::Chunk::Completions(_) => None,
        })
        .collect();
    let [chunk] = with_usage[..] else { panic!("one chunk with usage") };
    let usage = chunk.usage.as_ref().unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (10, 8, 18));
    assert_eq!(usage.prompt_tokens_details.as_ref().unwrap().cached_tokens, Some(4));
    assert_eq!((chunk.choices.len(), chunk.created, chunk.model.as_str()), (0, 1_773_338_796, "gemini-x"));
    assert_eq!(chunk.extra["service_tier"], "default");
}

#[test]
fn several_answers_stay_apart() {
    let body = json!({"responseId": "r", "candidates": [
        {"index": 1, "content": {"parts": [{"text": "b"}, {"functionCall": {"name": "f"}}]}, "finishReason": "STOP"},
        {"content": {"parts": [{"text": "a"}, {"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]});
    let response = whole(body.clone()).unwrap();
    let texts: Vec<String> = response.choices.iter().map(|choice| choice.message.text()).collect();
    assert_eq!(texts, ["a", "b"]);
    let id = |at: usize| response.choices[at].message.tool_calls.as_ref().unwrap()[0].id.clone();
    assert_ne!(id(0), id(1));
    let streamed = Whole::of_chunks(&chunks(&sse(&[body])).unwrap());
    assert_eq!(streamed.answers, Whole::of_response(&openai::Response::Chat(response)).answers);
}

#[test]
fn sources_become_annotations() {
    let body = json!({"candidates": [{"content": {"parts": [{"text": "Ä is é. B."}]}, "finishReason": "STOP",
        "groundingMetadata": {"webSearchQueries": ["", "q1", "q2"], "groundingChunks": [{"web": {"uri": "u0", "title": "t0"}}, {"web": {"uri": "u1"}}],
            "groundingSupports": [{"segment": {"endIndex": 8}, "groundingChunkIndices": [0, 1, 9]}]},
        "citationMetadata": {"citationSources": [{"startIndex": 9, "endIndex": 999, "uri": "c"}]}}],
        "usageMetadata": {"promptTokenCount": 1}, "modelVersion": "gemini-3.5-flash"});
    let mut decoder = decoder(&json!({"model": "m", "messages": []}));
    let openai::Response::Chat(response) = decoder.whole(body.to_string().as_bytes()).unwrap() else {
        panic!()
    };
    let citation = |url: &str, title: &str, start: usize, end: usize| json!({"type": "url_citation", "url_citation": {"url": url, "title": title, "start_index": start, "end_index": end}});
    let expected = vec![citation("u0", "t0", 0, 6), citation("u1", "u1", 0, 6), citation("c", "c", 7, 10)];
    assert_eq!(response.choices[0].message.annotations.as_ref(), Some(&expected));
    let google = &response.choices[0].message.extra["extra_content"]["google"];
    assert_eq!(google["grounding_metadata"]["webSearchQueries"][1], "q1");
    assert_eq!(decoder.usage().unwrap().tokens(weir_wire::Class::Input), 1);
    assert_eq!(decoder.usage().unwrap().get(weir_wire::Class::Search, weir_wire::Unit::Search), 2);
}

#[test]
fn log_probabilities_have_openais_shape() {
    let one = |token: &str, value: f64| json!({"token": token, "tokenId": 1, "logProbability": value});
    let mut body = parts(json!([{"text": "é"}]));
    body["candidates"][0]["logprobsResult"] = json!({"chosenCandidates": [one("é", -0.25)], "topCandidates": [{"candidates": [one("é", -0.25), one("e", -2.5)]}]});
    let openai =
        |token: &str, value: f64| json!({"token": token, "logprob": value, "bytes": token.as_bytes()});
    let mut expected = openai("é", -0.25);
    expected["top_logprobs"] = json!([openai("é", -0.25), openai("e", -2.5)]);
    let choice = whole(body).unwrap().choices.remove(0);
    assert_eq!(choice.logprobs, Some(json!({"content": [expected], "refusal": null})));
}

#[test]
fn sound_is_joined() {
    let sound =
        |data: &str| json!({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}});
    let choice = whole(parts(json!([sound("AAAA"), sound("BBBB")]))).unwrap().choices.remove(0);
    assert_eq!(choice.message.audio.unwrap()["data"], "AAAABBBB");
    assert_eq!(choice.message.content, None);
}
