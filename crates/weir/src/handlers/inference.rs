//! A call to a model.

use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use parking_lot::Mutex;
use tower::Service;
use weir_gateway::call::Progress;
use weir_gateway::overload::{Admitted, Tenant};
use weir_gateway::{Call, Caller, GatewayError};
use weir_ledger::{CallId, Facts};

use crate::app::App;
use crate::client_body::ClientBody;
use crate::extract;
use crate::extract::caller::LastKey;
use crate::extract::passthrough::Through;
use crate::handlers::{count, gemini_array, responses};
use crate::idempotency;
use crate::respond::{self, ResponseBody};
use crate::routes::InferenceRoute;

/// Answers one request of a route that calls a model.
pub async fn serve(
    app: &Arc<App>,
    route: &InferenceRoute,
    request: Request<ClientBody>,
    last: &LastKey,
) -> Response<ResponseBody> {
    serve_as(app, route, None, request, last).await
}

/// Answers one request for a provider's own API.
pub async fn pass_through(
    app: &Arc<App>,
    request: Request<ClientBody>,
    last: &LastKey,
) -> Response<ResponseBody> {
    let snapshot = app.snapshot.load_full();
    let found = extract::caller::caller_again(&snapshot.keys, request.headers(), last)
        .and_then(|_| extract::passthrough::find(&app.routes, &snapshot, request.method(), request.uri()));
    match found {
        Ok((through, route)) => serve_as(app, route, Some(through), request, last).await,
        Err(error) => {
            app.metrics.refused(error.words().code.as_deref().unwrap_or("other"));
            let request_id = extract::request::request_id(request.headers(), || CallId::now().to_text());
            respond::error(app.routes.passthrough().front.as_ref(), Some(&request_id), None, &error)
        }
    }
}

async fn serve_as(
    app: &Arc<App>,
    route: &InferenceRoute,
    through: Option<Through>,
    request: Request<ClientBody>,
    last: &LastKey,
) -> Response<ResponseBody> {
    let started = Instant::now();
    let id = CallId::now();
    let (head, body) = request.into_parts();
    let request_id = extract::request::request_id(&head.headers, || id.to_text());
    let admitted =
        admit(app, route, through, &head, body, Begun { id, started, request_id: &request_id, last }).await;
    match admitted {
        Err(error) => {
            app.metrics.refused(error.words().code.as_deref().unwrap_or("other"));
            respond::error(route.front.as_ref(), Some(&request_id), None, &error)
        }
        Ok((call, ..)) if count::must_estimate(&call) => count::estimate(&call, &request_id),
        // The seat is given back with the answer's beginning: a stream under way is no work that waits.
        Ok((call, draft, _seat)) => {
            let form = Form { draft, array: gemini_array::is_wanted(&call, &head.uri) };
            let key = idempotency::key(&head.headers);
            // It holds the connection's read buffer, which is not to wait for the provider's answer.
            drop(head);
            match key {
                Ok(None) => answer(app, call, form, &request_id).await,
                Ok(Some(key)) => once(app, &key, call, form, request_id).await,
                Err(error) => refuse(app, &call, &request_id, &error),
            }
        }
    }
}

/// What an answer shall become, beside what its dialect says.
struct Form {
    /// It is kept, as the Responses API does.
    draft: Option<responses::Draft>,
    /// It is a list rather than events, as Gemini's clients may ask.
    array: bool,
}

/// Runs a call through the stack.
async fn answer(app: &App, call: Arc<Call>, form: Form, request_id: &HeaderValue) -> Response<ResponseBody> {
    match app.stack.clone().call(call.clone()).await {
        Ok(reply) => {
            let response = respond::reply(&call, request_id, reply);
            match form.draft {
                Some(draft) => responses::keep(draft, response).await,
                None if form.array => gemini_array::of(response),
                None => response,
            }
        }
        Err(error) => {
            report(&call, &error);
            respond::error(call.request.front().as_ref(), Some(request_id), Some(&call), &error)
        }
    }
}

/// Runs a call unless it ran before, by its `idempotency-key`.
async fn once(
    app: &Arc<App>,
    key: &str,
    call: Arc<Call>,
    form: Form,
    request_id: HeaderValue,
) -> Response<ResponseBody> {
    let run = || {
        let (app, call, request_id) = (app.clone(), call.clone(), request_id.clone());
        async move { answer(&app, call, form, &request_id).await }
    };
    match idempotency::once(app, key, &call, run).await {
        Ok(response) => response,
        Err(error) => refuse(app, &call, &request_id, &error),
    }
}

/// Refuses what is no call yet.
fn refuse(app: &App, call: &Call, request_id: &HeaderValue, error: &GatewayError) -> Response<ResponseBody> {
    app.metrics.refused(error.words().code.as_deref().unwrap_or("other"));
    respond::error(call.request.front().as_ref(), Some(request_id), None, error)
}

/// What is known of a call before its body.
struct Begun<'r> {
    id: CallId,
    started: Instant,
    request_id: &'r HeaderValue,
    last: &'r LastKey,
}

/// A call of everything that the request says, and its seat among those that wait for their answers.
async fn admit(
    app: &App,
    route: &InferenceRoute,
    through: Option<Through>,
    head: &Parts,
    body: ClientBody,
    begun: Begun<'_>,
) -> Result<(Arc<Call>, Option<responses::Draft>, Admitted), GatewayError> {
    let Begun { id, started, request_id, last } = begun;
    let snapshot = app.snapshot.load_full();
    let headers = &head.headers;
    let caller = extract::caller::caller_again(&snapshot.keys, headers, last)?;
    let tenant = Tenant::of(caller.team.as_deref().unwrap_or(&caller.name));
    let seat = app.overload.admit(tenant)?;
    let own = extract::request::own(headers);
    let hops = extract::request::hops(&own)?;
    let mut options = extract::request::options(&own)?;
    options.trace = app.otlp.trace(id, headers);
    let limit = snapshot.settings.max_body;
    let form = match route.operation.takes_files() && through.is_none() {
        true => extract::upload::kind(head),
        false => None,
    };
    let (bytes, upload) = match form {
        Some(kind) => {
            let form = extract::upload::read(head, body, kind, limit, &app.overload).await?;
            (form.fields, Some(Arc::new(form.upload)))
        }
        None => (extract::request::body(head, body, limit, &app.overload).await?, None),
    };
    let keeps = route.front.dialect() == weir_adapter_openai::responses::DIALECT && through.is_none();
    let (bytes, draft) = match keeps {
        true => responses::prepare(app, &caller, bytes).await?,
        false => (bytes, None),
    };
    let (mut request, preferences) = match through {
        Some(through) => (through.request(route, head, bytes)?, None),
        None => extract::request::request(route, head, bytes)?,
    };
    request.upload = upload;
    options.preferences = preferences;
    options.strategy = weir_gateway::layers::route::suffix(&snapshot, request.model()).1;
    request.id = id.to_text();
    let facts = Arc::new(facts(request_id, started, &caller, &own, &request)?);
    let progress = Mutex::new(Progress::default());
    let call = Call { id, caller, request, snapshot, facts, options, hops, started, progress };
    Ok((Arc::new(call), draft, seat))
}

/// What the ledger knows of a call from its beginning, `started`.
fn facts(
    request_id: &HeaderValue,
    started: Instant,
    caller: &Caller,
    own: &HeaderMap,
    request: &weir_adapter::Request,
) -> Result<Facts, GatewayError> {
    // The body took its time: the call began before it.
    let waited = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    Ok(Facts {
        request_id: request_id.to_str().unwrap_or_default().into(),
        started_at: crate::clock::unix_micros().saturating_sub(waited),
        key: caller.name.clone(),
        team: caller.team.clone(),
        user: extract::request::user(own, request)?,
        session: extract::request::text(own, "x-weir-session")?.map(Into::into),
        tags: extract::request::tags(own, request)?,
        dialect: request.front().dialect().into(),
        operation: request.operation.name().into(),
        route: request.model().into(),
        stream: request.peek().stream,
    })
}

/// A failure is logged once, here: what is weir's own fault as an error, what is the provider's as a warning.
fn report(call: &Call, error: &GatewayError) {
    let status = error.status();
    match error.blame() {
        "gateway" => {
            tracing::error!(call.id = %call.id, route = call.request.model(), status, %error, "call failed")
        }
        "provider" => {
            tracing::warn!(call.id = %call.id, route = call.request.model(), status, %error, "no provider answered")
        }
        _ => {
            tracing::debug!(call.id = %call.id, route = call.request.model(), status, %error, "call refused")
        }
    }
}
