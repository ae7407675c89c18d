//! A client for the simulator, in the same process: each request goes over a byte pipe of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use weir_sim::{SimConfig, SimState};

/// A simulator with the given settings.
pub(crate) fn sim(config: SimConfig) -> Arc<SimState> {
    SimState::new(config).unwrap()
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{cause}: {:?}", self.body))
    }

    /// The data of each server-sent event, `[DONE]` left out.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap().replace("\r\n", "\n");
        let data =
            text.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The message of an error in any vendor's shape.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// Posts JSON with all three vendors' key headers.
pub(crate) async fn post(sim: &Arc<SimState>, path: &str, body: &Value) -> Answer {
    let request = Request::post(path)
        .header("host", "sim")
        .header("authorization", "Bearer key")
        .header("x-api-key", "key")
        .header("x-goog-api-key", "key")
        .header("x-weir-attempt-id", "call-1");
    let request =
        if path.contains("/messages") { request.header("anthropic-version", "2023-06-01") } else { request };
    send(sim, request.body(Full::from(body.to_string())).unwrap()).await
}

/// Sends a request as it is.
pub(crate) async fn send(sim: &Arc<SimState>, request: Request<Full<Bytes>>) -> Answer {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let server = tokio::spawn(weir_sim::serve_connection(sim.clone(), far));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    drop(sender);
    server.await.unwrap();
    Answer { status: head.status, headers: head.headers, body }
}
