//! Chat completions.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::models::{self, Kind};
use super::{ask, chat_check, error, stream, usage};
use crate::answer::{Answer, Finish, answer as think};
use crate::ask::Ask;
use crate::reply::{Outcome, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};
use crate::truth::now_us;

/// What all chunks and the whole answer share.
pub(super) struct Heading {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) service_tier: String,
}

/// Answers a chat request.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    let body = call.body;
    if !body.is_object() {
        return Err(error::invalid("We could not parse the JSON body of your request.", None, None));
    }
    if call.model.is_empty() {
        return Err(error::invalid("you must provide a model parameter", None, None));
    }
    let kind = models::kind(call, call.model).ok_or_else(|| error::unknown_model(call.model))?;
    match kind {
        Kind::Chat | Kind::Reasoning => {}
        Kind::Completions | Kind::Embeddings => {
            let message = "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?";
            return Err(error::wrong_endpoint(message));
        }
    }
    chat_check::check(body, kind, call.state.config.strict_fields)?;
    let ask = ask::read(call, kind);
    let count = body["n"].as_u64().unwrap_or(1);
    let answers: Vec<Answer> =
        (0..count).map(|index| think(&ask, call.model, call.behaviour, index)).collect();
    let audio = wants_audio(body);
    let billed = bill(&ask, &answers, audio);
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let heading = Heading {
        id: format!("chatcmpl-{:016x}{:08x}", hash((ask.seed, call.number)), call.number),
        created: now_us() / 1_000_000,
        model: models::dated(call.model).to_owned(),
        service_tier: tier(call),
    };
    if body["stream"] == true {
        return Ok(stream::reply(call, &heading, &answers, &reported, billed).in_tier(&heading.service_tier));
    }
    let choices: Vec<Value> =
        answers.iter().enumerate().map(|(index, answer)| choice(call, index, answer, audio)).collect();
    let mut whole = json!({
        "id": heading.id,
        "object": "chat.completion",
        "created": heading.created,
        "model": heading.model,
        "choices": choices,
    });
    let shows = !call.behaviour.has("no_usage");
    if shows {
        whole["usage"] = usage::chat(&reported);
    }
    whole["service_tier"] = json!(heading.service_tier);
    whole["system_fingerprint"] = json!("fp_51e1070cf2");
    Ok(Reply::json(&whole).costing(shows.then_some(reported), billed).in_tier(&heading.service_tier))
}

/// The tier that serves the call: what was asked, as a rule.
fn tier(call: &Call<'_>) -> String {
    let asked = call.body["service_tier"].as_str().filter(|tier| *tier != "auto");
    call.behaviour.tier.as_deref().or(asked).unwrap_or("default").to_owned()
}

/// Whether the answer is to be spoken too.
pub(super) fn wants_audio(body: &Value) -> bool {
    body["modalities"].as_array().is_some_and(|modalities| modalities.iter().any(|m| m == "audio"))
}

fn bill(ask: &Ask, answers: &[Answer], audio: bool) -> Tokens {
    let mut tokens = ask.input;
    for answer in answers {
        tokens.output += answer.tokens.output;
        tokens.reasoning += answer.tokens.reasoning;
        if audio {
            tokens.audio_out += 2 * answer.tokens.output;
        }
    }
    tokens
}

fn choice(call: &Call<'_>, index: usize, answer: &Answer, audio: bool) -> Value {
    let mut message = Map::new();
    message.insert("role".into(), json!("assistant"));
    let silent =
        answer.text.is_empty() && !answer.calls.is_empty() || audio || answer.finish == Finish::Refusal;
    message.insert("content".into(), if silent { Value::Null } else { json!(answer.text) });
    if call.behaviour.has("reasoning") {
        message.insert("reasoning_content".into(), json!(answer.reasoning));
    }
    if !answer.calls.is_empty() {
        let calls: Vec<Value> = answer
            .calls
            .iter()
            .enumerate()
            .map(|(at, tool_call)| {
                json!({"id": call_id(call, index, at), "type": "function",
                    "function": {"name": tool_call.name, "arguments": tool_call.arguments}})
            })
            .collect();
        message.insert("tool_calls".into(), json!(calls));
    }
    message.insert(
        "refusal".into(),
        if answer.finish == Finish::Refusal { json!(answer.text) } else { Value::Null },
    );
    if audio {
        message.insert("audio".into(), spoken(call, answer));
    }
    message.insert("annotations".into(), json!([]));
    let logprobs = if call.body["logprobs"] == true {
        logprobs(&answer.text, top_logprobs(call.body))
    } else {
        Value::Null
    };
    json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish_reason(call, answer)})
}

/// A spoken answer.
fn spoken(call: &Call<'_>, answer: &Answer) -> Value {
    json!({
        "id": format!("audio_{:016x}", hash(call.number)),
        "data": sound(&answer.text),
        "expires_at": now_us() / 1_000_000 + 3600,
        "transcript": answer.text,
    })
}

/// Not sound, but about as many bytes in base64 as the spoken text would be.
pub(super) fn sound(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(vec![0_u8; 240 * text.len().max(1)])
}

/// The id of a tool call; no two calls of this simulator share one.
pub(super) fn call_id(call: &Call<'_>, choice: usize, index: usize) -> String {
    format!("call_{:016x}{:04x}", hash((call.number, choice, index, "call")), call.number % 0x10000)
}

/// The finish reason, or what the behaviour wants there.
pub(super) fn finish_reason(call: &Call<'_>, answer: &Answer) -> Value {
    if call.behaviour.has("no_finish") {
        return Value::Null;
    }
    if let Some(word) = &call.behaviour.finish {
        return json!(word);
    }
    json!(match answer.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Filtered => "content_filter",
    })
}

pub(super) fn top_logprobs(body: &Value) -> u64 {
    body["top_logprobs"].as_u64().unwrap_or(0)
}

/// Log probabilities of the text's tokens: plausible numbers, the right structure.
pub(super) fn logprobs(text: &str, top: u64) -> Value {
    let content: Vec<Value> = tokens::pieces(text)
        .map(|token| {
            let others: Vec<Value> = (0..top).map(|rank| logprob(token, rank)).collect();
            let mut entry = logprob(token, 0);
            entry["top_logprobs"] = json!(others);
            entry
        })
        .collect();
    json!({"content": content, "refusal": null})
}

fn logprob(token: &str, rank: u64) -> Value {
    let token = if rank == 0 { token.to_owned() } else { format!("{token}{rank}") };
    // Sixteenths are exact in binary, so they print the same everywhere.
    let sixteenths = u32::try_from(hash(&token) % 16).unwrap_or(0) + 64 * u32::try_from(rank).unwrap_or(0);
    json!({"token": token, "logprob": -f64::from(sixteenths) / 16.0, "bytes": token.as_bytes()})
}
