//! The Responses API: create, whole and streamed. Nothing is kept, so no earlier response is known.

mod input;
mod stream;

use serde_json::{Map, Value, json};

use super::models::{self, Kind};
use super::{ask, chat, error};
use crate::answer::{Answer, Finish, answer as think};
use crate::reply::{Outcome, Refusal, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};
use crate::truth::now_us;

/// The least that `max_output_tokens` may be.
const LEAST_OUTPUT: u64 = 16;
/// Members that a request may have.
const KNOWN: [&str; 29] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Answers a request.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    let body = call.body;
    if call.model.is_empty() {
        return Err(error::missing("model"));
    }
    let kind = models::kind(call, call.model).ok_or_else(|| error::unknown_model(call.model))?;
    if !matches!(kind, Kind::Chat | Kind::Reasoning) {
        return Err(error::wrong_endpoint("This model is not supported in the v1/responses endpoint."));
    }
    check(call, kind)?;
    let chat_body = input::as_chat(body)?;
    let inner = Call { body: &chat_body, ..*call };
    let ask = ask::read(&inner, kind);
    let answer = think(&ask, call.model, call.behaviour, 0);
    let mut billed = ask.input;
    billed.output += answer.tokens.output;
    billed.reasoning += answer.tokens.reasoning;
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let shows = !call.behaviour.has("no_usage");
    let items = items(call, kind, &answer);
    if body["stream"] == true {
        return Ok(stream::reply(call, &answer, &items, shows.then_some(reported), billed));
    }
    let (status, details) = ending(&answer);
    let whole = response(call, status, &details, &items, shows.then(|| usage(&reported)));
    Ok(Reply::json(&whole).costing(shows.then_some(reported), billed))
}

fn check(call: &Call<'_>, kind: Kind) -> Result<(), Refusal> {
    let body = call.body;
    let mut members = body.as_object().into_iter().flatten();
    if call.state.config.strict_fields
        && let Some((name, _)) = members.find(|(name, _)| !KNOWN.contains(&name.as_str()))
    {
        return Err(error::unknown_parameter(name));
    }
    if let Some(id) = body["previous_response_id"].as_str() {
        let message = format!("Previous response with id '{id}' not found.");
        return Err(error::invalid(
            &message,
            Some("previous_response_id"),
            Some("previous_response_not_found"),
        ));
    }
    if let Some(limit) = body["max_output_tokens"].as_u64().filter(|limit| *limit < LEAST_OUTPUT) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST_OUTPUT}, but got {limit} instead."
        );
        return Err(error::invalid(&message, Some("max_output_tokens"), Some("integer_below_min_value")));
    }
    if kind == Kind::Reasoning && !body["temperature"].is_null() && body["temperature"] != 1 {
        return Err(error::unsupported_parameter("temperature", ""));
    }
    if kind == Kind::Chat && !body["reasoning"]["effort"].is_null() {
        return Err(error::unsupported_parameter("reasoning.effort", ""));
    }
    Ok(())
}

/// What the answer consists of, each in its final state.
fn items(call: &Call<'_>, kind: Kind, answer: &Answer) -> Vec<Value> {
    let id = |prefix: &str, at: usize| format!("{prefix}_{:016x}{at:04x}", hash((call.number, prefix)));
    let mut items = Vec::new();
    if kind == Kind::Reasoning && !answer.reasoning.is_empty() {
        let mut item = json!({"id": id("rs", 0), "type": "reasoning", "summary": []});
        let mut included = call.body["include"].as_array().into_iter().flatten();
        if included.any(|name| name == "reasoning.encrypted_content") {
            item["encrypted_content"] = json!(format!("sealed-{:016x}", hash(&answer.reasoning)));
        }
        items.push(item);
    }
    let status = if answer.finish == Finish::Length { "incomplete" } else { "completed" };
    if !answer.text.is_empty() || answer.calls.is_empty() && answer.finish != Finish::Length {
        let part = match answer.finish {
            Finish::Refusal => json!({"type": "refusal", "refusal": answer.text}),
            _ => json!({"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}),
        };
        items.push(json!({"id": id("msg", 0), "type": "message", "status": status, "role": "assistant", "content": [part]}));
    }
    for (at, tool_call) in answer.calls.iter().enumerate() {
        items.push(json!({"id": id("fc", at), "type": "function_call", "status": status, "call_id": chat::call_id(call, 0, at),
            "name": tool_call.name, "arguments": tool_call.arguments}));
    }
    items
}

/// The status that a response ends in, and why it is not complete.
fn ending(answer: &Answer) -> (&'static str, Value) {
    match answer.finish {
        Finish::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        Finish::Filtered => ("incomplete", json!({"reason": "content_filter"})),
        _ => ("completed", Value::Null),
    }
}

/// The response object.
fn response(call: &Call<'_>, status: &str, details: &Value, items: &[Value], usage: Option<Value>) -> Value {
    let body = call.body;
    let or = |name: &str, default: Value| if body[name].is_null() { default } else { body[name].clone() };
    let mut whole = Map::new();
    let mut put = |name: &str, value: Value| drop(whole.insert(name.to_owned(), value));
    put("id", json!(format!("resp_{:032x}", hash((call.number, "resp")))));
    put("object", json!("response"));
    put("created_at", json!(now_us() / 1_000_000));
    put("status", json!(status));
    put("background", json!(false));
    put("error", Value::Null);
    put("incomplete_details", details.clone());
    put("instructions", body["instructions"].clone());
    put("max_output_tokens", body["max_output_tokens"].clone());
    put("max_tool_calls", Value::Null);
    put("model", json!(models::dated(call.model)));
    put("output", json!(items));
    put("parallel_tool_calls", or("parallel_tool_calls", json!(true)));
    put("previous_response_id", Value::Null);
    put("prompt_cache_key", body["prompt_cache_key"].clone());
    put("reasoning", json!({"effort": body["reasoning"]["effort"], "summary": body["reasoning"]["summary"]}));
    put("safety_identifier", body["safety_identifier"].clone());
    put("service_tier", json!("default"));
    put("store", or("store", json!(true)));
    put("temperature", or("temperature", json!(1.0)));
    put("text", or("text", json!({"format": {"type": "text"}, "verbosity": "medium"})));
    put("tool_choice", or("tool_choice", json!("auto")));
    put("tools", or("tools", json!([])));
    put("top_logprobs", json!(0));
    put("top_p", or("top_p", json!(1.0)));
    put("truncation", or("truncation", json!("disabled")));
    put("usage", usage.unwrap_or(Value::Null));
    put("user", body["user"].clone());
    put("metadata", or("metadata", json!({})));
    Value::Object(whole)
}

fn usage(tokens: &Tokens) -> Value {
    let (input, output) = (tokens.all_input(), tokens.all_output());
    json!({"input_tokens": input, "input_tokens_details": {"cached_tokens": tokens.cache_read}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning}, "total_tokens": input + output})
}

/// The text in pieces of one token.
fn pieces(text: &str) -> Vec<String> {
    tokens::pieces(text).map(str::to_owned).collect()
}
