//! Recorded exchanges with Bedrock's Converse: replies, binary streams, errors, requests there and back.
//!
//! Runs where the recordings are. What a recording says is read here from its raw bytes, by code that shares nothing
//! with the adapter.

mod spec;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value, json};
use weir_adapter::testkit::{Case, Report, Whole, case, diff, plain, stream};
use weir_adapter::{
    Adapter, Decoder, Descriptor, EncodeError, EncodeOptions, ErrorKind, Operation, ProviderError, ReplyForm,
    WireBody,
};

fn cases() -> Vec<Case> {
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else {
        println!("no recordings here: nothing is checked");
        return Vec::new();
    };
    case::load(&folder, &["bedrock"], &["converse"])
}

/// The least number of cases that must pass, where there are recordings.
fn least(number: usize) -> usize {
    if case::fixtures(env!("CARGO_MANIFEST_DIR")).is_some() { number } else { 0 }
}

fn adapter() -> Arc<dyn Adapter> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/providers/bedrock.yaml");
    let descriptor: Descriptor =
        serde_saphyr::from_str(&std::fs::read_to_string(path).expect(path)).expect(path);
    weir_adapter_bedrock::adapter(descriptor)
}

fn decoder() -> Box<dyn Decoder> {
    match adapter().reply_form(&plain::request(Operation::Chat, &json!({"model": "m", "messages": []}))) {
        ReplyForm::Foreign(decoder) => decoder,
        ReplyForm::Native(_) => panic!("Bedrock's is nobody's own dialect here"),
    }
}

fn sent(body: &Value, model: &str) -> Result<(Value, Vec<String>), EncodeError> {
    let wire = adapter().encode(&plain::request(Operation::Chat, body), &EncodeOptions::new(model))?;
    let WireBody::Bytes(bytes) = &wire.body else { panic!("a body in bytes") };
    Ok((serde_json::from_slice(bytes).expect("JSON"), wire.dropped))
}

fn streamed(case: &Case) -> bool {
    case.response_kind == "eventstream"
}

/// The reply's bytes as they were on the wire.
fn body(case: &Case) -> Vec<u8> {
    let body = case.response();
    if !streamed(case) {
        return body;
    }
    let plain: Vec<u8> = body.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(plain).expect("base64")
}

fn read(case: &Case, cuts: &[usize]) -> Result<Whole, ProviderError> {
    let mut decoder = decoder();
    if streamed(case) {
        return Ok(Whole::of_chunks(&stream::decode(&mut *decoder, &body(case), cuts)?));
    }
    Ok(Whole::of_response(&decoder.whole(&body(case))?))
}

// === Replies ===

/// The frames of a binary stream: names of events, and their payloads.
fn events(mut bytes: &[u8]) -> Vec<(String, Value)> {
    let number = |at: usize, bytes: &[u8]| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (total, headers) = (number(0, bytes), number(4, bytes));
        let head = String::from_utf8_lossy(&bytes[12..12 + headers]).into_owned();
        let name = [
            "messageStart",
            "contentBlockStart",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata",
        ]
        .into_iter()
        .find(|name| head.contains(name))
        .unwrap_or("unknown");
        let payload = serde_json::from_slice(&bytes[12 + headers..total - 4]).expect("an event is JSON");
        events.push((name.to_owned(), payload));
        bytes = &bytes[total..];
    }
    events
}

/// What stands in a recorded reply.
#[derive(Debug, Default)]
struct Said {
    text: String,
    thinking: String,
    signatures: Vec<String>,
    redacted: String,
    calls: Vec<(String, String, Value)>,
    stop: String,
    usage: Value,
}

impl Said {
    fn of(case: &Case) -> Said {
        let mut said = Said::default();
        if !streamed(case) {
            let reply: Value = serde_json::from_slice(&body(case)).expect("JSON");
            for block in reply["output"]["message"]["content"].as_array().into_iter().flatten() {
                said.block(block);
            }
            said.stop = reply["stopReason"].as_str().unwrap_or_default().to_owned();
            said.usage = reply["usage"].clone();
            return said;
        }
        let mut inputs: std::collections::BTreeMap<u64, (String, String, String)> = Default::default();
        for (name, event) in events(&body(case)) {
            let at = event["contentBlockIndex"].as_u64().unwrap_or(0);
            match name.as_str() {
                "contentBlockStart" => {
                    let called = &event["start"]["toolUse"];
                    if called.is_object() && called["type"] != "server_tool_use" {
                        let text = |name: &str| called[name].as_str().unwrap().to_owned();
                        inputs.insert(at, (text("toolUseId"), text("name"), String::new()));
                    }
                }
                "contentBlockDelta" => {
                    let delta = &event["delta"];
                    said.text += delta["text"].as_str().unwrap_or_default();
                    let thought = &delta["reasoningContent"];
                    said.thinking += thought["text"].as_str().unwrap_or_default();
                    said.signatures.extend(thought["signature"].as_str().map(str::to_owned));
                    said.redacted += thought["redactedContent"].as_str().unwrap_or_default();
                    if let Some((_, _, input)) = inputs.get_mut(&at) {
                        *input += delta["toolUse"]["input"].as_str().unwrap_or_default();
                    }
                }
                "messageStop" => said.stop = event["stopReason"].as_str().unwrap().to_owned(),
                "metadata" => said.usage = event["usage"].clone(),
                _ => {}
            }
        }
        said.calls = inputs
            .into_values()
            .map(|(id, name, input)| {
                let input = if input.is_empty() { json!({}) } else { serde_json::from_str(&input).unwrap() };
                (id, name, input)
            })
            .collect();
        said
    }

    fn block(&mut self, block: &Value) {
        self.text += block["text"].as_str().unwrap_or_default();
        let thought = &block["reasoningContent"];
        self.thinking += thought["reasoningText"]["text"].as_str().unwrap_or_default();
        self.signatures.extend(thought["reasoningText"]["signature"].as_str().map(str::to_owned));
        self.redacted += thought["redactedContent"].as_str().unwrap_or_default();
        let called = &block["toolUse"];
        if called.is_object() && called["type"] != "server_tool_use" {
            let text = |name: &str| called[name].as_str().unwrap().to_owned();
            self.calls.push((text("toolUseId"), text("name"), called["input"].clone()));
        }
    }

    fn compare(&self, whole: &Whole) -> Result<(), String> {
        let answer = whole.answers.get(&0).ok_or("no answer")?;
        let calls: Vec<_> = answer
            .calls
            .values()
            .map(|call| {
                let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
                (call.id.clone(), call.name.clone(), arguments)
            })
            .collect();
        let finish = match self.stop.as_str() {
            "max_tokens" => "length",
            "guardrail_intervened" => "content_filter",
            _ if !self.calls.is_empty() => "tool_calls",
            _ => "stop",
        };
        let count = |name: &str| self.usage[name].as_u64().unwrap_or(0);
        // The total has every class once: what is cached beside the input.
        let usage = whole.usage.as_ref().map(|usage| (usage.total_tokens, usage.completion_tokens));
        let cached =
            whole.usage.as_ref().and_then(|usage| usage.prompt_tokens_details.as_ref()?.cached_tokens);
        let details = &answer.reasoning_details;
        let signatures: Vec<String> = details.iter().filter_map(|detail| detail.signature.clone()).collect();
        let redacted: String = details.iter().filter_map(|detail| detail.data.as_deref()).collect();
        let same = answer.text == self.text
            && answer.reasoning == self.thinking
            && signatures == self.signatures
            && redacted == self.redacted
            && calls == self.calls
            && answer.finish_reason.as_deref() == Some(finish)
            && usage == Some((count("totalTokens"), count("outputTokens")))
            && cached == Some(count("cacheReadInputTokens"));
        if same { Ok(()) } else { Err(format!("{whole:#?}\ninstead of {self:#?}")) }
    }
}

#[test]
fn replies_say_what_stands_in_them() {
    let mut report = Report::new("Bedrock's replies");
    for case in cases().into_iter().filter(|case| !case.is_error()) {
        let result = read(&case, &[]).map_err(|error| error.to_string());
        report.ran(case.id(), result.and_then(|whole| Said::of(&case).compare(&whole)));
    }
    report.finish(least(32));
}

#[test]
fn streams_cut_at_every_byte_say_the_same() {
    let mut report = Report::new("Bedrock's streams, cut");
    for case in cases().into_iter().filter(streamed) {
        let body = body(&case);
        let framing = decoder().framing();
        let (whole, frames) = (read(&case, &[]), stream::frames(framing, &body, &[]));
        let differs = stream::ways(body.len(), &case.chunk_lengths(), body.len())
            .into_iter()
            .find(|cuts| stream::frames(framing, &body, cuts) != frames && read(&case, cuts) != whole);
        report.ran(case.id(), differs.map_or(Ok(()), |cuts| Err(format!("cut at {cuts:?}"))));
    }
    report.finish(least(15));
}

#[test]
fn a_stream_that_ends_early_or_is_damaged_is_not_complete() {
    let mut report = Report::new("Bedrock's streams, ended early and damaged");
    for case in cases().into_iter().filter(streamed) {
        let body = body(&case);
        let stop = body.windows(11).position(|window| window == b"messageStop").expect("an end");
        let cut = stream::decode(&mut *decoder(), &body[..stop], &[]).err().map(|error| error.kind);
        let mut damaged = body.clone();
        damaged[stop] ^= 1;
        let broken = stream::decode(&mut *decoder(), &damaged, &[]).err().map(|error| error.kind);
        let seen = (cut, broken);
        let right = seen == (Some(ErrorKind::Truncated), Some(ErrorKind::Nonsense));
        report.ran(case.id(), if right { Ok(()) } else { Err(format!("{seen:?}")) });
    }
    report.finish(least(15));
}

#[test]
fn an_exception_in_a_stream_is_an_error() {
    let mut bytes = bytes::BytesMut::new();
    let write = weir_wire::framing::eventstream::write;
    let headers = [(":message-type", "event"), (":event-type", "contentBlockDelta")];
    write(&mut bytes, &headers, br#"{"contentBlockIndex":0,"delta":{"text":"a"},"p":"abc"}"#);
    let headers = [(":message-type", "exception"), (":exception-type", "throttlingException")];
    write(&mut bytes, &headers, br#"{"message":"Too many tokens, please wait before trying again."}"#);
    let error = stream::decode(&mut *decoder(), &bytes, &[]).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::RateLimit, 429));
    bytes.clear();
    let headers =
        [(":message-type", "error"), (":error-code", "InternalServerException"), (":error-message", "m")];
    write(&mut bytes, &headers, b"");
    let error = stream::decode(&mut *decoder(), &bytes, &[]).unwrap_err();
    assert_eq!((error.kind, error.error.message.as_str()), (ErrorKind::Server, "m"));
}

// === Requests ===

/// A recorded request in OpenAI's form.
fn openai_form(body: &Value) -> Value {
    let mut written = Map::new();
    let mut messages = Vec::new();
    let system = content(&body["system"]);
    if !system.is_empty() {
        messages.push(json!({"role": "system", "content": system}));
    }
    for message in body["messages"].as_array().expect("messages") {
        turn(message, &mut messages);
    }
    written.insert("messages".to_owned(), Value::Array(messages));
    for (name, value) in body.as_object().expect("an object") {
        match name.as_str() {
            "messages" | "system" => {}
            "inferenceConfig" => {
                for (from, to) in [
                    ("maxTokens", "max_tokens"),
                    ("temperature", "temperature"),
                    ("topP", "top_p"),
                    ("stopSequences", "stop"),
                ] {
                    if let Some(value) = value.get(from) {
                        written.insert(to.to_owned(), value.clone());
                    }
                }
            }
            "toolConfig" => tools(value, &mut written),
            "outputConfig" => {
                let schema = &value["textFormat"]["structure"]["jsonSchema"];
                let mut named = schema.clone();
                named["schema"] = serde_json::from_str(schema["schema"].as_str().unwrap()).unwrap();
                written.insert(
                    "response_format".to_owned(),
                    json!({"type": "json_schema", "json_schema": named}),
                );
            }
            _ => drop(written.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(written)
}

/// Blocks as parts; a cache point is a marker on the part before it.
fn content(blocks: &Value) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    for block in blocks.as_array().into_iter().flatten() {
        if let Some(text) = block.get("text") {
            parts.push(json!({"type": "text", "text": text}));
        } else if block.get("cachePoint").is_some() {
            parts.last_mut().expect("it marks something")["cache_control"] = json!({"type": "ephemeral"});
        } else if let Some(data) = block.pointer("/image/source/bytes").and_then(Value::as_str) {
            let url = format!("data:image/{};base64,{data}", block["image"]["format"].as_str().unwrap());
            parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
        } else {
            parts.push(block.clone());
        }
    }
    parts
}

fn turn(message: &Value, messages: &mut Vec<Value>) {
    let (mut rest, mut calls, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let assistant = message["role"] == "assistant";
    for block in message["content"].as_array().expect("content") {
        let (called, result) = (&block["toolUse"], &block["toolResult"]);
        if assistant && (called["type"] == "server_tool_use" || result.is_object()) {
            own.push(block.clone());
        } else if called.is_object() {
            calls.push(json!({"id": called["toolUseId"], "type": "function",
                "function": {"name": called["name"], "arguments": called["input"].to_string()}}));
        } else if result.is_object() {
            let mut written = json!({"role": "tool", "tool_call_id": result["toolUseId"]});
            let value = result["content"][0].get("json");
            match value {
                Some(value) => written["content_json"] = value.clone(),
                None => written["content"] = Value::Array(content(&result["content"])),
            }
            if result["status"] == "error" {
                written["is_error"] = true.into();
            }
            messages.push(written);
        } else {
            rest.push(block.clone());
        }
    }
    let rest = content(&Value::Array(rest));
    if rest.is_empty() && calls.is_empty() && own.is_empty() {
        return;
    }
    let mut written = json!({"role": message["role"], "content": rest});
    if !calls.is_empty() {
        written["tool_calls"] = Value::Array(calls);
    }
    if !own.is_empty() {
        written["bedrock_content"] = Value::Array(own);
    }
    messages.push(written);
}

fn tools(config: &Value, written: &mut Map<String, Value>) {
    let mut list: Vec<Value> = Vec::new();
    for tool in config["tools"].as_array().expect("tools") {
        if let Some(spec) = tool.get("toolSpec") {
            let mut function = json!({"name": spec["name"], "parameters": spec["inputSchema"]["json"]});
            for name in ["description", "strict"] {
                if let Some(value) = spec.get(name) {
                    function[name] = value.clone();
                }
            }
            list.push(json!({"type": "function", "function": function}));
        } else if tool.get("cachePoint").is_some() {
            list.last_mut().expect("it marks something")["cache_control"] = json!({"type": "ephemeral"});
        } else {
            list.push(tool.clone());
        }
    }
    written.insert("tools".to_owned(), Value::Array(list));
    let choice = &config["toolChoice"];
    let choice = match choice.get("tool") {
        Some(tool) => json!({"type": "function", "function": {"name": tool["name"]}}),
        None if choice.get("any").is_some() => json!("required"),
        None if choice.get("auto").is_some() => json!("auto"),
        None => return,
    };
    written.insert("tool_choice".to_owned(), choice);
}

/// What means the same, written in one way.
fn normal(body: &Value) -> Value {
    let mut body = body.clone();
    let members = body.as_object_mut().expect("an object");
    if let Some(config) = members.get_mut("inferenceConfig").and_then(Value::as_object_mut) {
        config.retain(|_, value| *value != json!([]));
    }
    members.retain(|_, value| *value != json!({}) && *value != json!([]));
    for message in body["messages"].as_array_mut().into_iter().flatten() {
        for block in message["content"].as_array_mut().into_iter().flatten() {
            // Success is what is meant where nothing is said.
            if let Some(result) = block.get_mut("toolResult").filter(|result| result["status"] == "success")
                && result.get("type").is_none()
            {
                result.as_object_mut().expect("a result").remove("status");
            }
        }
    }
    if let Some(schema) = body.pointer_mut("/outputConfig/textFormat/structure/jsonSchema/schema") {
        let read: Value = serde_json::from_str(schema.as_str().expect("a text")).expect("JSON");
        *schema = read;
    }
    body
}

#[test]
fn requests_go_there_and_back_and_fit_the_description() {
    let mut report = Report::new("Bedrock's requests, by way of OpenAI's form");
    let spec = spec::Spec::load();
    for case in cases() {
        let Some(body) = case.request_body() else {
            report.leave_out(case.id(), "the request was not recorded");
            continue;
        };
        let result = sent(&openai_form(&body), "some.model").map_err(|error| error.to_string());
        let result = result.and_then(|(sent, dropped)| {
            let differences = diff(&normal(&body), &normal(&sent));
            if !differences.is_empty() || !dropped.is_empty() {
                return Err(format!("{differences:#?} {dropped:?}"));
            }
            let problems =
                spec.as_ref().map(|spec| spec.problems("ConverseRequest", &sent)).unwrap_or_default();
            if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
        });
        report.ran(case.id(), result);
    }
    report.finish(least(38));
}

// === Errors ===

#[test]
fn recorded_errors_have_their_kind() {
    let mut report = Report::new("Bedrock's errors");
    for case in cases().into_iter().filter(Case::is_error) {
        let status = StatusCode::from_u16(case.status).expect("a status");
        let error = adapter().error(status, &case.response_headers(), &case.response());
        let told = String::from_utf8_lossy(&case.response()).into_owned();
        let expected = match case.status {
            403 => (ErrorKind::Auth, 502),
            404 => (ErrorKind::NotFound, 404),
            400 if told.contains("identifier is invalid") || told.contains("on-demand") => {
                (ErrorKind::NotFound, 0)
            }
            400 => (ErrorKind::InvalidRequest, 400),
            other => panic!("{}: a {other} is new", case.id()),
        };
        let right = error.kind == expected.0 && (expected.1 == 0 || error.status == expected.1);
        report.ran(case.id(), if right { Ok(()) } else { Err(format!("{error:?} instead of {expected:?}")) });
    }
    report.finish(least(8));
}

// === Other APIs of Bedrock's ===

/// Recordings of what is not called, each with the reason. OpenAI's form at Bedrock is `bedrock-openai`'s, checked there.
#[test]
fn what_is_not_called_is_named() {
    let mut report = Report::new("Bedrock's other APIs");
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else { return };
    for (api, reason) in [
        (
            "invoke",
            "InvokeModel has a dialect a model family: Converse says the same, embeddings and rerank wait; `/passthrough` signs it",
        ),
        ("count_tokens", "counts are estimated for clients of other dialects"),
        ("guardrail", "they act within Converse (`guardrailConfig`); alone they answer nothing"),
    ] {
        for case in case::load(&folder, &["bedrock"], &[api]) {
            report.leave_out(case.id(), reason);
        }
    }
    report.finish(0);
}
