//! From a call that ended to a log record: the line that `logging.calls` would write, with what is searched for beside it.

use weir_gateway::watch::Ended;

use super::proto::{AnyValue, Attributes, LogRecord, Value};
use super::spans::{CONTENT, nanos};
use crate::admin::line::{self, Json};

/// The severities that a call can have, by number and name.
const INFO: (i32, &str) = (9, "INFO");
const WARN: (i32, &str) = (13, "WARN");
const ERROR: (i32, &str) = (17, "ERROR");

/// The record of a call.
pub fn of(ended: &Ended, content: bool) -> LogRecord {
    let (row, facts) = (&ended.row, &ended.row.facts);
    let (number, text) = match row.status {
        500.. => ERROR,
        400.. => WARN,
        _ if row.error_code.is_some() => WARN,
        _ => INFO,
    };
    let mut attributes = Attributes::default();
    attributes.put("weir.call.id", row.id.to_string());
    attributes.put("weir.key", &*facts.key);
    attributes.put_some("weir.team", facts.team.as_deref());
    attributes.put("gen_ai.request.model", &*facts.route);
    attributes.put_some("weir.provider", row.provider.as_deref());
    attributes.put("http.response.status_code", row.status);
    attributes.put("weir.end", row.end.name());
    attributes.put_some("error.type", row.error_code.as_deref());
    let trace = ended.trace.as_ref();
    LogRecord {
        at: nanos(row.ended_at),
        observed: nanos(row.ended_at),
        severity: number,
        severity_text: text.to_owned(),
        body: Some(AnyValue { value: Some(Value::Text(body(ended, content))) }),
        attributes: attributes.0,
        trace_id: trace.map(|trace| trace.id.to_be_bytes().to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span.to_be_bytes().to_vec()).unwrap_or_default(),
        flags: trace.map_or(0, |trace| u32::from(trace.sampled)),
        event_name: "weir.call".to_owned(),
    }
}

fn body(ended: &Ended, content: bool) -> String {
    let mut body = Json::open(Vec::new());
    line::put(&ended.row, &ended.attempts, &mut body);
    if let Some(said) = ended.content.as_ref().filter(|_| content) {
        line::put_said(said, CONTENT, &mut body);
    }
    String::from_utf8(body.close()).unwrap_or_default()
}
