//! Recorded exchanges with Ollama's own API: replies, streams, requests there and back.
//!
//! Runs where the recordings are. What a recording says is read here from its raw JSON, by code that shares nothing
//! with the adapter.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use serde_json::{Map, Value, json};
use weir_adapter::testkit::{Case, Report, Whole, case, diff, plain, stream};
use weir_adapter::{
    Adapter, Decoder, Descriptor, EncodeError, EncodeOptions, ErrorKind, Operation, ProviderError, ReplyForm,
    WireBody,
};
use weir_wire::openai;

/// Recorded cases of Ollama's own paths. Its endpoints in OpenAI's form are checked with the `openai` adapter.
fn cases(api: &str) -> Vec<Case> {
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else {
        println!("no recordings here: nothing is checked");
        return Vec::new();
    };
    case::load(&folder, &["ollama"], &[api])
}

/// The least number of cases that must pass, where there are recordings.
fn least(number: usize) -> usize {
    if case::fixtures(env!("CARGO_MANIFEST_DIR")).is_some() { number } else { 0 }
}

fn adapter() -> Arc<dyn Adapter> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/providers/ollama.yaml");
    let descriptor: Descriptor =
        serde_saphyr::from_str(&std::fs::read_to_string(path).expect(path)).expect(path);
    weir_adapter_ollama::adapter(descriptor)
}

fn operation(case: &Case) -> Operation {
    match case.api.as_str() {
        "chat_native" => Operation::Chat,
        "generate_native" => Operation::Completions,
        _ => Operation::Embeddings,
    }
}

fn decoder(operation: Operation) -> Box<dyn Decoder> {
    let body = json!({"model": "m", "messages": [], "input": "x", "prompt": "x"});
    match adapter().reply_form(&plain::request(operation, &body)) {
        ReplyForm::Foreign(decoder) => decoder,
        ReplyForm::Native(_) => panic!("Ollama's is nobody's own dialect here"),
    }
}

fn sent(operation: Operation, body: &Value, model: &str) -> Result<(Value, Vec<String>), EncodeError> {
    let wire = adapter().encode(&plain::request(operation, body), &EncodeOptions::new(model))?;
    let WireBody::Bytes(bytes) = &wire.body else { panic!("a body in bytes") };
    Ok((serde_json::from_slice(bytes).expect("JSON"), wire.dropped))
}

fn read(case: &Case, cuts: &[usize]) -> Result<Whole, ProviderError> {
    let mut decoder = decoder(operation(case));
    if case.response_kind == "ndjson" {
        return Ok(Whole::of_chunks(&stream::decode(&mut *decoder, &case.response(), cuts)?));
    }
    Ok(Whole::of_response(&decoder.whole(&case.response())?))
}

fn answers() -> Vec<Case> {
    let native = cases("chat_native").into_iter().chain(cases("generate_native"));
    native.filter(|case| !case.is_error()).collect()
}

// === Replies ===

/// What stands in a recorded reply, by its raw JSON: a whole one is a stream of one line.
#[derive(Default)]
struct Said {
    text: String,
    thinking: String,
    calls: Vec<(Option<String>, String, Value)>,
    last: Value,
}

impl Said {
    fn of(case: &Case) -> Said {
        let body = case.response();
        let lines: Vec<Value> = match case.response_kind.as_str() {
            "ndjson" => body
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice(line).expect("a line"))
                .collect(),
            _ => vec![serde_json::from_slice(&body).expect("JSON")],
        };
        let mut said = Said::default();
        for line in lines {
            let message = &line["message"];
            said.text += message["content"].as_str().or(line["response"].as_str()).unwrap_or_default();
            said.thinking += message["thinking"].as_str().unwrap_or_default();
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let function = &call["function"];
                let name = function["name"].as_str().unwrap_or_default().to_owned();
                said.calls.push((
                    call["id"].as_str().map(str::to_owned),
                    name,
                    function["arguments"].clone(),
                ));
            }
            if line["done"] == true {
                said.last = line;
            }
        }
        said
    }

    fn compare(&self, whole: &Whole) -> Result<(), String> {
        let answer = whole.answers.get(&0).ok_or("no answer")?;
        let ids: std::collections::BTreeSet<&str> =
            answer.calls.values().map(|call| call.id.as_str()).collect();
        let calls_fit = answer.calls.len() == self.calls.len()
            && ids.len() == self.calls.len()
            && answer.calls.values().zip(&self.calls).all(|(call, (id, name, arguments))| {
                id.as_ref().map_or(!call.id.is_empty(), |id| *id == call.id)
                    && call.name == *name
                    && serde_json::from_str::<Value>(&call.arguments).ok().as_ref() == Some(arguments)
            });
        let finish = match self.last["done_reason"].as_str() {
            Some("length") => "length",
            _ if !self.calls.is_empty() => "tool_calls",
            _ => "stop",
        };
        let count = |name: &str| self.last[name].as_u64().unwrap_or(0);
        let counted = !self.last["eval_count"].is_null();
        let usage = whole.usage.as_ref().map(|usage| (usage.prompt_tokens, usage.completion_tokens));
        let same = answer.text == self.text
            && answer.reasoning == self.thinking
            && calls_fit
            && answer.finish_reason.as_deref() == Some(finish)
            && usage == counted.then(|| (count("prompt_eval_count"), count("eval_count")));
        if same { Ok(()) } else { Err(format!("{whole:#?}\ninstead of {:?} {:?}", self.text, self.last)) }
    }
}

#[test]
fn replies_say_what_stands_in_them() {
    let mut report = Report::new("Ollama's replies");
    for case in answers() {
        if case.response().windows(17).any(|window| window == b"\"chat.completion\"") {
            report.leave_out(case.id(), "a reply in OpenAI's form, filed under Ollama's own");
            continue;
        }
        let said = Said::of(&case);
        let result = match read(&case, &[]) {
            Ok(whole) => said.compare(&whole),
            Err(error) => Err(error.to_string()),
        };
        report.ran(case.id(), result);
    }
    report.finish(least(39));
}

#[test]
fn streams_cut_at_every_byte_say_the_same() {
    let mut report = Report::new("Ollama's streams, cut");
    for case in answers().into_iter().filter(|case| case.response_kind == "ndjson") {
        let body = case.response();
        let framing = decoder(operation(&case)).framing();
        let (whole, frames) = (read(&case, &[]), stream::frames(framing, &body, &[]));
        // One line at a time is enough to see every cut: a cut changes frames, or it changes nothing.
        let differs = stream::ways(body.len(), &case.chunk_lengths(), body.len())
            .into_iter()
            .find(|cuts| stream::frames(framing, &body, cuts) != frames && read(&case, cuts) != whole);
        report.ran(case.id(), differs.map_or(Ok(()), |cuts| Err(format!("cut at {cuts:?}"))));
    }
    report.finish(least(19));
}

#[test]
fn a_stream_that_ends_early_is_not_complete() {
    let mut report = Report::new("Ollama's streams, ended early");
    for case in answers().into_iter().filter(|case| case.response_kind == "ndjson") {
        let body = case.response();
        let trimmed = body.trim_ascii_end();
        let last = trimmed.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let result = stream::decode(&mut *decoder(operation(&case)), &body[..last], &[]);
        let kind = result.err().map(|error| error.kind);
        let right = kind == Some(ErrorKind::Truncated);
        report.ran(case.id(), if right { Ok(()) } else { Err(format!("{kind:?}")) });
    }
    report.finish(least(19));
}

#[test]
fn an_error_in_a_stream_is_one() {
    let line = b"{\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n{\"error\":\"the model runner has unexpectedly stopped\"}\n";
    let error = stream::decode(&mut *decoder(Operation::Chat), line, &[]).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Server, 502));
    let error = stream::decode(&mut *decoder(Operation::Chat), b"<html>\n", &[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Nonsense);
}

#[test]
fn ids_that_are_made_differ_between_turns_and_stay_the_same_for_one_reply() {
    let ids = |request: Value, moment: &str| {
        let ReplyForm::Foreign(mut decoder) =
            adapter().reply_form(&plain::request(Operation::Chat, &request))
        else {
            panic!("foreign")
        };
        let call = json!({"function": {"name": "f", "arguments": {}}});
        let body = json!({"created_at": moment, "message": {"content": "", "tool_calls": [call, call]}, "done": true});
        let whole = Whole::of_response(&decoder.whole(body.to_string().as_bytes()).unwrap());
        whole.answers[&0].calls.values().map(|call| call.id.clone()).collect::<Vec<_>>()
    };
    let one = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    let two = json!({"model": "m", "messages": [{"role": "user", "content": "b"}]});
    let mut all = [ids(one.clone(), "1"), ids(two, "1"), ids(one.clone(), "2")].concat();
    assert_eq!(ids(one, "1"), all[..2]);
    assert!(all.iter().all(|id| id.len() <= 40));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

// === Requests ===

/// A recorded request in OpenAI's form.
fn openai_form(body: &Value) -> Value {
    let mut written = Map::new();
    if body.get("input").is_none() {
        // Without it Ollama streams.
        written.insert("stream".to_owned(), true.into());
    }
    for (name, value) in body.as_object().expect("an object") {
        match name.as_str() {
            "messages" => drop(written.insert(name.clone(), messages(value))),
            "format" if value.is_object() => {
                let schema = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": value}});
                written.insert("response_format".to_owned(), schema);
            }
            "format" => {}
            _ => drop(written.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(written)
}

/// Calls get ids, results name them in the order in which they came.
fn messages(list: &Value) -> Value {
    let mut open = std::collections::VecDeque::new();
    let mut written = Vec::new();
    for (at, message) in list.as_array().expect("messages").iter().enumerate() {
        let mut message = message.clone();
        for (n, call) in message["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
            let id = format!("call_{at}_{n}");
            call["id"] = id.as_str().into();
            call["function"]["arguments"] = call["function"]["arguments"].to_string().into();
            open.push_back(id);
        }
        let members = message.as_object_mut().expect("a message");
        members.retain(|name, value| name != "tool_calls" || !value.is_null());
        if let Some(thinking) = members.remove("thinking") {
            members.insert("reasoning_content".to_owned(), thinking);
        }
        if members.remove("tool_name").is_some() {
            members.insert("tool_call_id".to_owned(), open.pop_front().expect("a call").into());
        }
        written.push(message);
    }
    Value::Array(written)
}

/// What means the same, written in one way.
fn normal(body: &Value) -> Value {
    let mut body = body.clone();
    let members = body.as_object_mut().expect("an object");
    if !members.contains_key("input") {
        members.entry("stream").or_insert(true.into());
    }
    let empty =
        |value: &Value| value.is_null() || *value == json!({}) || *value == json!([]) || *value == json!("");
    members.retain(|_, value| !empty(value));
    for message in body["messages"].as_array_mut().into_iter().flatten() {
        message.as_object_mut().expect("a message").remove("tool_call_id");
        for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
            let call = call.as_object_mut().expect("a call");
            call.remove("id");
            call.remove("type");
        }
    }
    body
}

/// Recorded requests and how far back they came: the body, or what was wrong.
fn there_and_back(case: &Case, body: &Value) -> Result<Value, String> {
    let model = body["model"].as_str().unwrap_or_default();
    let openai = openai_form(body);
    let (sent, dropped) = sent(operation(case), &openai, model).map_err(|error| error.to_string())?;
    // What generate has and OpenAI's completions do not, all of it empty in the recordings.
    let generate = ["system", "template", "context", "raw", "images"];
    let dropped: Vec<_> = dropped
        .into_iter()
        .filter(|name| case.api != "generate_native" || !generate.contains(&name.as_str()))
        .collect();
    let mut wanted = normal(body);
    if case.api == "generate_native" {
        wanted.as_object_mut().expect("an object").retain(|name, _| !generate.contains(&name.as_str()));
    }
    let differences = diff(&wanted, &normal(&sent));
    if differences.is_empty() && dropped.is_empty() {
        Ok(sent)
    } else {
        Err(format!("{differences:#?} {dropped:?}"))
    }
}

#[test]
fn requests_go_there_and_back_and_fit_the_description() {
    let mut report = Report::new("Ollama's requests, by way of OpenAI's form");
    for case in ["chat_native", "generate_native", "embeddings"].into_iter().flat_map(cases) {
        let Some(body) = case.request_body() else {
            report.leave_out(case.id(), "the request was not recorded");
            continue;
        };
        if case.request()["path"] == "/api/embeddings" {
            report.leave_out(case.id(), "the endpoint that /api/embed took the place of");
            continue;
        }
        let result = there_and_back(&case, &body).and_then(|sent| {
            let problems = problems(operation(&case), &sent);
            if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
        });
        report.ran(case.id(), result);
    }
    report.finish(least(28));
}

/// What Ollama's API description says against a body; nothing where it is not there.
fn problems(operation: Operation, body: &Value) -> Vec<String> {
    static SPEC: OnceLock<Option<Value>> = OnceLock::new();
    let read = || {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs/ollama.openapi.yaml");
        let text = std::fs::read_to_string(file).ok()?;
        Some(serde_saphyr::from_str::<Value>(&text).expect("the description is YAML"))
    };
    let Some(spec) = SPEC.get_or_init(read) else { return Vec::new() };
    let name = match operation {
        Operation::Completions => "GenerateRequest",
        Operation::Embeddings => "EmbedRequest",
        _ => "ChatRequest",
    };
    let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": spec["components"]});
    let validator = jsonschema::draft202012::new(&schema).expect("the description is a schema");
    validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn embeddings_there_and_back() {
    let mut report = Report::new("Ollama's embeddings");
    for case in cases("embeddings").into_iter().filter(|case| !case.is_error()) {
        let reply: Value = serde_json::from_slice(&case.response()).expect("JSON");
        if reply["embeddings"].is_null() {
            report.leave_out(case.id(), "the endpoint that /api/embed took the place of");
            continue;
        }
        let result = decoder(Operation::Embeddings).whole(&case.response());
        let result = result.map_err(|error| error.to_string()).and_then(|response| {
            let openai::Response::Embeddings(response) = &response else {
                return Err("no embeddings".to_owned());
            };
            let response = serde_json::to_value(response).map_err(|error| error.to_string())?;
            for (at, vector) in reply["embeddings"].as_array().into_iter().flatten().enumerate() {
                if response["data"][at]["embedding"] != *vector {
                    return Err(format!("vector {at} differs"));
                }
            }
            match response["usage"]["prompt_tokens"] == reply["prompt_eval_count"] {
                true => Ok(()),
                false => Err("usage differs".to_owned()),
            }
        });
        report.ran(case.id(), result);
    }
    report.finish(least(6));
}

#[test]
fn models_are_listed() {
    let adapter = adapter();
    let asked = adapter.list_models().expect("Ollama lists its models");
    assert_eq!((asked.method.as_str(), &*asked.path), ("GET", "/api/tags"));
    assert_eq!(
        adapter.model_ids(br#"{"models":[{"name":"llama3:latest"},{"name":"qwen3:4b"}]}"#),
        ["llama3:latest", "qwen3:4b"]
    );
    let error =
        adapter.error(StatusCode::NOT_FOUND, &http::HeaderMap::new(), br#"{"error":"model 'x' not found"}"#);
    assert_eq!(error.kind, ErrorKind::NotFound);
}
