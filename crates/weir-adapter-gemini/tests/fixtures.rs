//! Recorded exchanges with Gemini, at the Gemini API and at Vertex: replies, streams, errors, requests there and back.
//!
//! Runs where the recordings are. What a recording says is read by `support::said`, which shares nothing with the
//! adapter; allowed differences of requests stand in `tests/exceptions.json`.

#[path = "support/back.rs"]
mod back;
#[path = "support/said.rs"]
mod said;
mod support;

use std::path::Path;
use std::sync::Arc;

use back::openai_request;
use http::StatusCode;
use said::{Said, frames_of};
use serde_json::{Value, json};
use support::{descriptor, front::request, spec};
use weir_adapter::testkit::{Case, Exceptions, Report, Whole, case, diff, stream};
use weir_adapter::{
    Adapter, Decoder, EncodeOptions, ErrorKind, Operation, ProviderError, ReplyForm, Retry, WireBody,
};
use weir_wire::openai::{self, chat};

/// The cases of an API, where there are recordings.
fn cases(api: &str) -> Vec<Case> {
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else {
        println!("no recordings here: nothing is checked");
        return Vec::new();
    };
    case::load(&folder, &["gemini", "vertexai"], &[api])
}

/// The least number of cases that must pass, where there are recordings.
fn least(number: usize) -> usize {
    if case::fixtures(env!("CARGO_MANIFEST_DIR")).is_some() { number } else { 0 }
}

fn adapter() -> Arc<dyn Adapter> {
    weir_adapter_gemini::adapter(descriptor())
}

fn decoder(operation: Operation, body: &Value) -> Box<dyn Decoder> {
    match adapter().reply_form(&request(operation, body)) {
        ReplyForm::Foreign(decoder) => decoder,
        ReplyForm::Native(_) => panic!("Gemini is nobody's own dialect here"),
    }
}

fn chat_decoder() -> Box<dyn Decoder> {
    decoder(Operation::Chat, &json!({"model": "m", "messages": []}))
}

/// A model's name without its collection, as weir's targets have it.
fn model(case: &Case) -> String {
    let model = case.model.clone().unwrap_or_default();
    model.strip_prefix("models/").unwrap_or(&model).to_owned()
}

/// Whether a reply came in frames: as events, or as one JSON list.
fn is_stream(case: &Case, body: &[u8]) -> bool {
    case.response_kind == "sse" || body.trim_ascii_start().starts_with(b"[")
}

// === Replies ===

/// What the adapter makes of a reply.
fn read(case: &Case, cuts: &[usize]) -> Result<(Whole, chat::Message), ProviderError> {
    let body = case.response();
    let mut decoder = chat_decoder();
    if is_stream(case, &body) {
        let chunks = stream::decode(&mut *decoder, &body, cuts)?;
        return Ok((Whole::of_chunks(&chunks), said::assemble(&chunks)));
    }
    let response = decoder.whole(&body)?;
    let openai::Response::Chat(chat) = &response else { panic!("a chat") };
    let message = chat.choices.first().map(|choice| choice.message.clone()).unwrap_or_default();
    Ok((Whole::of_response(&response), message))
}

#[test]
fn replies_say_what_stands_in_them() {
    let mut report = Report::new("Gemini's replies");
    for case in cases("generate_content").into_iter().filter(|case| !case.is_error()) {
        let said = Said::of(&frames_of(&case.response()));
        report.ran(case.id(), said.compare(&read(&case, &[])));
    }
    report.finish(least(70));
}

#[test]
fn streams_cut_at_every_byte_say_the_same() {
    let mut report = Report::new("Gemini's streams, cut");
    for case in cases("generate_content").into_iter().filter(|case| !case.is_error()) {
        let body = case.response();
        if is_stream(&case, &body) {
            report.ran(case.id(), cut_everywhere(&case, &body));
        }
    }
    report.finish(least(26));
}

fn cut_everywhere(case: &Case, body: &[u8]) -> Result<(), String> {
    let framing = chat_decoder().framing();
    let whole = read(case, &[]);
    let frames = stream::frames(framing, body, &[]);
    let ways = stream::ways(body.len(), &case.chunk_lengths(), body.len());
    for cuts in ways {
        // The same frames say the same; others are read.
        if stream::frames(framing, body, &cuts) != frames && read(case, &cuts) != whole {
            return Err(format!("cut at {cuts:?}"));
        }
    }
    // Line ends of the other kind.
    let text = String::from_utf8_lossy(body);
    let bare = text.replace("\r\n", "\n");
    let other = if bare == text { bare.replace('\n', "\r\n") } else { bare };
    let chunks = stream::decode(&mut *chat_decoder(), other.as_bytes(), &[]);
    match (chunks.map(|chunks| Whole::of_chunks(&chunks)), whole) {
        (Ok(other), Ok((whole, _))) if other == whole => Ok(()),
        (Err(other), Err(error)) if other == error => Ok(()),
        _ => Err("other line ends say something else".to_owned()),
    }
}

#[test]
fn damaged_replies_are_errors_and_never_panics() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut report = Report::new("Gemini's replies, damaged");
    for case in cases("generate_content") {
        let body = case.response();
        let mut result = Ok(());
        for _ in 0..10 {
            let mut damaged = body[..random(body.len()) + 1].to_vec();
            let (at, byte) = (random(damaged.len()), random(256) as u8);
            damaged[at] = byte;
            let _ = chat_decoder().whole(&damaged);
            let _ = decoder(Operation::Embeddings, &json!({"model": "m", "input": "x"})).whole(&damaged);
            let _ = adapter().error(StatusCode::BAD_GATEWAY, &case.response_headers(), &damaged);
            let _ = stream::decode(&mut *chat_decoder(), &damaged, &[]);
            // What is cut in the middle is not complete.
            let cut = &body[..random(body.trim_ascii_end().len().saturating_sub(2)) + 1];
            if !is_stream(&case, &body) && chat_decoder().whole(cut).is_ok() {
                result = Err(format!("read from its first {} bytes", cut.len()));
            }
        }
        report.ran(case.id(), result);
    }
    report.finish(least(90));
}

#[test]
fn signatures_of_replies_go_back_in_order() {
    let mut report = Report::new("Gemini's signatures, sent back");
    for case in cases("generate_content").into_iter().filter(|case| !case.is_error()) {
        let frames = frames_of(&case.response());
        let said = Said::of(&frames);
        if said.signatures.is_empty() {
            continue;
        }
        report.ran(case.id(), send_back(&case, &said));
    }
    report.finish(least(30));
}

fn send_back(case: &Case, said: &Said) -> Result<(), String> {
    let (_, message) = read(case, &[]).map_err(|error| error.to_string())?;
    let mut messages = vec![json!({"role": "user", "content": "q"}), json!(message)];
    for call in message.tool_calls.iter().flatten() {
        messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": "done"}));
    }
    let request = request(Operation::Chat, &json!({"model": "m", "messages": messages}));
    let wire =
        adapter().encode(&request, &EncodeOptions::new(&model(case))).map_err(|error| error.to_string())?;
    let body = body_of(&wire.body);
    spec::check(&wire.path, &body);
    let parts = body["contents"][1]["parts"].as_array().cloned().unwrap_or_default();
    let back = said::signed(&parts);
    if back == said.signatures {
        Ok(())
    } else {
        Err(format!("{back:#?}\ninstead of {:#?}", said.signatures))
    }
}

fn body_of(body: &WireBody) -> Value {
    let WireBody::Bytes(bytes) = body else { panic!("a body in bytes") };
    serde_json::from_slice(bytes).expect("JSON")
}

// === Requests ===

#[test]
fn requests_go_there_and_back() {
    let exceptions = Exceptions::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exceptions.json"));
    let mut report = Report::new("Gemini's requests, by way of OpenAI's form");
    for case in cases("generate_content") {
        let Some(body) = case.request_body() else {
            report.leave_out(case.id(), "the request was not recorded");
            continue;
        };
        report.ran(case.id(), there_and_back(&case, &body, &exceptions));
    }
    println!("{} differences are allowed", exceptions.len());
    report.finish(least(80));
    if least(1) == 1 {
        assert!(exceptions.unused().is_empty(), "allow nothing: {:#?}", exceptions.unused());
    }
}

fn there_and_back(case: &Case, body: &Value, exceptions: &Exceptions) -> Result<(), String> {
    let expected = back::normal(body);
    let openai = openai_request(&expected, &model(case));
    let request = request(Operation::Chat, &openai);
    let wire =
        adapter().encode(&request, &EncodeOptions::new(&model(case))).map_err(|error| error.to_string())?;
    let body = body_of(&wire.body);
    let problems = spec::problems(&wire.path, &body);
    if !problems.is_empty() {
        return Err(format!("does not fit the description: {problems:#?}"));
    }
    let actual = back::normal(&body);
    let differences = exceptions.filter(&case.id(), diff(&expected, &actual));
    if differences.is_empty() { Ok(()) } else { Err(format!("{differences:#?}")) }
}

#[test]
fn requests_to_the_compatible_endpoint_fit_the_own_one() {
    let mut report = Report::new("OpenAI-shaped requests recorded at Google");
    for case in cases("chat").into_iter().filter(|case| case.provider == "gemini") {
        let body = case.request_body().expect("both were recorded");
        let request = request(Operation::Chat, &body);
        let wire = adapter().encode(&request, &EncodeOptions::new(&model(&case)));
        let result = wire.map_err(|error| error.to_string()).and_then(|wire| {
            let problems = spec::problems(&wire.path, &body_of(&wire.body));
            if problems.is_empty() && wire.dropped.is_empty() {
                Ok(())
            } else {
                Err(format!("{problems:?} {:?}", wire.dropped))
            }
        });
        report.ran(case.id(), result);
    }
    report.finish(least(2));
}

// === Embeddings ===

#[test]
fn embeddings_there_and_back() {
    let mut report = Report::new("Gemini's embeddings");
    for case in cases("embeddings").into_iter().filter(|case| !case.is_error()) {
        report.ran(case.id(), embeddings(&case));
    }
    report.finish(least(5));
}

fn embeddings(case: &Case) -> Result<(), String> {
    let reply: Value = serde_json::from_slice(&case.response()).map_err(|error| error.to_string())?;
    let recorded = case.request_body().ok_or("the request was not recorded")?;
    let asked = recorded["requests"].as_array().ok_or("no requests")?;
    let texts: Option<Vec<&str>> = asked
        .iter()
        .map(|one| match one["content"]["parts"].as_array()?.as_slice() {
            [part] => part["text"].as_str(),
            _ => None,
        })
        .collect();
    let body = json!({"model": "m", "input": texts, "dimensions": asked[0]["outputDimensionality"]});
    if texts.is_some() {
        let wire = adapter()
            .encode(&request(Operation::Embeddings, &body), &EncodeOptions::new(&model(case)))
            .map_err(|error| error.to_string())?;
        spec::check(&wire.path, &body_of(&wire.body));
        let differences =
            diff(&back::plain_embeddings(&recorded), &back::plain_embeddings(&body_of(&wire.body)));
        if !differences.is_empty() {
            return Err(format!("{differences:#?}"));
        }
    }
    let mut decoder = decoder(Operation::Embeddings, &body);
    let response = decoder.whole(&case.response()).map_err(|error| error.to_string())?;
    let vectors = reply["embeddings"].as_array().ok_or("no embeddings")?;
    let response = serde_json::to_value(match &response {
        openai::Response::Embeddings(response) => response,
        other => return Err(format!("{other:?}")),
    });
    let response = response.map_err(|error| error.to_string())?;
    for (at, vector) in vectors.iter().enumerate() {
        if response["data"][at]["embedding"] != vector["values"] {
            return Err(format!("vector {at} differs"));
        }
    }
    let counted = &reply["usageMetadata"]["promptTokenCount"];
    if !counted.is_null() && response["usage"]["prompt_tokens"] != *counted {
        return Err("usage differs".to_owned());
    }
    Ok(())
}

// === Errors ===

/// The rows of Gemini's table in `docs/errors.md`: case, kind, status, code, retry.
fn table() -> Vec<[String; 5]> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = std::fs::read_to_string(file).expect("the table of errors is there");
    let section =
        text.split("\n## ").find(|section| section.starts_with("Gemini")).expect("Gemini's section");
    let cells =
        |line: &str| line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    section
        .lines()
        .map(cells)
        .filter(|cells| cells.len() == 7 && cells[1].contains('/'))
        .map(|mut cells| std::array::from_fn(|at| std::mem::take(&mut cells[at + 1])))
        .collect()
}

#[test]
fn errors_map_as_the_table_says() {
    let table = table();
    let mut report = Report::new("Gemini's errors");
    for case in cases("generate_content").into_iter().chain(cases("embeddings")) {
        let body = case.response();
        let error = if case.is_error() {
            let status = StatusCode::from_u16(case.status).expect("a status");
            adapter().error(status, &case.response_headers(), &body)
        } else if case.api == "generate_content" {
            match read(&case, &[]) {
                Err(error) => error,
                Ok(_) => continue,
            }
        } else {
            continue;
        };
        let Some(row) = table.iter().find(|row| row[0] == case.id()) else {
            report.ran(
                case.id(),
                Err(format!("has no row: {} {} {:?}", word(error.kind), error.status, error.error.code)),
            );
            continue;
        };
        let retry = match error.retry {
            Retry::AtOnce | Retry::Here => "here",
            Retry::Elsewhere => "elsewhere",
            Retry::Never => "never",
        };
        let retry = match error.retry_after {
            Some(wait) => format!("{retry}, after {} ms", wait.as_millis()),
            None => retry.to_owned(),
        };
        let code = error.error.code.clone().unwrap_or_default();
        let actual = [case.id(), word(error.kind), error.status.to_string(), code, retry];
        report.ran(
            case.id(),
            if *row == actual { Ok(()) } else { Err(format!("{actual:?} instead of {row:?}")) },
        );
    }
    report.finish(least(21));
}

fn word(kind: ErrorKind) -> String {
    format!("{kind:?}")
}
