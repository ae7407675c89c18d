//! The response object: what the request said, repeated, and what came of it.

use serde_json::{Map, Value, json};
use weir_wire::openai::usage::Usage;

use super::tools::{self, Forms};

/// What the answer repeats of the request, with what OpenAI says where the request doesn't.
pub(super) struct Echo {
    members: Map<String, Value>,
    /// What functions of the chat request are called in the answer.
    pub(super) forms: Forms,
}

impl Echo {
    pub(super) fn of(body: &[u8]) -> Echo {
        let asked: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let or = |name: &str, default: Value| match asked.get(name) {
            None | Some(Value::Null) => default,
            Some(value) => value.clone(),
        };
        let mut text = or("text", json!({}));
        if text.get("format").is_none_or(Value::is_null) && text.is_object() {
            text["format"] = json!({"type": "text"});
        }
        let reasoning = &asked["reasoning"];
        let members = json!({
            "background": false,
            "instructions": or("instructions", Value::Null),
            "max_output_tokens": or("max_output_tokens", Value::Null),
            "max_tool_calls": or("max_tool_calls", Value::Null),
            "metadata": or("metadata", json!({})),
            "parallel_tool_calls": or("parallel_tool_calls", true.into()),
            "previous_response_id": or("previous_response_id", Value::Null),
            "prompt_cache_key": or("prompt_cache_key", Value::Null),
            "reasoning": {"effort": reasoning["effort"], "summary": reasoning["summary"]},
            "safety_identifier": or("safety_identifier", Value::Null),
            "service_tier": or("service_tier", "default".into()),
            "store": or("store", true.into()),
            "temperature": or("temperature", Value::Null),
            "text": text,
            "tool_choice": or("tool_choice", "auto".into()),
            "tools": or("tools", json!([])),
            "top_logprobs": or("top_logprobs", 0.into()),
            "top_p": or("top_p", Value::Null),
            "truncation": or("truncation", "disabled".into()),
            "user": or("user", Value::Null),
        });
        let Value::Object(mut members) = members else { unreachable!("an object was written") };
        // What the description doesn't let be null.
        members.retain(|name, value| {
            !value.is_null()
                || !matches!(
                    name.as_str(),
                    "user" | "safety_identifier" | "prompt_cache_key" | "max_tool_calls"
                )
        });
        Echo { members, forms: tools::forms(&asked["tools"]) }
    }

    /// The object.
    pub(super) fn object(&self, head: &Head, state: &State<'_>) -> Value {
        let incomplete = state.incomplete.map(|reason| json!({ "reason": reason }));
        let mut object = json!({
            "id": head.id, "object": "response", "created_at": head.created, "status": state.status,
            "completed_at": (state.status == "completed").then_some(head.created),
            "error": state.error, "incomplete_details": incomplete, "model": head.model, "output": state.output,
        });
        let members = object.as_object_mut().expect("an object was written");
        members.extend(self.members.clone());
        if let Some(counts) = state.usage {
            members.insert("usage".to_owned(), usage(counts));
        }
        object
    }
}

/// What stays the same through an answer.
#[derive(Default)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
}

/// Where an answer stands.
pub(super) struct State<'s> {
    pub(super) status: &'static str,
    pub(super) incomplete: Option<&'static str>,
    pub(super) error: Value,
    pub(super) output: Vec<Value>,
    pub(super) usage: Option<&'s Usage>,
}

/// The counts in the names of the Responses API.
fn usage(usage: &Usage) -> Value {
    let prompt = usage.prompt_tokens_details.clone().unwrap_or_default();
    let completion = usage.completion_tokens_details.clone().unwrap_or_default();
    let mut out = json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": prompt.cached_tokens.unwrap_or(0),
            "cache_write_tokens": prompt.cache_write_tokens.unwrap_or(0),
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": completion.reasoning_tokens.unwrap_or(0)},
        "total_tokens": usage.prompt_tokens.saturating_add(usage.completion_tokens),
    });
    if let Some(cost) = &usage.cost {
        out["cost"] = Value::Number(cost.clone());
    }
    if let Some(details) = usage.extra.get("cost_details") {
        out["cost_details"] = details.clone();
    }
    out
}

/// An annotation of chat in the form of the Responses API, where it has one.
pub(super) fn annotation(annotation: &Value) -> Option<Value> {
    let citation = annotation.get("url_citation")?;
    let number =
        |name: &str| citation.get(name).cloned().filter(Value::is_number).unwrap_or_else(|| 0.into());
    let text = |name: &str| citation[name].as_str().unwrap_or_default().to_owned();
    Some(json!({
        "type": "url_citation", "start_index": number("start_index"), "end_index": number("end_index"),
        "url": text("url"), "title": text("title"),
    }))
}
