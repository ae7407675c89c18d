//! Answers of `/v1/responses` that weir keeps: clients go on from them over any provider, fetch and delete them.
//!
//! Kept for thirty days unless the request says `store: false`; each key sees its own alone. What a client goes on from
//! is put in front of its `input`, so providers never see `previous_response_id`.

mod keep;
mod references;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use weir_adapter::InvalidRequest;
use weir_gateway::{Caller, GatewayError};
use weir_ledger::responses::KeptResponse;
use weir_wire::peek::{Members, as_bool, as_str};
use weir_wire::splice::ObjectSplice;

use crate::app::App;
use crate::extract::caller::caller;
use crate::router::refuse;

pub use keep::{Draft, keep};

/// Puts the turns before in front of the input; what must be kept once the answer is there comes along.
///
/// # Errors
/// An answer to go on from that is not (or no longer) known here.
pub async fn prepare(
    app: &App,
    caller: &Caller,
    body: Bytes,
) -> Result<(Bytes, Option<Draft>), GatewayError> {
    // A body that does not read is refused by whoever reads all of it.
    let Ok(members) = Members::read(&body) else { return Ok((body, None)) };
    let input = members.value(&body, "input").and_then(own_items);
    let Some(mut input) = input else { return Ok((body, None)) };
    let changed = references::resolve(app, caller, &mut input).await?;
    let previous = members.value(&body, "previous_response_id").and_then(as_str).map(|id| id.into_owned());
    let kept = members.value(&body, "store").and_then(as_bool) != Some(false);
    let draft = Draft {
        owner: caller.name.to_string(),
        previous: previous.clone(),
        input: Value::Array(input.clone()).to_string(),
        kept,
        store: app.ledger.store().clone(),
    };
    let mut items = match previous {
        Some(previous) => items_before(&chain(app, caller, &previous).await?),
        None if changed => Vec::new(),
        None => return Ok((body, Some(draft))),
    };
    items.extend(input);
    let mut splice = ObjectSplice::new(&members);
    splice.set(&body, "input", Value::Array(items).to_string().into_bytes());
    Ok((splice.apply(&body), Some(draft)))
}

/// The input as a list; `None` where it is no input.
fn own_items(raw: &[u8]) -> Option<Vec<Value>> {
    match serde_json::from_slice(raw).ok()? {
        Value::String(text) => Some(vec![
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
        ]),
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// An answer with all that it goes on from.
async fn chain(app: &App, caller: &Caller, id: &str) -> Result<Vec<KeptResponse>, GatewayError> {
    let missing = || {
        let id: String = id.chars().take(100).collect();
        InvalidRequest {
            message: format!(
                "Previous response with id '{id}' not found: it is unknown, deleted, or older than 30 days"
            ),
            code: "previous_response_not_found",
            param: Some("previous_response_id".to_owned()),
        }
    };
    let chain = app.ledger.store().responses().chain(&caller.name, id, crate::clock::unix_micros()).await;
    let chain = chain.map_err(unavailable)?;
    match chain.first() {
        Some(first) if first.previous.is_none() => Ok(chain),
        _ => Err(missing().into()),
    }
}

fn unavailable(error: weir_ledger::StoreError) -> GatewayError {
    tracing::warn!(%error, cause = %error.cause, "the store did not answer");
    GatewayError::Overloaded {
        code: "overloaded",
        message: "the store, which keeps answers, does not answer now",
        retry_after: Duration::from_secs(1),
    }
}

/// What was said in a chain: each turn's input, then its answer.
fn items_before(chain: &[KeptResponse]) -> Vec<Value> {
    let mut items = Vec::new();
    for turn in chain {
        items.extend(list(&turn.input));
        let body: Value = serde_json::from_str(&turn.body).unwrap_or(Value::Null);
        items.extend(body["output"].as_array().cloned().unwrap_or_default());
    }
    items
}

fn list(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap_or_default()
}

// === Kept answers ===

async fn find(
    app: &App,
    headers: &HeaderMap,
    id: &str,
) -> Result<(Arc<Caller>, Vec<KeptResponse>), GatewayError> {
    let caller = caller(&app.snapshot.load().keys, headers)?;
    let now = crate::clock::unix_micros();
    let chain = app.ledger.store().responses().chain(&caller.name, id, now).await.map_err(unavailable)?;
    if chain.is_empty() { Err(missing(id)) } else { Ok((caller, chain)) }
}

fn missing(id: &str) -> GatewayError {
    GatewayError::NotFound(format!(
        "Response with id '{}' not found.",
        id.chars().take(100).collect::<String>()
    ))
}

/// Query parameters of `GET /v1/responses/{id}`.
#[derive(serde::Deserialize)]
pub struct Retrieve {
    stream: Option<bool>,
}

/// `GET /v1/responses/{id}`.
pub async fn retrieve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<Query<Retrieve>, QueryRejection>,
    headers: HeaderMap,
) -> axum::response::Response {
    if query.is_ok_and(|Query(query)| query.stream == Some(true)) {
        let wrong =
            InvalidRequest::value("stream", "a kept answer is not streamed again; leave out `stream`");
        return refuse(&app, &wrong.into());
    }
    match find(&app, &headers, &id).await {
        Ok((_, chain)) => {
            let body = chain.last().map(|kept| kept.body.clone()).unwrap_or_default();
            ([(http::header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => refuse(&app, &error),
    }
}

/// `DELETE /v1/responses/{id}`.
pub async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> axum::response::Response {
    let gone = async {
        let caller = caller(&app.snapshot.load().keys, &headers)?;
        let gone = app.ledger.store().responses().forget(&caller.name, &id).await.map_err(unavailable)?;
        if gone { Ok(()) } else { Err(missing(&id)) }
    };
    match gone.await {
        Ok(()) => axum::Json(json!({"id": id, "object": "response", "deleted": true})).into_response(),
        Err(error) => refuse(&app, &error),
    }
}

/// `POST /v1/responses/{id}/cancel`: none runs in the background here, so none can be cancelled.
pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> axum::response::Response {
    let error = match find(&app, &headers, &id).await {
        Ok(_) => InvalidRequest {
            message: "Cannot cancel a synchronous response.".to_owned(),
            code: "invalid_value",
            param: None,
        }
        .into(),
        Err(error) => error,
    };
    refuse(&app, &error)
}

/// Query parameters of `GET /v1/responses/{id}/input_items`.
#[derive(serde::Deserialize)]
pub struct Page {
    limit: Option<usize>,
    order: Option<String>,
    after: Option<String>,
}

/// `GET /v1/responses/{id}/input_items`.
pub async fn input_items(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> axum::response::Response {
    let page = async {
        let Query(page) = query.map_err(|wrong| InvalidRequest::value("query", wrong.body_text()))?;
        let (_, chain) = find(&app, &headers, &id).await?;
        page_of(&chain, &page).map_err(GatewayError::from)
    };
    match page.await {
        Ok(page) => axum::Json(page).into_response(),
        Err(error) => refuse(&app, &error),
    }
}

fn page_of(chain: &[KeptResponse], page: &Page) -> Result<Value, InvalidRequest> {
    let Some((last, before)) = chain.split_last() else { return Ok(json!({"object": "list", "data": []})) };
    let mut items = items_before(before);
    items.extend(list(&last.input));
    for (at, item) in items.iter_mut().enumerate() {
        let Some(members) = item.as_object_mut() else { continue };
        members.entry("type").or_insert_with(|| "message".into());
        let made = format!("msg_{}i{at:03}", last.id.trim_start_matches("resp_"));
        members.entry("id").or_insert_with(|| made.into());
        if let Some(Value::String(text)) = members.get("content").cloned() {
            members.insert("content".to_owned(), json!([{"type": "input_text", "text": text}]));
        }
    }
    let limit = page.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(InvalidRequest::value("limit", "`limit` must be a whole number from 1 to 100"));
    }
    match page.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(InvalidRequest::value("order", "`order` must be `asc` or `desc`")),
    }
    if let Some(after) = &page.after {
        let at = items.iter().position(|item| item["id"] == after.as_str());
        let at = at.ok_or_else(|| InvalidRequest::value("after", "`after` names no item of this answer"))?;
        items.drain(..=at);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let id = |item: Option<&Value>| item.map(|item| item["id"].clone()).unwrap_or(Value::Null);
    Ok(json!({
        "object": "list", "first_id": id(items.first()), "last_id": id(items.last()), "has_more": more, "data": items,
    }))
}
