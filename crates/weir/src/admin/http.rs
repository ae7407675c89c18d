//! The admin API over HTTP: who asks, whether they may, what was sent; and the answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use weir_gateway::call::Role;
use weir_gateway::{Caller, GatewayError};

use super::api::{Endpoint, Found, decoded, find};
use super::input::{MAX_BODY, invalid, unknown_name};
use super::{Ask, Desk, write};
use crate::app::App;
use crate::extract::caller::{caller, refuse_strangers, shown_key};

/// What goes with a table.
const CSV: [(HeaderName, &str); 2] = [
    (CONTENT_TYPE, "text/csv; charset=utf-8"),
    (CONTENT_DISPOSITION, "attachment; filename=\"weir-spend.csv\""),
];
/// The longest idempotency key.
const MAX_ONCE: usize = 256;

/// Answers a request below `/admin/v1`.
pub async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answered = answer(&app, &head, body).await;
    match answered {
        Ok((status, value)) => {
            let mut response = match value {
                Value::String(table) => (status, CSV, table).into_response(),
                value => (status, axum::Json(value)).into_response(),
            };
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => refuse(&app, &error),
    }
}

async fn answer(
    app: &Arc<App>,
    head: &http::request::Parts,
    body: Body,
) -> Result<(StatusCode, Value), GatewayError> {
    // Who may not is told nothing about what there is.
    let actor = actor(app, &head.headers)?;
    let path = head.uri.path();
    let (endpoint, id) = match find(head.method.as_str(), path) {
        Found::Endpoint(endpoint, id) => (endpoint, id),
        found => {
            let shown: String = path.chars().take(100).collect();
            let method = &head.method;
            return Err(match found {
                Found::OtherMethod => GatewayError::WrongMethod(format!(
                    "{shown} does not answer {method}; /openapi.json says what it answers"
                )),
                _ => GatewayError::NotFound(format!(
                    "nothing answers {method} {shown}; /openapi.json lists what does"
                )),
            });
        }
    };
    allowed(endpoint, &actor)?;
    let body = axum::body::to_bytes(body, MAX_BODY).await;
    let body = body.map_err(|_| GatewayError::TooLarge { limit: MAX_BODY })?;
    if endpoint.body.is_none() && !body.is_empty() {
        return Err(invalid("this takes no body; send none, nothing of it would be used"));
    }
    let ask = Ask {
        actor,
        credential: shown_key(&head.headers).unwrap_or_default().to_owned(),
        id,
        query: query(endpoint, head.uri.query().unwrap_or_default())?,
        body,
        once: once(endpoint, &head.headers)?,
        what: format!("{} {path}", head.method),
        now: crate::clock::unix_micros(),
    };
    let loaded = app.loaded.load_full();
    let desk = Desk { store: app.ledger.store().as_ref(), config: &loaded.config, app: Some(app) };
    let value = run(endpoint, &desk, &ask).await?;
    Ok((StatusCode::from_u16(endpoint.status()).unwrap_or(StatusCode::OK), value))
}

/// Asks the endpoint, unless it was asked the same before.
///
/// # Errors
/// Whatever it says.
pub async fn run(endpoint: &Endpoint, desk: &Desk<'_>, ask: &Ask) -> Result<Value, GatewayError> {
    match write::repeated(desk, ask).await? {
        Some(answer) => Ok(answer),
        None => (endpoint.run)(desk, ask).await,
    }
}

/// Who asks. Without a master key everybody on this machine is the administrator.
fn actor(app: &App, headers: &HeaderMap) -> Result<Arc<Caller>, GatewayError> {
    let snapshot = app.snapshot.load();
    if !snapshot.keys.has_master() {
        refuse_strangers(headers)?;
        return Ok(Arc::new(Caller::named("local", Role::Admin)));
    }
    caller(&snapshot.keys, headers)
}

fn allowed(endpoint: &Endpoint, actor: &Caller) -> Result<(), GatewayError> {
    if actor.role >= endpoint.role {
        return Ok(());
    }
    let needed = if endpoint.writes() { "`admin` is needed" } else { "`viewer` or `admin` is needed" };
    let has = match actor.role {
        Role::Caller => "caller",
        Role::Viewer => "viewer",
        Role::Admin => "admin",
    };
    let message = format!("key `{}` may not do this: its role is `{has}`, {needed}", actor.name);
    Err(GatewayError::Forbidden { code: "permission_denied", message })
}

/// The parameters, of which none may be unknown or stand twice.
fn query(endpoint: &Endpoint, text: &str) -> Result<Vec<(String, String)>, GatewayError> {
    let mut found: Vec<(String, String)> = Vec::new();
    let known: Vec<&str> = endpoint.parameters.iter().map(|(name, _)| *name).collect();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| decoded(&text.replace('+', " "));
        let (Some(name), Some(value)) = (plain(name), plain(value)) else {
            return Err(invalid("the query is not UTF-8, or its `%` are wrong"));
        };
        if !known.contains(&name.as_str()) {
            return Err(match known.is_empty() {
                true => invalid("this takes no parameters"),
                false => unknown_name("parameter", &name, &known),
            });
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err(invalid(format!("the parameter `{name}` stands twice")));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn once(endpoint: &Endpoint, headers: &HeaderMap) -> Result<Option<String>, GatewayError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next().filter(|_| endpoint.writes()) else { return Ok(None) };
    let visible = |text: &&str| {
        (1..=MAX_ONCE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let text = value.to_str().ok().filter(visible);
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(invalid(format!("`Idempotency-Key` is one text of up to {MAX_ONCE} visible characters"))),
    }
}

fn refuse(app: &App, error: &GatewayError) -> Response {
    app.metrics.refused(error.words().code.as_deref().unwrap_or("other"));
    let response =
        crate::respond::error(weir_adapter_openai::front().as_ref(), None, None, error).map(Body::new);
    debug_assert!(error.status() != 503 || response.headers().contains_key(RETRY_AFTER));
    response
}
