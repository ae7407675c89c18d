//! `weir explain`: where a request would go, what would be sent, and what it may cost. Nothing is sent.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use weir_adapter::{Operation, WireBody};
use weir_catalog::NanoUsd;
use weir_config::Environment;
use weir_gateway::call::{Attempt, Call, CallOptions, Caller, Pass, Progress, Role};
use weir_gateway::layers::{budget, encode, limit, route};
use weir_gateway::limits::{Ask, Limiter, Standing};
use weir_gateway::routing::explain::{Considered, considered};
use weir_gateway::{GatewayError, Metrics, Snapshot};
use weir_ledger::budget::{Budget, BudgetState, Scope};
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
    let answer = explain(Arc::new(snapshot), body(args)?, None).map_err(|error| failed(&error))?;
    if output.json { Ok(output.json(&answer)?) } else { print(&answer, output) }
}

/// What is known beside the configuration, where a gateway runs.
pub struct Live<'l> {
    /// Whom the call is to come from.
    pub caller: Arc<Caller>,
    /// How full limits are.
    pub limiter: &'l Limiter,
    /// How full budgets are.
    pub budgets: Vec<BudgetState>,
}

/// Where this request would go, and why not elsewhere. Without a running gateway nothing is known of health, limits
/// and budgets: then it is as if it had just been started.
///
/// # Errors
/// A request that is wrong, a model that nobody serves.
pub fn explain(snapshot: Arc<Snapshot>, body: Bytes, live: Option<&Live<'_>>) -> Result<Value, GatewayError> {
    let caller =
        live.map_or_else(|| Arc::new(Caller::named("local", Role::Admin)), |live| live.caller.clone());
    let call = Arc::new(call(snapshot, body, caller)?);
    let (route, all) = considered(&call)?;
    let (asked, others): (Vec<Considered>, Vec<Considered>) =
        all.into_iter().partition(|one| one.place.is_some());
    let cache = route.cache.map(|ttl| json!({ "mode": "exact", "ttl_seconds": ttl.as_secs() }));
    let mut answer = json!({
        "model": call.request.model(),
        "route": &*route.name,
        "live": live.is_some(),
        "caller": &*call.caller.name,
        "cache": cache,
        "targets": asked.iter().enumerate().map(|(index, one)| step(index, &call, one, live)).collect::<Vec<_>>(),
        "not_asked": others.iter().map(|one| other(one, live)).collect::<Vec<_>>(),
    });
    if let Some(live) = live {
        answer["limits"] = limits(&call, live).into();
        answer["budgets"] = budgets(&call, live).into();
    }
    Ok(answer)
}

/// How the limits stand that the call meets.
fn limits(call: &Call, live: &Live<'_>) -> Vec<Value> {
    let asks = limit::asks(call);
    let standings = live.limiter.look(&asks);
    let one = |(ask, standing): (&Ask, Standing)| {
        json!({
            "scope": ask.scope.name(),
            "name": &*ask.name,
            "kind": ask.kind.name(),
            "limit": standing.limit,
            "remaining": standing.remaining,
            "takes": ask.amount,
            "reset_ms": standing.reset.as_millis() as u64,
        })
    };
    asks.iter().zip(standings).map(one).collect()
}

/// How the budgets stand that would pay for the call.
fn budgets(call: &Call, live: &Live<'_>) -> Vec<Value> {
    let set = call.snapshot.spending.set();
    let paying = budget::paying(call, &set);
    let one = |budget: &Arc<Budget>| {
        let state = live.budgets.iter().find(|state| state.budget.id == budget.id);
        json!({
            "scope": budget.scope.kind(),
            "name": budget.scope.name(),
            "limit_usd": NanoUsd(budget.limit_nanousd).to_string(),
            "free_usd": state.map(|state| NanoUsd(state.free_nanousd).to_string()),
            "hard": budget.hard,
        })
    };
    paying.iter().map(one).collect()
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

fn call(snapshot: Arc<Snapshot>, body: Bytes, caller: Arc<Caller>) -> Result<Call, GatewayError> {
    let front = weir_adapter_openai::front();
    let (head, ()) = http::Request::post("/v1/chat/completions").body(()).unwrap_or_default().into_parts();
    let (request, preferences) = crate::extract::request::read(&front, Operation::Chat, &head, body)?;
    let user = request.peek().user.as_deref().map(Into::into);
    let facts = Facts {
        request_id: "explain".into(),
        started_at: crate::clock::unix_micros(),
        key: caller.name.clone(),
        team: caller.team.clone(),
        user,
        session: None,
        tags: Vec::new(),
        dialect: "openai".into(),
        operation: "chat".into(),
        route: request.model().into(),
        stream: request.peek().stream,
    };
    let strategy = route::suffix(&snapshot, request.model()).1;
    Ok(Call {
        id: CallId::now(),
        caller,
        request,
        snapshot,
        facts: Arc::new(facts),
        options: CallOptions { preferences, strategy, ..CallOptions::default() },
        hops: 0,
        started: Instant::now(),
        progress: Mutex::new(Progress::default()),
    })
}

fn because(one: &Considered) -> String {
    one.reasons.iter().map(|reason| reason.message.as_str()).collect::<Vec<_>>().join("; ")
}

fn other(one: &Considered, live: Option<&Live<'_>>) -> Value {
    let mut value = json!({
        "provider": &*one.target.provider.name,
        "model": &*one.target.model,
        "route": &*one.route.name,
        "because": because(one),
        "reasons": one.reasons,
        "expected_usd": one.expected_nanousd.map(|cost| NanoUsd(cost).to_string()),
    });
    // A provider's own budgets.
    let budgets = live.iter().flat_map(|live| &live.budgets);
    let spent = budgets.filter(|state| {
        matches!(&state.budget.scope, Scope::Provider(name) if **name == *one.target.provider.name)
            && state.free_nanousd <= 0
    });
    if spent.count() > 0 {
        let reason = json!({ "code": "budget", "message": "the budget of its provider is spent" });
        value["because"] = json!(format!("{}; the budget of its provider is spent", because(one)));
        value["reasons"].as_array_mut().into_iter().for_each(|reasons| reasons.push(reason.clone()));
    }
    value
}

fn step(index: usize, call: &Arc<Call>, one: &Considered, live: Option<&Live<'_>>) -> Value {
    let mut step = other(one, live);
    step["order"] = json!(index + 1);
    step["price_id"] = json!(one.target.price().map(|price| price.id().to_string()));
    let attempt = Attempt {
        call: call.clone(),
        target: one.target.clone(),
        route: one.route.clone(),
        ordinal: 0,
        instead: None,
        script: None,
        pass: Pass::default(),
        racer: None,
    };
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
        let expected =
            step["expected_usd"].as_str().map_or_else(String::new, |cost| format!("about {cost} USD, "));
        output.text(&format!("   price {}, cost {expected}{most}\n", text(&step["price_id"])))?;
        let dropped: Vec<&str> =
            step["dropped_params"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !dropped.is_empty() {
            output.text(&format!("   can't honour {}\n", dropped.join(", ")))?;
        }
        output.text(&format!("   POST {} {}\n", text(&step["path"]), step["body"]))?;
    }
    let others = answer["not_asked"].as_array().map_or(&[][..], Vec::as_slice);
    for other in others {
        let (provider, model) = (text(&other["provider"]), text(&other["model"]));
        output.text(&format!("not asked: {provider}/{model}: {}\n", text(&other["because"])))?;
    }
    Ok(())
}
