//! The control endpoints, `/_sim/…`: script, captured requests, health. They stand in no log and need no key.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::player::SimBody;
use crate::reply::Piece;
use crate::script::Script;
use crate::state::SimState;

/// Answers a control request.
pub(crate) fn answer(state: &SimState, method: &Method, path: &str, body: &[u8]) -> Response<SimBody> {
    match (method.as_str(), path) {
        ("GET", "/_sim/health") => json_response(StatusCode::OK, &json!({"calls": state.calls()})),
        ("GET", "/_sim/script") => json_response(StatusCode::OK, &state.script_report()),
        ("POST" | "PUT", "/_sim/script") => {
            match Script::from_json(body).and_then(|script| state.set_script(script)) {
                Ok(()) => json_response(StatusCode::OK, &state.script_report()),
                Err(why) => json_response(StatusCode::BAD_REQUEST, &json!({"error": why})),
            }
        }
        ("DELETE", "/_sim/script") => {
            let cleared = state.set_script(Script::default());
            json_response(StatusCode::OK, &json!({"cleared": cleared.is_ok()}))
        }
        ("GET", "/_sim/requests") => json_response(StatusCode::OK, &json!({"requests": state.captured()})),
        ("DELETE", "/_sim/requests") => {
            state.clear_captured();
            json_response(StatusCode::OK, &json!({"cleared": true}))
        }
        _ => json_response(StatusCode::NOT_FOUND, &json!({"error": "no such control endpoint"})),
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response<SimBody> {
    let piece = Piece { bytes: Bytes::from(body.to_string()), output: 0, usage: false };
    let mut response = Response::new(SimBody::whole(piece, None));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
