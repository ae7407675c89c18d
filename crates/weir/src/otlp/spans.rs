//! From a call that ended to spans: the call's own, one for each attempt, one for each step that weir itself took.

use weir_config::GenaiSemconv;
use weir_gateway::trace::Trace;
use weir_gateway::watch::{Ended, Step};
use weir_ledger::{AttemptRow, CallRow, Micros, State};

use super::names::{self, Names};
use super::proto::{Attributes, Kind, Span, Status};
use crate::redact;

/// The longest piece of a request or an answer that goes along, in bytes.
pub const CONTENT: usize = 16 << 10;

/// The spans of a call; none where it is not traced.
pub fn of(ended: &Ended, semconv: GenaiSemconv, content: bool) -> Vec<Span> {
    let Some(trace) = ended.trace.as_ref().filter(|trace| trace.sampled) else { return Vec::new() };
    let names = Names::from(semconv);
    let mut spans = vec![of_call(trace, ended, content)];
    spans.extend(ended.attempts.iter().map(|attempt| of_attempt(trace, ended, attempt, names)));
    // Behind all numbers that attempts can have.
    let steps = ended.steps.iter().zip((1..=u16::MAX).rev());
    spans.extend(steps.map(|(step, number)| of_step(trace, step, number)));
    spans
}

fn of_call(trace: &Trace, ended: &Ended, content: bool) -> Span {
    let (row, facts) = (&ended.row, &ended.row.facts);
    let operation = names::operation(&facts.operation);
    let mut attributes = Attributes::default();
    attributes.put("gen_ai.operation.name", operation);
    attributes.put("gen_ai.request.model", &*facts.route);
    attributes.put("http.response.status_code", row.status);
    attributes.put("weir.call.id", row.id.to_string());
    attributes.put("weir.request.id", &*facts.request_id);
    attributes.put("weir.key", &*facts.key);
    attributes.put("weir.end", row.end.name());
    attributes.put("weir.cache", row.cache.name());
    attributes.put("weir.attempts", row.attempts);
    attributes.put("weir.overhead_us", row.overhead_us);
    attributes.put_some("weir.team", facts.team.as_deref());
    attributes.put_some("gen_ai.conversation.id", facts.session.as_deref());
    attributes.put_some("weir.cost_usd", row.cost_nanousd.map(usd));
    attributes.put_some("error.type", failed(row).then(|| error_of(row)));
    if let Some(said) = ended.content.as_ref().filter(|_| content) {
        attributes.put("gen_ai.input.messages", redact::text(&said.request, CONTENT));
        attributes.put_some(
            "gen_ai.output.messages",
            said.answer.as_ref().map(|answer| redact::text(answer, CONTENT)),
        );
    }
    let name = format!("{operation} {}", facts.route);
    let times = (facts.started_at, row.ended_at);
    let span = span(trace, trace.span, trace.parent, name, Kind::Server, times);
    Span { attributes: attributes.0, status: failed(row).then(|| wrong(error_of(row))), ..span }
}

fn of_attempt(trace: &Trace, ended: &Ended, attempt: &AttemptRow, names: Names) -> Span {
    let operation = names::operation(&attempt.facts.operation);
    let provider = ended.snapshot.providers.get(&*attempt.provider);
    let mut attributes = Attributes::default();
    attributes.put("gen_ai.operation.name", operation);
    let kind = provider.map_or(&*attempt.provider, |provider| names::provider(&provider.kind));
    attributes.put("gen_ai.provider.name", kind);
    attributes.put("gen_ai.request.model", &*attempt.model);
    attributes.put("gen_ai.request.stream", attempt.facts.stream);
    if let Some((host, port)) = provider.map(|provider| provider.upstream.place()) {
        attributes.put("server.address", host);
        attributes.put("server.port", port);
    }
    attributes.put("weir.attempt.id", attempt.id.to_string());
    attributes.put("weir.provider", &*attempt.provider);
    attributes.put("weir.state", attempt.state.name());
    attributes.put("weir.usage_source", attempt.usage_source.name());
    attributes.put_some("http.response.status_code", attempt.upstream_status);
    attributes.put_some("weir.upstream.request_id", attempt.upstream_request_id.as_deref());
    attributes.put_some("weir.cost_usd", attempt.cost_nanousd.map(usd));
    let first = attempt.ttft_ms.filter(|_| attempt.facts.stream);
    attributes.put_some("gen_ai.response.time_to_first_chunk", first.map(|millis| millis as f64 / 1e3));
    names::usage(names, &attempt.usage, &mut attributes);
    let error = error_type(attempt);
    attributes.put_some("error.type", error);
    let name = format!("{operation} {}", attempt.model);
    let times = (attempt.started_at, attempt.ended_at);
    let span = span(trace, trace.child(attempt.id.n), Some(trace.span), name, Kind::Client, times);
    Span { attributes: attributes.0, status: error.map(wrong), ..span }
}

fn of_step(trace: &Trace, step: &Step, number: u16) -> Span {
    let times = (step.began, step.ended);
    let id = trace.child(number);
    span(trace, id, Some(trace.span), format!("weir {}", step.name), Kind::Internal, times)
}

fn span(
    trace: &Trace,
    id: u64,
    parent: Option<u64>,
    name: String,
    kind: Kind,
    times: (Micros, Micros),
) -> Span {
    Span {
        trace_id: trace.id.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
        trace_state: trace.state.as_deref().unwrap_or_default().to_owned(),
        name,
        kind: kind.into(),
        start: nanos(times.0),
        end: nanos(times.1.max(times.0)),
        attributes: Vec::new(),
        status: None,
        flags: 1,
    }
}

/// What kind of error an attempt ended with.
pub fn error_type(attempt: &AttemptRow) -> Option<&str> {
    (attempt.state != State::Ok).then(|| attempt.error_code.as_deref().unwrap_or(attempt.state.name()))
}

fn failed(row: &CallRow) -> bool {
    row.status >= 400 || row.error_code.is_some()
}

fn error_of(row: &CallRow) -> &str {
    row.error_code.as_deref().unwrap_or(row.end.name())
}

fn wrong(message: &str) -> Status {
    Status { message: message.to_owned(), code: 2 }
}

fn usd(nanousd: i64) -> f64 {
    nanousd as f64 / 1e9
}

/// Nanoseconds since 1970.
pub fn nanos(at: Micros) -> u64 {
    u64::try_from(at).unwrap_or(0).saturating_mul(1_000)
}
