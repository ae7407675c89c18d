//! Recorded exchanges with Cohere: replies, streams, errors, requests there and back.
//!
//! Runs where the recordings are. What a recording says is read here from its raw JSON, by code that shares nothing
//! with the adapter.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use weir_adapter::testkit::{Case, Report, Whole, case, diff, plain, stream};
use weir_adapter::{
    Adapter, Decoder, Descriptor, EncodeError, EncodeOptions, ErrorKind, Operation, ProviderError, ReplyForm,
    WireBody,
};
use weir_wire::openai;

fn cases(api: &str) -> Vec<Case> {
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else {
        println!("no recordings here: nothing is checked");
        return Vec::new();
    };
    case::load(&folder, &["cohere"], &[api])
}

/// The least number of cases that must pass, where there are recordings.
fn least(number: usize) -> usize {
    if case::fixtures(env!("CARGO_MANIFEST_DIR")).is_some() { number } else { 0 }
}

fn adapter() -> Arc<dyn Adapter> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/providers/cohere.yaml");
    let descriptor: Descriptor =
        serde_saphyr::from_str(&std::fs::read_to_string(path).expect(path)).expect(path);
    weir_adapter_cohere::adapter(descriptor)
}

fn decoder(operation: Operation) -> Box<dyn Decoder> {
    match adapter()
        .reply_form(&plain::request(operation, &json!({"model": "m", "messages": [], "input": "x"})))
    {
        ReplyForm::Foreign(decoder) => decoder,
        ReplyForm::Native(_) => panic!("Cohere is nobody's own dialect here"),
    }
}

fn sent(operation: Operation, body: &Value, model: &str) -> Result<(Value, Vec<String>), EncodeError> {
    let wire = adapter().encode(&plain::request(operation, body), &EncodeOptions::new(model))?;
    let WireBody::Bytes(bytes) = &wire.body else { panic!("a body in bytes") };
    Ok((serde_json::from_slice(bytes).expect("JSON"), wire.dropped))
}

fn read(case: &Case, cuts: &[usize]) -> Result<Whole, ProviderError> {
    let mut decoder = decoder(Operation::Chat);
    if case.response_kind == "sse" {
        let chunks = stream::decode(&mut *decoder, &case.response(), cuts)?;
        return Ok(Whole::of_chunks(&chunks));
    }
    Ok(Whole::of_response(&decoder.whole(&case.response())?))
}

// === Replies ===

/// What stands in a recorded reply, by its raw JSON.
#[derive(Default)]
struct Said {
    text: String,
    thinking: String,
    calls: Vec<(String, String, String)>,
    finish: String,
    usage: Value,
}

impl Said {
    fn of(case: &Case) -> Said {
        let body = case.response();
        let mut said = Said::default();
        if case.response_kind != "sse" {
            let reply: Value = serde_json::from_slice(&body).expect("JSON");
            said.message(&reply["message"]);
            said.end(&reply);
            return said;
        }
        for line in String::from_utf8_lossy(&body).lines() {
            let Some(data) = line.strip_prefix("data:").map(str::trim).filter(|data| *data != "[DONE]")
            else {
                continue;
            };
            let event: Value = serde_json::from_str(data).expect("an event");
            let message = &event["delta"]["message"];
            if event["type"] == "message-end" {
                said.end(&event["delta"]);
            } else if event["type"] != "message-start" {
                said.piece(message);
            }
        }
        said
    }

    fn end(&mut self, told: &Value) {
        self.finish = told["finish_reason"].as_str().unwrap_or_default().to_owned();
        self.usage = told["usage"].clone();
    }

    fn message(&mut self, message: &Value) {
        self.text += message["tool_plan"].as_str().unwrap_or_default();
        for block in message["content"].as_array().into_iter().flatten() {
            self.text += block["text"].as_str().unwrap_or_default();
            self.thinking += block["thinking"].as_str().unwrap_or_default();
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            self.calls.push((
                word(&call["id"]),
                word(&call["function"]["name"]),
                word(&call["function"]["arguments"]),
            ));
        }
    }

    fn piece(&mut self, message: &Value) {
        self.text += message["tool_plan"].as_str().unwrap_or_default();
        self.text += message["content"]["text"].as_str().unwrap_or_default();
        self.thinking += message["content"]["thinking"].as_str().unwrap_or_default();
        let call = &message["tool_calls"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if call["id"].is_string() {
            self.calls.push((word(&call["id"]), word(&call["function"]["name"]), String::new()));
        }
        if let Some(last) = self.calls.last_mut() {
            last.2 += call["function"]["arguments"].as_str().unwrap_or_default();
        }
    }

    fn compare(&self, whole: &Whole) -> Result<(), String> {
        let answer = whole.answers.get(&0).ok_or("no answer")?;
        let calls: Vec<_> = answer
            .calls
            .values()
            .map(|call| (call.id.clone(), call.name.clone(), call.arguments.clone()))
            .collect();
        let told: Vec<_> = self
            .calls
            .iter()
            .map(|(id, name, arguments)| {
                let none = matches!(arguments.trim(), "" | "null");
                (id.clone(), name.clone(), if none { "{}".to_owned() } else { arguments.clone() })
            })
            .collect();
        let finish = match self.finish.as_str() {
            "MAX_TOKENS" => "length",
            "TOOL_CALL" => "tool_calls",
            _ => "stop",
        };
        let billed = &self.usage["billed_units"];
        let usage = whole.usage.as_ref().map(|usage| (usage.prompt_tokens, usage.completion_tokens));
        let expected = billed.is_object().then(|| {
            (
                billed["input_tokens"].as_f64().unwrap_or(0.0) as u64,
                billed["output_tokens"].as_f64().unwrap_or(0.0) as u64,
            )
        });
        let same = answer.text == self.text
            && answer.reasoning == self.thinking
            && calls == told
            && answer.finish_reason.as_deref() == Some(finish)
            && usage == expected;
        if same {
            Ok(())
        } else {
            Err(format!("{whole:#?}\ninstead of {:?} {told:?} {expected:?}", self.text))
        }
    }
}

#[test]
fn replies_say_what_stands_in_them() {
    let mut report = Report::new("Cohere's replies");
    for case in cases("chat").into_iter().filter(|case| !case.is_error()) {
        let said = Said::of(&case);
        let result = match (read(&case, &[]), said.finish.as_str()) {
            (Err(error), "ERROR") if error.kind == ErrorKind::Server => Ok(()),
            (Ok(_), "ERROR") => Err("a failure is no answer".to_owned()),
            (Err(error), _) => Err(error.to_string()),
            (Ok(whole), _) => said.compare(&whole),
        };
        report.ran(case.id(), result);
    }
    report.finish(least(36));
}

#[test]
fn streams_cut_at_every_byte_say_the_same() {
    let mut report = Report::new("Cohere's streams, cut");
    for case in cases("chat").into_iter().filter(|case| case.response_kind == "sse") {
        let body = case.response();
        let framing = decoder(Operation::Chat).framing();
        let (whole, frames) = (read(&case, &[]), stream::frames(framing, &body, &[]));
        let differs = stream::ways(body.len(), &case.chunk_lengths(), body.len())
            .into_iter()
            .find(|cuts| stream::frames(framing, &body, cuts) != frames && read(&case, cuts) != whole);
        report.ran(case.id(), differs.map_or(Ok(()), |cuts| Err(format!("cut at {cuts:?}"))));
    }
    report.finish(least(15));
}

#[test]
fn a_stream_that_ends_early_is_not_complete() {
    let mut report = Report::new("Cohere's streams, ended early");
    for case in cases("chat").into_iter().filter(|case| case.response_kind == "sse") {
        let body = case.response();
        let text = String::from_utf8_lossy(&body).into_owned();
        let end = text
            .find("event: message-end")
            .or_else(|| text.find("data: {\"type\":\"message-end\""))
            .expect("an end");
        let result = stream::decode(&mut *decoder(Operation::Chat), &body[..end], &[]);
        let kind = result.err().map(|error| error.kind);
        report.ran(
            case.id(),
            if kind == Some(ErrorKind::Truncated) { Ok(()) } else { Err(format!("{kind:?}")) },
        );
    }
    report.finish(least(15));
}

// === Requests ===

/// A recorded request in OpenAI's form.
fn openai_form(body: &Value) -> Value {
    let mut written = Map::new();
    for (name, value) in body.as_object().expect("an object") {
        let (name, value) = match (name.as_str(), value) {
            ("stop_sequences", stop) => ("stop", stop.clone()),
            ("p", p) => ("top_p", p.clone()),
            ("tool_choice", choice) => {
                ("tool_choice", choice.as_str().unwrap_or_default().to_lowercase().into())
            }
            ("messages", messages) => {
                ("messages", messages.as_array().into_iter().flatten().map(message).collect())
            }
            (name, value) => (name, value.clone()),
        };
        written.insert(name.to_owned(), value);
    }
    Value::Object(written)
}

fn message(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(plan) = message.as_object_mut().and_then(|message| message.remove("tool_plan")) {
        message["content"] = plan;
    }
    if let Some(format) = message.pointer_mut("/response_format") {
        format["schema"] = format["json_schema"].take();
    }
    message
}

/// What means the same, written in one way.
fn normal(body: &Value) -> Value {
    let mut body = body.clone();
    let Some(members) = body.as_object_mut() else { return body };
    if members.get("tools").is_some_and(|tools| tools.as_array().is_some_and(Vec::is_empty)) {
        members.remove("tools");
    }
    for message in body["messages"].as_array_mut().into_iter().flatten() {
        let message = message.as_object_mut().expect("a message");
        // With calls, an absent text, an empty one and `null` are the same.
        let empty = message
            .get("content")
            .is_none_or(|content| content.is_null() || *content == json!([{"type": "text", "text": ""}]));
        if message.contains_key("tool_calls") && empty {
            message.remove("content");
        }
    }
    body
}

#[test]
fn requests_go_there_and_back() {
    let mut report = Report::new("Cohere's requests, by way of OpenAI's form");
    for case in cases("chat") {
        let Some(body) = case.request_body() else {
            report.leave_out(case.id(), "the request was not recorded");
            continue;
        };
        let mut openai = openai_form(&body);
        if let Some(schema) = body["response_format"].get("json_schema") {
            openai["response_format"] =
                json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema}});
        }
        let result = sent(Operation::Chat, &openai, body["model"].as_str().unwrap_or_default());
        let result = result.map_err(|error| error.to_string()).and_then(|(sent, dropped)| {
            let differences = diff(&normal(&body), &normal(&sent));
            if differences.is_empty() && dropped.is_empty() {
                Ok(())
            } else {
                Err(format!("{differences:#?} {dropped:?}"))
            }
        });
        report.ran(case.id(), result);
    }
    report.finish(least(30));
}

#[test]
fn embeddings_there_and_back() {
    let mut report = Report::new("Cohere's embeddings");
    for case in cases("embeddings").into_iter().filter(|case| !case.is_error()) {
        let reply: Value = serde_json::from_slice(&case.response()).expect("JSON");
        let result = decoder(Operation::Embeddings).whole(&case.response());
        let result = result.map_err(|error| error.to_string()).and_then(|response| {
            let openai::Response::Embeddings(response) = &response else {
                return Err("no embeddings".to_owned());
            };
            let response = serde_json::to_value(response).map_err(|error| error.to_string())?;
            let vectors = reply["embeddings"]
                .as_object()
                .and_then(|forms| forms.values().next())
                .cloned()
                .unwrap_or_default();
            for (at, vector) in vectors.as_array().into_iter().flatten().enumerate() {
                if response["data"][at]["embedding"] != *vector {
                    return Err(format!("vector {at} differs"));
                }
            }
            let billed = reply["meta"]["billed_units"]["input_tokens"].as_u64().unwrap_or(0);
            if response["usage"]["prompt_tokens"] == billed {
                Ok(())
            } else {
                Err("usage differs".to_owned())
            }
        });
        report.ran(case.id(), result);
    }
    report.finish(least(4));
}

// === Errors ===

#[test]
fn recorded_errors_have_their_kind() {
    let mut report = Report::new("Cohere's errors");
    for case in cases("chat").into_iter().chain(cases("chat_v1")).filter(Case::is_error) {
        let status = StatusCode::from_u16(case.status).expect("a status");
        let error = adapter().error(status, &case.response_headers(), &case.response());
        let expected = match case.status {
            401 => (ErrorKind::Auth, 502),
            404 => (ErrorKind::NotFound, 404),
            // The only one recorded: too many tokens.
            400 => (ErrorKind::ContextLength, 400),
            other => panic!("{}: a {other} is new", case.id()),
        };
        let seen = (error.kind, error.status);
        report.ran(
            case.id(),
            if seen == expected { Ok(()) } else { Err(format!("{seen:?} instead of {expected:?}")) },
        );
    }
    report.finish(least(4));
}
