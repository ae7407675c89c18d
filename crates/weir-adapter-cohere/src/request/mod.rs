//! OpenAI's requests in Cohere's form.

mod messages;
mod tools;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use weir_adapter::{EncodeError, EncodeOptions, Request, WireRequest};
use weir_wire::openai;
use weir_wire::openai::chat;

use crate::embeddings;

/// Members of the body that Cohere has beyond OpenAI's.
const OWN: &[&str] =
    &["documents", "citation_options", "safety_mode", "k", "p", "strict_tools", "priority", "raw_prompting"];

/// Members that weir itself acts on, or that say nothing about the answer.
const SILENT: &[&str] = &["models", "provider", "safety_identifier", "usage", "thinking", "top_k"];

/// What a call becomes. See [`weir_adapter::Adapter::encode`].
pub(crate) fn encode(request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    match request.typed()? {
        openai::Request::Chat(request) => chat(&options.with_defaults(request), options),
        openai::Request::Embeddings(request) => embeddings::encode(request, options),
        openai::Request::Completions(_) => {
            Err(EncodeError::unsupported("model", "this provider has chat, but no text completions"))
        }
    }
}

fn chat(request: &chat::Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.into());
    body.insert("messages".to_owned(), messages::write(&request.messages, &mut dropped)?);
    if let Some(stream) = request.stream {
        body.insert("stream".to_owned(), stream.into());
    }
    sampling(request, options, &mut body, &mut dropped);
    tools::write(request, &mut body, &mut dropped)?;
    response_format(request, &mut body)?;
    thinking(request, &mut body);
    own(request, &mut body, &mut dropped);
    unknown_to_cohere(request, &mut dropped);
    let bytes = serde_json::to_vec(&body).expect("string keys and numbers that JSON has");
    let mut wire = WireRequest::json("/v2/chat", Bytes::from(bytes));
    wire.dropped = dropped;
    Ok(wire)
}

fn sampling(
    request: &chat::Request,
    options: &EncodeOptions<'_>,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<String>,
) {
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let limit = request.output_limit();
    put("max_tokens", options.changed_limit(limit).or(limit).map(Value::from));
    put("temperature", request.temperature.clone().map(Value::from));
    put("p", request.top_p.clone().map(Value::from));
    put("k", request.extra.get("top_k").cloned());
    put("seed", request.seed.clone().map(Value::from));
    put("stop_sequences", request.stop.as_ref().map(|stop| json!(stop.as_slice())));
    // Cohere's penalties go from 0 to 1.
    for (name, penalty) in
        [("frequency_penalty", &request.frequency_penalty), ("presence_penalty", &request.presence_penalty)]
    {
        let Some(penalty) = penalty else { continue };
        let value = penalty.as_f64().unwrap_or(0.0);
        if !(0.0..=1.0).contains(&value) {
            dropped.push(name.to_owned());
        }
        put(
            name,
            Some(if value < 0.0 {
                0.into()
            } else if value > 1.0 {
                1.into()
            } else {
                penalty.clone().into()
            }),
        );
    }
}

fn response_format(request: &chat::Request, body: &mut Map<String, Value>) -> Result<(), EncodeError> {
    let Some(format) = &request.response_format else { return Ok(()) };
    let written = match format.kind.as_str() {
        "text" | "" => return Ok(()),
        "json_object" => {
            // Cohere's own form has the schema here.
            let mut written = json!({"type": "json_object"});
            if let Some(schema) = format.extra.get("schema") {
                written["json_schema"] = schema.clone();
            }
            written
        }
        "json_schema" => {
            let schema = format.json_schema.as_ref().and_then(|named| named.schema.clone());
            json!({"type": "json_object", "json_schema": schema.unwrap_or_else(|| json!({}))})
        }
        other => {
            return Err(EncodeError::unsupported(
                "response_format.type",
                format!("this provider knows `text`, `json_object` and `json_schema`, not `{other}`"),
            ));
        }
    };
    body.insert("response_format".to_owned(), written);
    Ok(())
}

/// `thinking` in Cohere's form, from Anthropic's or OpenAI's way to say it.
fn thinking(request: &chat::Request, body: &mut Map<String, Value>) {
    let written = match (request.extra.get("thinking"), request.reasoning_effort.as_deref()) {
        (Some(thinking), _) => {
            let off = thinking["type"] == "disabled";
            let mut written = json!({"type": if off { "disabled" } else { "enabled" }});
            let budget = thinking.get("token_budget").or_else(|| thinking.get("budget_tokens"));
            if let Some(budget) = budget.filter(|_| !off) {
                written["token_budget"] = budget.clone();
            }
            written
        }
        (None, Some("none")) => json!({"type": "disabled"}),
        (None, Some(_)) => json!({"type": "enabled"}),
        (None, None) => return,
    };
    body.insert("thinking".to_owned(), written);
}

/// Cohere's own members, and a report of what nobody here knows.
fn own(request: &chat::Request, body: &mut Map<String, Value>, dropped: &mut Vec<String>) {
    for (name, value) in &request.extra {
        if OWN.contains(&name.as_str()) {
            body.insert(name.clone(), value.clone());
        } else if !SILENT.contains(&name.as_str()) && !value.is_null() && value != false {
            dropped.push(name.clone());
        }
    }
}

/// OpenAI's parameters that Cohere has not.
fn unknown_to_cohere(request: &chat::Request, dropped: &mut Vec<String>) {
    let some = [
        ("n", request.n.is_some_and(|n| n != 1)),
        (
            "logit_bias",
            request.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|o| !o.is_empty())),
        ),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some()),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
        (
            "modalities",
            request.modalities.as_ref().is_some_and(|kinds| kinds.iter().any(|kind| kind != "text")),
        ),
        ("audio", request.audio.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        (
            "service_tier",
            request.service_tier.as_deref().is_some_and(|tier| tier != "auto" && tier != "default"),
        ),
    ];
    dropped.extend(some.into_iter().filter(|(_, sent)| *sent).map(|(name, _)| name.to_owned()));
}
