//! Recorded exchanges with Claude, at Anthropic, at Azure and at Vertex: requests there and back, replies, errors.
//!
//! Runs where the recordings are; the list of allowed differences is `tests/exceptions.json`.

mod support;

use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use support::{Foreign, Said, Spec};
use weir_adapter::ErrorKind;
use weir_adapter::testkit::{Case, Exceptions, Report, Whole, case, diff, stream};
use weir_adapter_anthropic::front;
use weir_wire::Class;

fn cases() -> Vec<Case> {
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else {
        println!("no recordings here: nothing is checked");
        return Vec::new();
    };
    case::load(&folder, &["anthropic", "azure", "vertexai"], &["messages"])
}

/// The least number of cases that must pass, where there are recordings.
fn least(number: usize) -> usize {
    if case::fixtures(env!("CARGO_MANIFEST_DIR")).is_some() { number } else { 0 }
}

fn exceptions() -> Exceptions {
    Exceptions::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exceptions.json"))
}

/// The recorded body; Vertex has the model in its URL and its version in the body.
fn recorded(case: &Case) -> Option<Value> {
    let mut body = case.request_body()?;
    if case.provider == "vertexai" {
        let members = body.as_object_mut()?;
        members.remove("anthropic_version");
        members.insert("model".to_owned(), case.model.clone()?.into());
    }
    Some(body)
}

#[test]
fn requests_go_there_and_back() {
    let (exceptions, spec) = (exceptions(), Spec::load());
    let mut report = Report::new("Anthropic's requests");
    for case in cases() {
        let Some(body) = recorded(&case) else {
            report.leave_out(case.id(), "the request was not recorded");
            continue;
        };
        let model = body["model"].as_str().expect("a model").to_owned();
        let request = support::request(Arc::new(Foreign(front())), &body);
        if case.status == 400 && request.typed().is_err() {
            report.ran(case.id(), Ok(())); // The provider refused it too.
            continue;
        }
        let (actual, wire) = support::encoded(Arc::new(Foreign(front())), &body, &model);
        let left = exceptions.filter(&case.id(), diff::diff(&body, &actual));
        let problem = spec.as_ref().filter(|_| !case.is_error()).and_then(|spec| spec.problem(&actual));
        let unreported: Vec<&str> = left
            .iter()
            .map(|difference| difference.path.as_str())
            .filter(|path| !wire.dropped.iter().any(|dropped| path.starts_with(dropped.as_str())))
            .collect();
        report.ran(
            case.id(),
            match (left.is_empty(), problem) {
                (true, None) => Ok(()),
                (true, Some(problem)) => Err(format!("does not fit the vendor's description: {problem}")),
                (false, _) => Err(format!("{left:?}; not reported: {unreported:?}")),
            },
        );
    }
    println!("{} exceptions, unused: {:?}", exceptions.len(), exceptions.unused());
    report.finish(least(70));
    assert!(least(1) == 0 || exceptions.unused().is_empty(), "unused: {:?}", exceptions.unused());
}

#[test]
fn native_requests_keep_their_bytes() {
    let mut report = Report::new("Anthropic's requests, native");
    for case in cases() {
        let Some(body) = recorded(&case) else { continue };
        let request = support::request(front(), &body);
        let options = weir_adapter::EncodeOptions::new(request.model());
        let wire = support::adapter().encode(&request, &options).expect("bytes pass");
        let weir_adapter::WireBody::Bytes(bytes) = &wire.body else { panic!("bytes") };
        let same = bytes == request.raw() && wire.dropped.is_empty();
        report.ran(case.id(), same.then_some(()).ok_or_else(|| "bytes changed".to_owned()));
    }
    report.finish(least(70));
}

#[test]
fn replies_say_the_same() {
    let mut report = Report::new("Anthropic's replies");
    for case in cases().into_iter().filter(|case| !case.is_error()) {
        let reply = case.response();
        let result = match case.response_kind.as_str() {
            "json" => whole(&reply),
            "sse" => streamed(&case, &reply),
            other => {
                report.leave_out(case.id(), format!("a reply of kind {other}"));
                continue;
            }
        };
        report.ran(case.id(), result);
    }
    report.finish(least(60));
}

fn same(what: &str, expected: &Said, actual: &Said) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("{what}: {actual:?} should be {expected:?}")) }
}

fn whole(reply: &[u8]) -> Result<(), String> {
    let recorded: Value = serde_json::from_slice(reply).expect("JSON");
    let mut decoder = support::decoder();
    let response = decoder.whole(reply).map_err(|error| error.to_string())?;
    let said = Said::of_whole(&Whole::of_response(&response));
    same("decoded", &Said::of_message(&recorded).in_openai(), &said)?;
    let back = support::written_whole(response);
    same("written back", &Said::of_message(&recorded), &Said::of_message(&back))?;
    if kinds(&recorded) != kinds(&back) {
        return Err(format!("blocks: {:?}", kinds(&back)));
    }
    let mut reader = support::reader();
    let glance = reader.whole(reply).map_err(|error| error.to_string())?;
    let end = glance.usage_end.ok_or("no place for the cost")?;
    let priced = [&reply[..end], br#","cost":0.5"#, &reply[end..]].concat();
    let priced: Value = serde_json::from_slice(&priced).map_err(|error| error.to_string())?;
    if priced["usage"]["cost"] != 0.5 {
        return Err("the cost stands in the wrong place".to_owned());
    }
    usage(&Said::of_message(&recorded), reader.usage(), decoder.usage())
}

fn streamed(case: &Case, reply: &[u8]) -> Result<(), String> {
    let mut decoder = support::decoder();
    let chunks = stream::decode(decoder.as_mut(), reply, &[]).map_err(|error| error.to_string())?;
    let (recorded, decoded) = (Said::of_stream(reply), Whole::of_chunks(&chunks));
    same("decoded", &Said::of_stream(reply).in_openai(), &Said::of_whole(&decoded))?;
    let back = support::written(&chunks);
    same("written back", &recorded, &Said::of_stream(&back))?;
    let (before, after) = (kinds(&support::assemble(reply)), kinds(&support::assemble(&back)));
    if before != after {
        return Err(format!("blocks: {after:?} should be {before:?}"));
    }
    let mut reader = support::reader();
    let (glances, added) = stream::glance(reader.as_mut(), reply, &[]).map_err(|error| error.to_string())?;
    if !added.is_empty() || glances.iter().filter(|glance| glance.usage_end.is_some()).count() != 1 {
        return Err("one frame has the place for the cost, and nothing is added".to_owned());
    }
    usage(&recorded, reader.usage(), decoder.usage())?;
    cuts(case, reply, &chunks)
}

/// Cut anywhere, the stream gives the same frames, or at least the same answer.
fn cuts(case: &Case, reply: &[u8], chunks: &[weir_wire::openai::Chunk]) -> Result<(), String> {
    let framing = support::decoder().framing();
    let frames = stream::frames(framing, reply, &[]);
    for cuts in stream::ways(reply.len(), &case.chunk_lengths(), reply.len()) {
        if stream::frames(framing, reply, &cuts) == frames {
            continue;
        }
        let again = stream::decode(support::decoder().as_mut(), reply, &cuts);
        if again.as_deref() != Ok(chunks) {
            return Err(format!("cut at {cuts:?} it says something else"));
        }
    }
    Ok(())
}

fn usage(
    said: &Said,
    read: Option<&weir_wire::Usage>,
    decoded: Option<&weir_wire::Usage>,
) -> Result<(), String> {
    if read != decoded {
        return Err(format!("usage: native {read:?}, translated {decoded:?}"));
    }
    let usage = read.ok_or("no usage")?;
    let written = usage.tokens(Class::CacheWrite5m) + usage.tokens(Class::CacheWrite1h);
    let seen =
        [usage.tokens(Class::Input), usage.completion_tokens(), usage.tokens(Class::CacheRead), written];
    if seen == said.usage { Ok(()) } else { Err(format!("usage: {seen:?} should be {:?}", said.usage)) }
}

fn kinds(message: &Value) -> Vec<String> {
    let blocks = message["content"].as_array().into_iter().flatten();
    blocks.map(|block| block["type"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn streams_cut_off_are_truncated() {
    let mut report = Report::new("Anthropic's streams, cut off");
    for case in cases().into_iter().filter(|case| case.response_kind == "sse" && !case.is_error()) {
        let reply = case.response();
        let last = reply.windows(19).rposition(|window| window == b"event: message_stop").expect("an end");
        let report_at =
            reply.windows(20).rposition(|window| window == b"event: message_delta").expect("a report");
        let right = (1..last).step_by(211).chain([report_at, last]).all(|end| {
            // As the gateway hands on what is left: with its line end.
            let cut = [&reply[..end], b"\n\n"].concat();
            let (mut decoder, mut reader) = (support::decoder(), support::reader());
            let decoded = stream::decode(decoder.as_mut(), &cut, &[]).map(|_| ());
            let read = stream::glance(reader.as_mut(), &cut, &[]).map(|_| ());
            let truncated = |result: Result<(), weir_adapter::ProviderError>| {
                result.is_err_and(|error| error.kind == ErrorKind::Truncated)
            };
            // The first report's output is a placeholder: before the last one there is none.
            let early = end <= report_at && (decoder.usage().is_some() || reader.usage().is_some());
            truncated(decoded) && truncated(read) && !early
        });
        report.ran(case.id(), right.then_some(()).ok_or_else(|| "passes for whole".to_owned()));
    }
    report.finish(least(30));
}

/// By status and Anthropic's word: the table of `docs/errors.md`.
fn kind_of(status: u16, word: &str) -> ErrorKind {
    match (status, word) {
        (400, "invalid_request_error") => ErrorKind::InvalidRequest,
        (401, "authentication_error") => ErrorKind::Auth,
        (404, "not_found_error") => ErrorKind::NotFound,
        other => panic!("no line in the table for {other:?}"),
    }
}

#[test]
fn errors_map_as_the_table_says() {
    let mut report = Report::new("Anthropic's errors");
    for case in cases().into_iter().filter(Case::is_error) {
        let body = case.response();
        let recorded: Value = serde_json::from_slice(&body).expect("JSON");
        let status = StatusCode::from_u16(case.status).expect("a status");
        let error = support::adapter().error(status, &case.response_headers(), &body);
        let expected = kind_of(case.status, recorded["error"]["type"].as_str().expect("a word"));
        let client = if expected == ErrorKind::Auth { 502 } else { case.status };
        let right = error.kind == expected
            && error.status == client
            && recorded["error"]["message"] == error.error.message.as_str();
        report.ran(case.id(), right.then_some(()).ok_or_else(|| format!("{error:?}")));
    }
    report.finish(least(10));
}
