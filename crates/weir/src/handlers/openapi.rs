//! `GET /openapi.json`: what weir serves, described from the table of routes.

use serde_json::{Map, Value, json};
use weir_adapter::Operation;

use crate::adapters::FRONTS;
use crate::routes::{InferenceRoute, Routes};

/// The description.
pub fn document() -> Value {
    let mut paths = Map::new();
    if let Ok(routes) = Routes::new(FRONTS) {
        for route in routes.iter() {
            if route.operation == Operation::Passthrough {
                paths.insert(route.path.to_owned(), passthrough());
                continue;
            }
            let version = match route.front.dialect() {
                "gemini" => "/v1beta",
                _ if route.path.starts_with("/v2/") => "",
                _ => "/v1",
            };
            paths.insert(format!("{version}{}", route.path), inference(route));
        }
    }
    let get = |summary: &str, parameters: Value| json!({ "get": { "summary": summary, "parameters": parameters, "responses": responses() } });
    let id = |place: &str| json!([{ "name": "id", "in": place, "required": true, "schema": { "type": "string" } }]);
    paths.insert("/v1/models".into(), get("What the key may call", json!([])));
    paths.insert("/v1/models/{id}".into(), get("One model; an id may contain `/` and `:`", id("path")));
    let kept =
        |summary: &str| json!({ "summary": summary, "parameters": id("path"), "responses": responses() });
    paths.insert(
        "/v1/responses/{id}".into(),
        json!({ "get": kept("An answer that is kept (30 days; the caller's own alone)"), "delete": kept("Forgets an answer") }),
    );
    paths.insert(
        "/v1/responses/{id}/cancel".into(),
        json!({ "post": kept("None runs in the background: always an error") }),
    );
    paths.insert(
        "/v1/responses/{id}/input_items".into(),
        json!({ "get": kept("What an answer was asked, with the turns before") }),
    );
    paths.insert("/v1/generation".into(), get("What one call did and cost", id("query")));
    for (path, summary) in [
        ("/health/live", "Whether the process runs"),
        ("/health/ready", "Whether calls are taken"),
        ("/health", "Health in detail"),
        ("/metrics", "Metrics in Prometheus' text format"),
        ("/openapi.json", "This document"),
    ] {
        paths.insert(path.into(), json!({ "get": { "summary": summary, "responses": { "200": { "description": "as the summary says" } } } }));
    }
    paths.extend(crate::admin::openapi::paths());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "weir", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" }, "key": { "type": "apiKey", "in": "header", "name": "x-api-key" } },
            "schemas": { "Error": error_schema() },
        },
        "security": [{ "bearer": [] }, { "key": [] }, {}],
    })
}

fn passthrough() -> Value {
    let parameter =
        |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    let call = json!({
        "summary": "The provider's own API below its base URL; the provider's key is put on, its answer comes as it is",
        "responses": responses(),
    });
    json!({
        "parameters": [parameter("provider"), parameter("path")],
        "get": call, "post": call, "put": call, "patch": call, "delete": call,
    })
}

fn inference(route: &InferenceRoute) -> Value {
    let (path, dialect) = (route.path, route.front.dialect());
    let mut content = Map::new();
    content.insert("application/json".into(), json!({ "schema": { "type": "object" } }));
    if route.operation == Operation::Speech {
        content.insert("audio/*".into(), json!({ "schema": { "type": "string", "format": "binary" } }));
    }
    if route.accounting.streams {
        content.insert("text/event-stream".into(), json!({ "schema": { "type": "string" } }));
    }
    let mut answers = responses();
    answers["200"] =
        json!({ "description": format!("the answer, in {dialect}'s format"), "content": content });
    let required: &[&str] = match path {
        "/embeddings" | "/responses" | "/audio/speech" => &["model", "input"],
        "/moderations" => &["input"],
        "/rerank" | "/v2/rerank" => &["model", "query", "documents"],
        "/completions" | "/images/generations" | "/images/edits" => &["model", "prompt"],
        "/images/variations" => &["model", "image"],
        "/audio/transcriptions" | "/audio/translations" => &["model", "file"],
        path if path.ends_with(":embedContent") => &["content"],
        path if path.ends_with(":batchEmbedContents") => &["requests"],
        path if path.starts_with("/models/") => &["contents"],
        "/messages" => &["model", "messages", "max_tokens"],
        _ => &["model", "messages"],
    };
    let schema = json!({ "type": "object", "required": required, "properties": { "model": { "type": "string" }, "stream": { "type": "boolean" } } });
    let mut body = Map::new();
    if route.operation.takes_files() {
        body.insert("multipart/form-data".into(), json!({ "schema": schema.clone() }));
    }
    body.insert("application/json".into(), json!({ "schema": schema }));
    json!({ "post": {
        "summary": format!("Calls a model; the body is {dialect}'s, passed on as sent where the provider speaks the same dialect"),
        "requestBody": { "required": true, "content": body },
        "responses": answers,
    } })
}

fn responses() -> Value {
    let error = json!({ "description": "an error; `error.weir.blame` says whose", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } });
    json!({ "200": { "description": "as the summary says" }, "4XX": error, "5XX": error })
}

fn error_schema() -> Value {
    json!({ "type": "object", "required": ["error"], "properties": { "error": {
        "type": "object",
        "required": ["message", "type"],
        "properties": {
            "message": { "type": "string" },
            "type": { "type": "string" },
            "param": { "type": ["string", "null"] },
            "code": { "type": ["string", "null"] },
            "weir": { "type": "object", "properties": {
                "blame": { "enum": ["client", "gateway", "provider"] },
                "provider": { "type": "string" },
                "attempts": { "type": "array", "items": { "type": "object" } },
                "timeout": { "enum": ["connect", "first_byte", "first_token", "idle", "total", "write"] },
            } },
        },
    } } })
}
