//! Legacy completions.

use serde_json::{Value, json};

use super::models::{self, Kind};
use super::{ask, chat_check, error, stream, usage};
use crate::answer::{Answer, Finish, answer as think};
use crate::ask::Ask;
use crate::reply::{Outcome, Pieces, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};
use crate::truth::now_us;

/// Fields that exist.
const FIELDS: [&str; 18] = [
    "model",
    "prompt",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

/// Answers a completions request.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    let body = call.body;
    if call.model.is_empty() {
        return Err(error::invalid("you must provide a model parameter", None, None));
    }
    let demo = call.state.config.models.is_some();
    match models::kind(call, call.model) {
        None => return Err(error::unknown_model(call.model)),
        Some(Kind::Completions) => {}
        Some(Kind::Chat) if demo || matches!(call.model, "echo" | "story" | "tools" | "flaky") => {}
        Some(_) => {
            let message = "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?";
            return Err(error::wrong_endpoint(message));
        }
    }
    check(call)?;
    let prompts = prompts(&body["prompt"])?;
    let count = body["n"].as_u64().unwrap_or(1);
    let mut billed = Tokens::default();
    let mut answers = Vec::new();
    for (text, tokens) in &prompts {
        billed.input += tokens;
        let ask = ask_of(call, text);
        for index in 0..count {
            let mut answer = think(&ask, call.model, call.behaviour, index);
            billed.output += answer.tokens.output;
            if body["echo"] == true {
                answer.text = format!("{text}{}", answer.text);
            }
            answers.push(answer);
        }
    }
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    Ok(reply(call, &answers, reported, billed))
}

fn check(call: &Call<'_>) -> Result<(), crate::reply::Refusal> {
    let body = call.body;
    if call.state.config.strict_fields
        && let Some(unknown) =
            body.as_object().into_iter().flatten().find(|(name, _)| !FIELDS.contains(&name.as_str()))
    {
        return Err(error::unknown_parameter(unknown.0));
    }
    for (name, least, most) in
        [("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0), ("n", 1.0, 128.0), ("logprobs", 0.0, 5.0)]
    {
        chat_check::in_range(body, name, least, most)?;
    }
    if body["max_tokens"].as_i64().is_some_and(|limit| limit < 0) {
        let message = format!(
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 0, but got {} instead.",
            body["max_tokens"]
        );
        return Err(error::invalid(&message, Some("max_tokens"), Some("integer_below_min_value")));
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(error::invalid(message, Some("stream_options"), None));
    }
    Ok(())
}

/// The prompts with their token counts: a string, strings, tokens, or lists of tokens.
fn prompts(prompt: &Value) -> Result<Vec<(String, u64)>, crate::reply::Refusal> {
    let one = |value: &Value| match value {
        Value::String(text) => Some((text.clone(), tokens::count(text))),
        Value::Array(ids) if ids.iter().all(Value::is_u64) => {
            Some((format!("{} tokens", ids.len()), ids.len() as u64))
        }
        _ => None,
    };
    let bad = || error::wrong_type("prompt", "a string, an array of strings, or tokens");
    match prompt {
        Value::Null => Ok(vec![(String::new(), 1)]),
        Value::Array(list) if !list.is_empty() && !list[0].is_u64() => {
            list.iter().map(|value| one(value).ok_or_else(bad)).collect()
        }
        value => Ok(vec![one(value).ok_or_else(bad)?]),
    }
}

fn ask_of(call: &Call<'_>, prompt: &str) -> Ask {
    Ask {
        user_text: prompt.to_owned(),
        seed: hash((prompt, call.body["seed"].as_i64())),
        // 16 is the documented default of this endpoint.
        max_tokens: Some(call.body["max_tokens"].as_u64().unwrap_or(16)),
        stop: ask::stops(&call.body["stop"]),
        ..Ask::default()
    }
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.finish == Finish::Length { "length" } else { "stop" }
}

fn reply(call: &Call<'_>, answers: &[Answer], reported: Tokens, billed: Tokens) -> Reply {
    let id = format!("cmpl-{:016x}", hash((call.number, "completion")));
    let created = now_us() / 1_000_000;
    let model = models::dated(call.model);
    let object = |choices: Value| json!({"id": id, "object": "text_completion", "created": created, "model": model, "choices": choices});
    let choice = |index: usize, text: &str, finish: Value| json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish});
    if call.body["stream"] != true {
        let choices: Vec<Value> = answers
            .iter()
            .enumerate()
            .map(|(index, answer)| {
                let mut choice = choice(index, &answer.text, json!(finish_reason(answer)));
                if call.body["logprobs"].is_u64() {
                    choice["logprobs"] = logprobs(&answer.text);
                }
                choice
            })
            .collect();
        let mut whole = object(json!(choices));
        let shows = !call.behaviour.has("no_usage");
        if shows {
            whole["usage"] = usage::completions(&reported);
        }
        return Reply::json(&whole).costing(shows.then_some(reported), billed);
    }
    let shows = call.body["stream_options"]["include_usage"] == true && !call.behaviour.has("no_usage");
    let mut pieces = Pieces::default();
    for (index, answer) in answers.iter().enumerate() {
        for token in tokens::pieces(&answer.text) {
            let mut chunk = object(json!([choice(index, token, Value::Null)]));
            if shows {
                chunk["usage"] = Value::Null;
            }
            pieces.add(stream::event(call, &chunk), 1);
        }
        let chunk = object(json!([choice(index, "", json!(finish_reason(answer)))]));
        pieces.add(stream::event(call, &chunk), 0);
    }
    if shows {
        let mut chunk = object(json!([]));
        chunk["usage"] = usage::completions(&reported);
        pieces.add_usage(stream::event(call, &chunk));
    }
    if !call.behaviour.has("no_done") {
        pieces.add(stream::ending(call, "data: [DONE]"), 0);
    }
    Reply::stream("text/event-stream; charset=utf-8", pieces.finish())
        .costing(shows.then_some(reported), billed)
}

fn logprobs(text: &str) -> Value {
    let mut offset = 0;
    let mut tokens = Vec::new();
    let mut offsets = Vec::new();
    for token in tokens::pieces(text) {
        tokens.push(token);
        offsets.push(offset);
        offset += token.chars().count();
    }
    let values = vec![-0.25; tokens.len()];
    json!({"tokens": tokens, "token_logprobs": values, "top_logprobs": null, "text_offset": offsets})
}
