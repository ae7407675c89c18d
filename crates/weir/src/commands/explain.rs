//! `weir explain`: where a request would go, what would be sent, and what it may cost. Nothing is sent.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use weir_adapter::{Operation, Request, WireBody};
use weir_catalog::NanoUsd;
use weir_config::Environment;
use weir_gateway::call::{Attempt, Call, CallOptions, Caller, Pass, Progress, Role};
use weir_gateway::layers::{encode, route};
use weir_gateway::{GatewayError, Metrics, Snapshot};
use weir_ledger::{CallId, Facts};

use super::{CommandError, ExplainArgs, Global, Output};
use crate::app::Source;

/// Explains, and prints.
///
/// # Errors
/// A configuration or a request that is wrong.
pub fn run(
    args: &ExplainArgs,
    global: &Global,
    environment: Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::Failed(error.to_string());
    let file = weir_config::find_file(global.config.as_deref(), &environment);
    let resolved = Source { file, environment, listen: None }.resolve().map_err(|error| failed(&error))?;
    let snapshot =
        resolved.snapshot(&Metrics::new(env!("CARGO_PKG_VERSION")), None).map_err(|error| failed(&error))?;
    let answer = explain(Arc::new(snapshot), body(args)?).map_err(|error| failed(&error))?;
    if output.json { Ok(output.json(&answer)?) } else { print(&answer, output) }
}

/// Where this request would go.
///
/// # Errors
/// A request that is wrong, a model that nobody serves.
pub fn explain(snapshot: Arc<Snapshot>, body: Bytes) -> Result<Value, GatewayError> {
    let call = Arc::new(call(snapshot, body)?);
    let plan = route::plan(&call)?;
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, (route, target))| {
            let attempt = Attempt {
                call: call.clone(),
                target: target.clone(),
                route: route.clone(),
                ordinal: 0,
                pass: Pass::default(),
            };
            step(index, attempt)
        })
        .collect();
    let cache = plan.route.cache.map(|ttl| json!({ "mode": "exact", "ttl_seconds": ttl.as_secs() }));
    Ok(json!({ "model": call.request.model(), "route": &*plan.route.name, "cache": cache, "targets": steps }))
}

/// The body of the file, else a tiny one for `--model`.
fn body(args: &ExplainArgs) -> Result<Bytes, CommandError> {
    let text = match args.file.as_deref() {
        None => {
            json!({ "model": args.model, "messages": [{ "role": "user", "content": "hello" }] }).to_string()
        }
        Some(file) if file.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| CommandError::Failed(format!("{}: {error}", file.display())))?,
    };
    match &args.model {
        None => Ok(text.into()),
        Some(model) => {
            let mut value: Value = serde_json::from_str(&text)
                .map_err(|error| CommandError::Failed(format!("the request is not JSON: {error}")))?;
            value["model"] = json!(model);
            Ok(value.to_string().into())
        }
    }
}

fn call(snapshot: Arc<Snapshot>, body: Bytes) -> Result<Call, weir_adapter::InvalidRequest> {
    let front = weir_adapter_openai::front();
    let (head, ()) = http::Request::post("/v1/chat/completions").body(()).unwrap_or_default().into_parts();
    let peek = front.peek(Operation::Chat, &head, &body)?;
    let request = Request::new(Operation::Chat, front, body, peek);
    let facts = Facts {
        request_id: "explain".into(),
        started_at: crate::clock::unix_micros(),
        key: "local".into(),
        team: None,
        user: None,
        session: None,
        tags: Vec::new(),
        dialect: "openai".into(),
        operation: "chat".into(),
        route: request.model().into(),
        stream: request.peek().stream,
    };
    Ok(Call {
        id: CallId::now(),
        caller: Arc::new(Caller::named("local", Role::Admin)),
        request,
        snapshot,
        facts: Arc::new(facts),
        options: CallOptions::default(),
        hops: 0,
        started: Instant::now(),
        progress: Mutex::new(Progress::default()),
    })
}

fn step(index: usize, attempt: Attempt) -> Value {
    let (target, route) = (attempt.target.clone(), attempt.route.clone());
    let mut step = json!({
        "order": index + 1,
        "provider": &*target.provider.name,
        "model": &*target.model,
        "because": if index == 0 { "the first target".to_owned() } else { format!("asked when those before it failed ({})", route.name) },
        "price_id": target.price().map(|price| price.id().to_string()),
    });
    match encode::encode(attempt) {
        Err(error) => step["rejected"] = json!(error.to_string()),
        Ok(encoded) => {
            step["path"] = json!(encoded.wire.path);
            step["dropped_params"] = json!(encoded.wire.dropped);
            step["most_usd"] = json!(encoded.bound().ok().map(|bound| NanoUsd(bound).to_string()));
            if let WireBody::Bytes(bytes) = &encoded.wire.body {
                step["body"] = serde_json::from_slice(bytes).unwrap_or(Value::Null);
            }
        }
    }
    step
}

fn print(answer: &Value, output: &mut Output<'_>) -> Result<(), CommandError> {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    output.text(&format!(
        "`{}` is served by the route `{}`\n\n",
        text(&answer["model"]),
        text(&answer["route"])
    ))?;
    if let Some(seconds) = answer["cache"]["ttl_seconds"].as_u64() {
        output.text(&format!("an equal request within {seconds} seconds gets the stored answer\n\n"))?;
    }
    for step in answer["targets"].as_array().into_iter().flatten() {
        output.text(&format!(
            "{}. {}/{}: {}\n",
            step["order"],
            text(&step["provider"]),
            text(&step["model"]),
            text(&step["because"])
        ))?;
        if let Some(why) = step["rejected"].as_str() {
            output.text(&format!("   rejected: {why}\n"))?;
            continue;
        }
        let most = step["most_usd"]
            .as_str()
            .map_or_else(|| "not known".to_owned(), |most| format!("{most} USD at most"));
        output.text(&format!("   price {}, cost {most}\n", text(&step["price_id"])))?;
        let dropped: Vec<&str> =
            step["dropped_params"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !dropped.is_empty() {
            output.text(&format!("   can't honour {}\n", dropped.join(", ")))?;
        }
        output.text(&format!("   POST {} {}\n", text(&step["path"]), step["body"]))?;
    }
    Ok(())
}
