//! One request, from its bytes to its response.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::conn::Conn;
use crate::plan::Plan;
use crate::player::SimBody;
use crate::reply::{Outcome, Refusal};
use crate::route::{Endpoint, Vendor};
use crate::state::{Captured, SimState};
use crate::truth::{CallInfo, End, Entry};
use crate::{anthropic, bedrock, bench, control, fault, form, gemini, ollama, openai, route, server};

/// The header in which the gateway names its attempt.
pub(crate) const ATTEMPT_HEADER: &str = "x-weir-attempt-id";

/// A request that has been read.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a SimState,
    pub(crate) head: &'a Parts,
    pub(crate) endpoint: &'a Endpoint,
    /// The body as it came.
    pub(crate) raw: &'a Bytes,
    /// The body as JSON; null when there is none.
    pub(crate) body: &'a Value,
    /// The model without its `+words`.
    pub(crate) model: &'a str,
    pub(crate) behaviour: &'a Behaviour,
    /// A number no other call has.
    pub(crate) number: u64,
}

/// Answers one request. An error closes the connection.
pub(crate) async fn answer(
    state: Arc<SimState>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, io::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let (vendor, endpoint) =
        route::find(state.config.provider, &head.method, path, head.uri.query().unwrap_or(""), &head.headers);
    let bytes = match Limited::new(body, state.config.max_body).collect().await {
        Ok(body) => body.to_bytes(),
        Err(cause) if cause.is::<LengthLimitError>() => {
            let refusal = error(vendor, 413, "Request body is too large.");
            return Ok(fault::refuse(refusal, &Behaviour::default(), None));
        }
        Err(_) => return Err(server::hang_up()),
    };
    if path.starts_with("/_sim/") {
        return Ok(control::answer(&state, &head.method, path, &bytes));
    }
    state.capture(|| captured(&head, &bytes));
    if endpoint == Endpoint::Chat
        && !state.scripted()
        && let Some(response) = bench::answer(&state, &head, &bytes)
    {
        return Ok(response);
    }
    serve(&state, &conn, &head, vendor, &endpoint, &bytes).await
}

async fn serve(
    state: &Arc<SimState>,
    conn: &Arc<Conn>,
    head: &Parts,
    vendor: Vendor,
    endpoint: &Endpoint,
    bytes: &Bytes,
) -> Result<Response<SimBody>, io::Error> {
    let number = state.next_call();
    let parsed: Result<Value, ()> = match form::boundary(&head.headers) {
        Some(boundary) => form::read(bytes, &boundary).ok_or(()),
        None if bytes.is_empty() => Ok(Value::Null),
        None => serde_json::from_slice(bytes).map_err(drop),
    };
    let body = parsed.as_ref().unwrap_or(&Value::Null);
    let full_model = endpoint.path_model().or_else(|| deployment(head.uri.path())).or(body["model"].as_str());
    let (model, mut behaviour) = Behaviour::of_model(full_model.unwrap_or(""));
    behaviour.add_markers(&last_user_text(vendor, body));
    behaviour.plan = Plan::of(body);
    if state.scripted()
        && let Some(words) = state.script_words(model, head.uri.path(), bytes)
    {
        behaviour.add_words(&words);
    }
    // Ollama streams unless it is told not to.
    let unasked =
        matches!(endpoint, Endpoint::OllamaChat | Endpoint::OllamaGenerate) && body["stream"] != false;
    let stream = unasked
        || body["stream"] == true
        || body["stream"] == "true"
        || matches!(
            endpoint,
            Endpoint::StreamGenerate(..) | Endpoint::Converse(_, true) | Endpoint::RawPredict(_, true)
        );
    let mut entry = start_entry(state, head, vendor, endpoint, model, bytes, stream);
    if let Some(delay) = behaviour.delay {
        tokio::time::sleep(delay).await;
    }
    if behaviour.has("silent") {
        std::future::pending::<()>().await;
    }
    if behaviour.has("reset") {
        if let Some(entry) = &mut entry {
            entry.end = End::Fault;
        }
        conn.reset.store(true, Ordering::Relaxed);
        return Err(server::hang_up());
    }
    let call = Call { state, head, endpoint, raw: bytes, body, model, behaviour: &behaviour, number };
    let outcome = match scripted_refusal(&call, vendor) {
        Some(refusal) => Err(refusal),
        None if parsed.is_err() => Err(invalid_json(vendor)),
        None => match vendor {
            Vendor::OpenAi => openai::answer(&call),
            Vendor::Anthropic => anthropic::answer(&call),
            Vendor::Gemini => gemini::answer(&call),
            Vendor::Ollama => ollama::answer(&call),
            Vendor::Bedrock => bedrock::answer(&call),
        },
    };
    Ok(finish(outcome, vendor, &behaviour, conn, entry))
}

fn finish(
    outcome: Outcome,
    vendor: Vendor,
    behaviour: &Behaviour,
    conn: &Arc<Conn>,
    entry: Option<Entry>,
) -> Response<SimBody> {
    match outcome {
        Ok(reply) => fault::respond(reply, vendor, behaviour, conn, entry),
        Err(refusal) => fault::refuse(refusal, behaviour, entry),
    }
}

fn scripted_refusal(call: &Call<'_>, vendor: Vendor) -> Option<Refusal> {
    if let Some(status) = call.behaviour.status.filter(|status| *status != 200) {
        return Some(error(vendor, status, "The simulator was told to answer so."));
    }
    let turns = call.behaviour.fail_1_in?;
    let fails = call.state.turn(call.model) % turns == turns - 1;
    fails.then(|| error(vendor, 500, "The simulator fails now and then."))
}

fn start_entry(
    state: &SimState,
    head: &Parts,
    vendor: Vendor,
    endpoint: &Endpoint,
    model: &str,
    bytes: &Bytes,
    stream: bool,
) -> Option<Entry> {
    let log = state.truth.as_ref()?;
    if matches!(endpoint, Endpoint::Models | Endpoint::Model(_) | Endpoint::Tags) {
        return None;
    }
    let info = CallInfo {
        attempt: attempt_id(head),
        provider: vendor.name(),
        operation: endpoint.operation(),
        model: model.to_owned(),
        bytes_in: bytes.len() as u64,
        stream,
    };
    Some(Entry::start(log, info))
}

pub(crate) fn attempt_id(head: &Parts) -> String {
    let value = head.headers.get(ATTEMPT_HEADER).and_then(|value| value.to_str().ok());
    value.unwrap_or("").to_owned()
}

fn captured(head: &Parts, bytes: &Bytes) -> Captured {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Captured {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers.iter().map(header).collect(),
        body: String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Azure's model: `/openai/deployments/{name}/…`.
fn deployment(path: &str) -> Option<&str> {
    path.split_once("/deployments/")?.1.split('/').next()
}

/// The text of the last user message, where markers are looked for.
fn last_user_text(vendor: Vendor, body: &Value) -> String {
    let list = match vendor {
        Vendor::Gemini => &body["contents"],
        _ if body["input"].is_array() => &body["input"],
        _ => &body["messages"],
    };
    let Some(messages) = list.as_array() else {
        return body["prompt"].as_str().or(body["input"].as_str()).unwrap_or("").to_owned();
    };
    let last = messages.iter().rev().find(|message| message["role"] == "user" || message["role"].is_null());
    let Some(message) = last else { return String::new() };
    let content = if vendor == Vendor::Gemini { &message["parts"] } else { &message["content"] };
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// An error of that status in the vendor's shape.
fn error(vendor: Vendor, status: u16, message: &str) -> Refusal {
    match vendor {
        Vendor::OpenAi => openai::error::by_status(status, message),
        Vendor::Anthropic => anthropic::error::by_status(status, message),
        Vendor::Gemini => gemini::error::by_status(status, message),
        Vendor::Ollama => ollama::error::refusal(status, message),
        Vendor::Bedrock => bedrock::error::by_status(status, message),
    }
}

fn invalid_json(vendor: Vendor) -> Refusal {
    match vendor {
        Vendor::OpenAi => {
            openai::error::invalid("We could not parse the JSON body of your request.", None, None)
        }
        Vendor::Anthropic => anthropic::error::invalid("The request body is not valid JSON"),
        Vendor::Gemini => gemini::error::invalid("Invalid JSON payload received. Unexpected token."),
        Vendor::Ollama => ollama::error::invalid("invalid character in the request's JSON"),
        Vendor::Bedrock => bedrock::error::invalid("Unexpected token in the request's JSON"),
    }
}
