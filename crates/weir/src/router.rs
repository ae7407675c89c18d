//! From a path to what answers it. The routes that call models are matched by hand: they are the hot ones. Everything
//! else goes through axum.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use futures_util::FutureExt;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Either;
use tower::ServiceExt;
use tower_http::set_header::SetResponseHeaderLayer;
use weir_adapter::Front;
use weir_gateway::GatewayError;
use weir_ledger::Ledger;

use crate::admin;
use crate::app::App;
use crate::client_body::ClientBody;
use crate::extract::caller::{LastKey, caller, refuse_strangers};
use crate::extract::{self, address};
use crate::handlers::{console, generation, health, inference, metrics, models, openapi, responses};
use crate::respond::{self, ResponseBody, full};
use crate::routes::bare;
use crate::seats;

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// What a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Everything.
    All,
    /// Calls; administration has a listener of its own.
    Clients,
    /// Administration and metrics, no calls.
    Operators,
}

/// Everything that answers.
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
    side: Side,
    rest: Router,
    front: Arc<dyn Front>,
    peer: IpAddr,
    last: Arc<LastKey>,
}

impl Service {
    /// Over a running gateway.
    pub fn new(app: Arc<App>, side: Side) -> Service {
        Service {
            side,
            rest: rest(app.clone(), side),
            front: weir_adapter_openai::front(),
            app,
            peer: Ipv4Addr::UNSPECIFIED.into(),
            last: Arc::default(),
        }
    }

    /// For the connection of this peer.
    pub fn at(self, peer: IpAddr) -> Service {
        Service { peer, last: Arc::default(), ..self }
    }

    /// When calls are cut as the process ends.
    pub fn cut(&self) -> Arc<weir_gateway::Cut> {
        self.app.snapshot.load().cut.clone()
    }

    /// What answers vouch for.
    pub fn ledger(&self) -> Ledger {
        self.app.ledger.clone()
    }

    /// Whether no more calls are taken than those that connections bring which are open.
    pub fn draining(&self) -> bool {
        self.app.draining()
    }

    /// Answers one request. A panic on the way becomes a 500; its call's row says so.
    pub async fn answer(&self, request: Request<ClientBody>) -> Response<ResponseBody> {
        if head_size(&request) > MAX_HEAD {
            return too_large_head();
        }
        let came = Came::of(&request);
        match AssertUnwindSafe(self.dispatch(request)).catch_unwind().await {
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                self.unauthorized(&came, response)
            }
            Ok(response) => response,
            Err(_) => respond::error(self.front.as_ref(), None, None, &GatewayError::Internal),
        }
    }

    /// Answers one request of a connection above their limit: a call is refused, and whatever is answered is the last
    /// answer of the connection.
    pub async fn answer_in_a_crowd(&self, request: Request<ClientBody>) -> Response<ResponseBody> {
        let routes = &self.app.routes;
        let through = request.uri().path().starts_with(extract::passthrough::PREFIX);
        let route = routes.find(request.method(), request.uri().path());
        let mut response = match route.or_else(|| through.then(|| routes.passthrough())) {
            Some(route) => {
                self.app.metrics.refused("overloaded");
                respond::error(route.front.as_ref(), None, None, &seats::no_seat())
            }
            None => self.answer(request).await,
        };
        response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    async fn dispatch(&self, mut request: Request<ClientBody>) -> Response<ResponseBody> {
        let route = self.app.routes.find(request.method(), request.uri().path());
        if let Some(route) = route.filter(|_| self.side != Side::Operators) {
            return inference::serve(&self.app, route, request, &self.last).await;
        }
        if self.side != Side::Operators && request.uri().path().starts_with(extract::passthrough::PREFIX) {
            return inference::pass_through(&self.app, request, &self.last).await;
        }
        if let Some(uri) = bare_uri(request.uri()) {
            *request.uri_mut() = uri;
        }
        let answered = self.rest.clone().oneshot(request.map(axum::body::Body::new)).await;
        match answered {
            Ok(response) => response.map(|body| Either::Right(Either::Right(body))),
            Err(never) => match never {},
        }
    }
}

/// What is kept of a request in case that its key is wrong.
struct Came {
    method: Method,
    uri: Uri,
    forwarded: HeaderMap,
}

impl Came {
    fn of(request: &Request<ClientBody>) -> Came {
        let mut forwarded = HeaderMap::new();
        for (name, line) in request.headers().iter().filter(|(name, _)| name.as_str() == address::FORWARDED) {
            forwarded.append(name, line.clone());
        }
        Came { method: request.method().clone(), uri: request.uri().clone(), forwarded }
    }
}

impl Service {
    /// The answer to a wrong key: that it is wrong, or, to who has sent too many, that it is too many.
    fn unauthorized(&self, came: &Came, answer: Response<ResponseBody>) -> Response<ResponseBody> {
        let loaded = self.app.loaded.load();
        let server = &loaded.config.server;
        if server.wrong_keys_per_minute == 0 {
            return answer;
        }
        let client = address::client(self.peer, &came.forwarded, &server.trusted_proxies);
        let Some(retry_after) =
            self.app.wrong_keys.count(client, server.wrong_keys_per_minute, std::time::Instant::now())
        else {
            return answer;
        };
        self.app.metrics.limited("address_wrong_keys_per_minute");
        let message = format!(
            "more than {} wrong keys came from this address in a minute (`server.wrong_keys_per_minute`); a valid key is served all the same",
            server.wrong_keys_per_minute
        );
        let error = GatewayError::RateLimited { message, retry_after };
        let route = self.app.routes.find(&came.method, came.uri.path());
        let front = route.map_or(self.front.as_ref(), |route| route.front.as_ref());
        respond::error(front, answer.headers().get("x-request-id"), None, &error)
    }
}

fn rest(app: Arc<App>, side: Side) -> Router {
    let mut router = common();
    if side != Side::Operators {
        router = router
            .route("/models", get(list))
            .route("/models/{*id}", get(model))
            .route("/generation", get(generation_of))
            .route("/responses/{id}", get(responses::retrieve).delete(responses::delete))
            .route("/responses/{id}/cancel", post(responses::cancel))
            .route("/responses/{id}/input_items", get(responses::input_items))
            .fallback(nothing);
    } else {
        router = router.fallback(elsewhere);
    }
    if side != Side::Clients {
        router = router
            .route("/metrics", get(|State(app): State<Arc<App>>| async move { metrics::text(&app) }))
            .route("/admin", any(admin::serve))
            .route("/admin/{*path}", any(admin::serve))
            .route("/ui", get(page))
            .route("/ui/", get(page))
            .route("/ui/{*path}", get(console_file));
    }
    router
        .method_not_allowed_fallback(wrong_method)
        // What is JSON must not be taken for a page.
        .layer(SetResponseHeaderLayer::if_not_present(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(app)
}

/// What every listener answers.
fn common() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/",
            get(|| async {
                concat!("weir ", env!("CARGO_PKG_VERSION"), ": point an OpenAI client at /v1\n")
            }),
        )
        .route("/health/live", get(|| async { axum::Json(serde_json::json!({ "status": "live" })) }))
        .route("/health/ready", get(|State(app): State<Arc<App>>| async move { json(health::ready(&app)) }))
        .route("/health", get(|State(app): State<Arc<App>>| async move { json(health::detail(&app).await) }))
        .route("/openapi.json", get(|| async { axum::Json(openapi::document()) }))
}

/// On the operators' listener, everything else is at the clients'.
async fn elsewhere(method: Method, uri: Uri, State(app): State<Arc<App>>) -> axum::response::Response {
    let path: String = uri.path().chars().take(100).collect();
    let message = format!("nothing answers {method} {path} at `admin_listen`; calls go to `listen`");
    refuse(&app, &GatewayError::NotFound(message))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> axum::response::Response {
    match caller(&app.snapshot.load().keys, &headers) {
        Ok(caller) => axum::Json(models::list(&app, &caller)).into_response(),
        Err(error) => refuse(&app, &error),
    }
}

async fn model(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> axum::response::Response {
    let snapshot = app.snapshot.load_full();
    let found = caller(&snapshot.keys, &headers).and_then(|caller| models::one(&snapshot, &caller, &id));
    match found {
        Ok(found) => axum::Json(found).into_response(),
        Err(error) => refuse(&app, &error),
    }
}

#[derive(serde::Deserialize)]
struct GenerationQuery {
    id: Option<String>,
}

async fn generation_of(
    State(app): State<Arc<App>>,
    Query(query): Query<GenerationQuery>,
    headers: HeaderMap,
) -> axum::response::Response {
    let caller = match caller(&app.snapshot.load().keys, &headers) {
        Ok(caller) => caller,
        Err(error) => return refuse(&app, &error),
    };
    let Some(id) = query.id.filter(|id| !id.is_empty()) else {
        return refuse(&app, &weir_adapter::InvalidRequest::missing("id").into());
    };
    match generation::one(&app, &caller, &id).await {
        Ok(found) => axum::Json(found).into_response(),
        Err(error) => refuse(&app, &error),
    }
}

async fn page(State(app): State<Arc<App>>, headers: HeaderMap) -> axum::response::Response {
    console_file(State(app), Path(String::new()), headers).await
}

/// The console's files hold no data and need no key; the page asks for one.
async fn console_file(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> axum::response::Response {
    if !app.snapshot.load().keys.has_master()
        && let Err(error) = refuse_strangers(&headers)
    {
        return refuse(&app, &error);
    }
    match console::file(&path, &headers) {
        Some(file) => file.map(axum::body::Body::from),
        None => {
            refuse(&app, &GatewayError::NotFound("the console has no such file; it begins at /ui".to_owned()))
        }
    }
}

async fn nothing(method: Method, uri: Uri, State(app): State<Arc<App>>) -> axum::response::Response {
    let path: String = uri.path().chars().take(100).collect();
    if app.routes.find(&Method::POST, uri.path()).is_some() {
        return wrong_method(method, uri).await;
    }
    refuse(
        &app,
        &GatewayError::NotFound(format!("nothing answers {method} {path}; /openapi.json lists what does")),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> axum::response::Response {
    let path: String = uri.path().chars().take(100).collect();
    let message = format!("{path} does not answer {method}; /openapi.json says what it answers");
    let error = weir_wire::openai::Error::new("invalid_request_error", "method_not_allowed", message);
    let headers = [(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::METHOD_NOT_ALLOWED, headers, error.to_body()).into_response()
}

/// An error outside of a call, in OpenAI's shape.
pub(crate) fn refuse(app: &App, error: &GatewayError) -> axum::response::Response {
    app.metrics.refused(error.words().code.as_deref().unwrap_or("other"));
    respond::error(weir_adapter_openai::front().as_ref(), None, None, error).map(axum::body::Body::new)
}

fn json((status, body): (StatusCode, serde_json::Value)) -> axum::response::Response {
    (status, axum::Json(body)).into_response()
}

/// The address without `/v1`, where it has one.
fn bare_uri(uri: &Uri) -> Option<Uri> {
    let path = bare(uri.path());
    if path.is_empty() || path.len() == uri.path().len() {
        return None;
    }
    match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

fn head_size(request: &Request<ClientBody>) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    headers.sum::<usize>() + request.uri().path_and_query().map_or(0, |path| path.as_str().len())
}

fn too_large_head() -> Response<ResponseBody> {
    let message = format!("the head of the request is larger than {MAX_HEAD} bytes");
    let error =
        weir_wire::openai::Error::new("invalid_request_error", "request_header_fields_too_large", message);
    let mut response = Response::new(full(error.to_body()));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
