//! Recorded requests to Vertex: where they went, and what stood in them.
//!
//! What bodies and replies mean is checked with the adapters of the two dialects; here only what Vertex changes.

mod spec;

use std::sync::Arc;

use serde_json::{Value, json};
use weir_adapter::testkit::{Case, Report, case, plain};
use weir_adapter::{Adapter, Descriptor, EncodeOptions, ErrorKind, Operation, Request, WireBody};

fn cases(api: &str) -> Vec<Case> {
    let Some(folder) = case::fixtures(env!("CARGO_MANIFEST_DIR")) else {
        println!("no recordings here: nothing is checked");
        return Vec::new();
    };
    case::load(&folder, &["vertexai"], &[api])
}

fn least(number: usize) -> usize {
    if case::fixtures(env!("CARGO_MANIFEST_DIR")).is_some() { number } else { 0 }
}

/// As the gateway hands it over: rules inherited, project and region put in.
fn adapter() -> Arc<dyn Adapter> {
    let read = |name: &str| -> Descriptor {
        let path = format!("{}/../../config/providers/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        serde_saphyr::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
    };
    let mut vertex = read("vertex");
    let kinds = [read("gemini"), read("anthropic")];
    vertex.inherit(|name| kinds.iter().find(|kind| kind.name == name));
    for path in vertex.paths.values_mut() {
        *path = path.replace("{project}", "PROJECT").replace("{region}", "REGION");
    }
    weir_adapter_vertex::adapter(vertex)
}

/// A request whose client speaks Anthropic's dialect.
fn native(body: &Value) -> Request {
    let front = weir_adapter_anthropic::front();
    let raw = bytes::Bytes::from(body.to_string());
    let head = http::Request::post("/v1/messages").body(()).expect("a head").into_parts().0;
    let peek = front.peek(Operation::Chat, &head, &raw).expect("reads");
    Request::new(Operation::Chat, front, raw, peek)
}

fn sent(request: &Request, model: &str) -> (String, Value) {
    let wire = adapter().encode(request, &EncodeOptions::new(model)).expect("encodes");
    assert!(wire.headers.get("anthropic-version").is_none());
    let WireBody::Bytes(bytes) = &wire.body else { panic!("a body in bytes") };
    (wire.path.to_string(), serde_json::from_slice(bytes).expect("JSON"))
}

#[test]
fn anthropics_requests_are_those_recorded() {
    let mut report = Report::new("Vertex's requests in Anthropic's dialect");
    for case in cases("messages") {
        let Some(recorded) = case.request_body() else {
            report.leave_out(case.id(), "the request was not recorded");
            continue;
        };
        let path = case.request()["path"].as_str().unwrap_or_default().to_owned();
        let (place, rest) = path.split_once("/publishers/anthropic/models/").expect("a path of a model");
        let (model, _) = rest.split_once(':').expect("a verb");
        let mut body = recorded.clone();
        body.as_object_mut().expect("an object").remove("anthropic_version");
        body["model"] = "the client's name for it".into();
        let (went, sent) = sent(&native(&body), model);
        let expected = path.replace(place, "/v1/projects/PROJECT/locations/REGION");
        let same = went == expected && sent == recorded;
        report
            .ran(case.id(), if same { Ok(()) } else { Err(format!("{went} instead of {expected}\n{sent}")) });
    }
    report.finish(least(14));
}

#[test]
fn googles_requests_go_where_they_went() {
    let mut report = Report::new("Vertex's requests in Gemini's dialect");
    for case in cases("generate_content") {
        let path = case.request()["path"].as_str().unwrap_or_default().to_owned();
        let Some((_, rest)) = path.split_once("/publishers/google/models/") else {
            report.leave_out(case.id(), "the path was not recorded");
            continue;
        };
        let (model, verb) = rest.split_once(':').expect("a verb");
        let body = json!({"model": "m", "stream": verb.starts_with("stream"), "messages": [{"role": "user", "content": "a"}]});
        let (went, _) = sent(&plain::request(Operation::Chat, &body), model);
        let went = went.split('?').next().unwrap_or_default();
        let expected =
            format!("/v1/projects/PROJECT/locations/REGION/publishers/google/models/{model}:{verb}");
        report.ran(case.id(), if went == expected { Ok(()) } else { Err(went.to_owned()) });
    }
    report.finish(least(40));
}

/// A request whose client speaks Gemini's dialect, in OpenAI's form.
fn in_openais_form(body: &Value, model: &str, stream: bool) -> Result<Value, String> {
    let front = weir_adapter_gemini::front();
    // What stands in the path, the gateway puts into the body.
    let mut body = body.clone();
    body["model"] = model.into();
    body["stream"] = stream.into();
    let raw = bytes::Bytes::from(body.to_string());
    let head = http::Request::post("/v1beta/models").body(()).expect("a head");
    let peek = front.peek(Operation::Chat, &head.into_parts().0, &raw).map_err(|error| error.to_string())?;
    let request = Request::new(Operation::Chat, front, raw, peek);
    let weir_wire::openai::Request::Chat(chat) = request.typed().map_err(|error| error.to_string())? else {
        return Err("it is no chat".to_owned());
    };
    Ok(serde_json::to_value(chat).expect("JSON"))
}

#[test]
fn googles_bodies_fit_the_description() {
    const FORM: &str = "GoogleCloudAiplatformV1GenerateContentRequest";
    let mut report = Report::new("Vertex's bodies, by way of OpenAI's form, before Google's description");
    let spec = spec::Spec::load();
    for case in cases("generate_content") {
        let path = case.request()["path"].as_str().unwrap_or_default().to_owned();
        let verb = path.split_once("/publishers/google/models/").and_then(|(_, rest)| rest.split_once(':'));
        let (Some((model, verb)), Some(body), Some(spec)) = (verb, case.request_body(), &spec) else {
            report.leave_out(
                case.id(),
                "the path or the body was not recorded, or the description is not here",
            );
            continue;
        };
        let own = spec.problems(FORM, &body);
        if let Some(problem) = own.first() {
            report.leave_out(
                case.id(),
                format!("what was recorded does not fit the description itself: {problem}"),
            );
            continue;
        }
        if body.get("cachedContent").is_some() || case.status >= 400 {
            report.leave_out(
                case.id(),
                "a cache of Gemini's own passes only unread; what Google refused is refused here",
            );
            continue;
        }
        let checked = in_openais_form(&body, model, verb.starts_with("stream")).map(|form| {
            let (_, sent) = sent(&plain::request(Operation::Chat, &form), model);
            spec.problems(FORM, &sent)
        });
        report.ran(
            case.id(),
            match checked {
                Ok(problems) if problems.is_empty() => Ok(()),
                Ok(problems) => Err(problems.join("\n")),
                Err(why) => Err(why),
            },
        );
    }
    report.finish(least(30));
}

#[test]
fn each_publishers_errors_are_read() {
    let error = |status: u16, body: Value| {
        let status = http::StatusCode::from_u16(status).unwrap();
        adapter().error(status, &http::HeaderMap::new(), body.to_string().as_bytes()).kind
    };
    let googles = json!({"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}});
    assert_eq!(error(403, googles), ErrorKind::Auth);
    let anthropics = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    assert_eq!(error(529, anthropics), ErrorKind::Overloaded);
    let quota = json!({"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}});
    assert!(matches!(error(429, quota), ErrorKind::RateLimit | ErrorKind::Quota));
}

#[test]
fn counting_is_a_model_of_its_own() {
    let front = weir_adapter_anthropic::front();
    let raw = bytes::Bytes::from_static(br#"{"model":"c","messages":[{"role":"user","content":"a"}]}"#);
    let head = http::Request::post("/v1/messages/count_tokens").body(()).unwrap().into_parts().0;
    let peek = front.peek(Operation::CountTokens, &head, &raw).unwrap();
    let request = Request::new(Operation::CountTokens, front, raw, peek);
    let (path, body) = sent(&request, "claude-sonnet-4-5");
    assert!(path.ends_with("/publishers/anthropic/models/count-tokens:rawPredict"), "{path}");
    assert_eq!(
        (body["model"].as_str(), body["anthropic_version"].as_str()),
        (Some("claude-sonnet-4-5"), Some("vertex-2023-10-16"))
    );
}
