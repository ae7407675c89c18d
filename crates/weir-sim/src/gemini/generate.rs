//! `generateContent`, and `streamGenerateContent` as events or as one JSON array.

use serde_json::{Value, json};

use super::parts::{self, Part};
use super::{ask, check, contents, models, normal};
use crate::answer::{Answer, Finish, answer as think};
use crate::ask::Ask;
use crate::reply::{Outcome, Pieces, Reply};
use crate::route::Endpoint;
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Answers a generation request.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    models::check(call, "generateContent")?;
    let body = normal::request(call.body);
    check::request(call, &body)?;
    contents::check(call, &body)?;
    let ask = ask::read(call, &body);
    if call.behaviour.has("blocked") {
        return Ok(blocked(call, &ask));
    }
    let count = body["generationConfig"]["candidateCount"].as_u64().unwrap_or(1);
    let answers: Vec<Answer> =
        (0..count).map(|index| think(&ask, call.model, call.behaviour, index)).collect();
    let billed = answers.iter().fold(ask.input, |sum, answer| Tokens {
        output: sum.output + answer.tokens.output,
        reasoning: sum.reasoning + answer.tokens.reasoning,
        ..sum
    });
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let shows = !call.behaviour.has("no_usage");
    let reply = match call.endpoint {
        Endpoint::StreamGenerate(_, events) => stream(call, &body, &answers, &reported, *events),
        _ => {
            let candidates: Vec<Value> = answers
                .iter()
                .enumerate()
                .map(|(index, answer)| {
                    let parts =
                        parts::whole(call, &body, answer).into_iter().map(|part| part.value).collect();
                    let mut candidate = candidate(index, parts, Some(finish_reason(call, answer)), answer);
                    if body["generationConfig"]["responseLogprobs"] == true {
                        let (average, result) = logprobs(&answer.text);
                        candidate["avgLogprobs"] = average;
                        candidate["logprobsResult"] = result;
                    }
                    candidate
                })
                .collect();
            Reply::json(&envelope(call, json!(candidates), shows.then(|| usage(&reported, true))))
        }
    };
    Ok(Reply { content_type: content_type(call), ..reply }.costing(shows.then_some(reported), billed))
}

fn content_type(call: &Call<'_>) -> &'static str {
    match call.endpoint {
        Endpoint::StreamGenerate(_, true) => "text/event-stream",
        _ => "application/json; charset=UTF-8",
    }
}

/// A prompt that was blocked: no candidates.
fn blocked(call: &Call<'_>, ask: &Ask) -> Reply {
    let billed = ask.input;
    let mut body = envelope(call, Value::Null, Some(usage(&billed, false)));
    if let Some(object) = body.as_object_mut() {
        object.remove("candidates");
    }
    body["promptFeedback"] = json!({"blockReason": "SAFETY", "safetyRatings": ratings(true)});
    let reply = match call.endpoint {
        Endpoint::StreamGenerate(_, events) => {
            let mut pieces = Pieces::default();
            pieces.add_usage(framed(&body, *events, true, true));
            Reply::stream(content_type(call), pieces.finish())
        }
        _ => Reply { content_type: content_type(call), ..Reply::json(&body) },
    };
    reply.costing(Some(billed), billed)
}

fn envelope(call: &Call<'_>, candidates: Value, usage: Option<Value>) -> Value {
    let mut body = json!({"candidates": candidates});
    if let Some(usage) = usage {
        body["usageMetadata"] = usage;
    }
    body["modelVersion"] = json!(call.model);
    body["responseId"] = json!(format!("sim{:016x}", hash((call.number, "response"))));
    body
}

fn candidate(index: usize, parts: Vec<Value>, finish: Option<Value>, answer: &Answer) -> Value {
    let blocked = matches!(answer.finish, Finish::Refusal | Finish::Filtered);
    let content = if blocked {
        json!({})
    } else if parts.is_empty() {
        // The limit was reached while thinking: a role, and no parts.
        json!({"role": "model"})
    } else {
        json!({"parts": parts, "role": "model"})
    };
    let mut candidate = json!({"content": content});
    if let Some(finish) = finish.filter(|finish| !finish.is_null()) {
        candidate["finishReason"] = finish;
        if answer.finish == Finish::ToolCalls {
            candidate["finishMessage"] = json!("Model generated function call(s).");
        }
        if blocked {
            candidate["safetyRatings"] = ratings(true);
        }
    }
    candidate["index"] = json!(index);
    candidate
}

fn ratings(blocked: bool) -> Value {
    json!([
        {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": if blocked { "HIGH" } else { "NEGLIGIBLE" }, "blocked": blocked},
        {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "NEGLIGIBLE"},
        {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
        {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "probability": "NEGLIGIBLE"},
    ])
}

fn finish_reason(call: &Call<'_>, answer: &Answer) -> Value {
    if call.behaviour.has("no_finish") {
        return Value::Null;
    }
    if let Some(word) = &call.behaviour.finish {
        return json!(word);
    }
    json!(match answer.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Refusal | Finish::Filtered => "SAFETY",
    })
}

/// Usage as Gemini has it: the prompt holds the cached tokens, the candidates do not hold the thoughts.
fn usage(tokens: &Tokens, with_output: bool) -> Value {
    let prompt = tokens.all_input();
    let output = if with_output { tokens.output } else { 0 };
    let mut usage = json!({"promptTokenCount": prompt});
    if output > 0 {
        usage["candidatesTokenCount"] = json!(output);
    }
    usage["totalTokenCount"] = json!(prompt + output + tokens.reasoning);
    usage["promptTokensDetails"] = details(tokens);
    if tokens.cache_read > 0 {
        usage["cachedContentTokenCount"] = json!(tokens.cache_read);
        usage["cacheTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": tokens.cache_read}]);
    }
    if tokens.reasoning > 0 {
        usage["thoughtsTokenCount"] = json!(tokens.reasoning);
    }
    usage["serviceTier"] = json!("standard");
    usage
}

/// The prompt by modality.
pub(super) fn details(tokens: &Tokens) -> Value {
    let text = tokens.input + tokens.cached();
    let all = [("TEXT", text), ("IMAGE", tokens.image_in), ("AUDIO", tokens.audio_in)];
    let details = all.iter().filter(|(_, count)| *count > 0);
    details.map(|(modality, count)| json!({"modality": modality, "tokenCount": count})).collect()
}

fn stream(call: &Call<'_>, body: &Value, answers: &[Answer], reported: &Tokens, events: bool) -> Reply {
    let mut pieces = Pieces::default();
    let shows = !call.behaviour.has("no_usage");
    let mut first = true;
    // What the client has seen so far, for the usage of each chunk.
    let mut seen = Tokens { output: 0, ..*reported };
    let mut hidden: u64 = answers.iter().map(|answer| answer.tokens.reasoning).sum();
    for (index, answer) in answers.iter().enumerate() {
        let last_answer = index + 1 == answers.len();
        let blocked = matches!(answer.finish, Finish::Refusal | Finish::Filtered);
        let mut parts: Vec<Part> = if blocked { Vec::new() } else { parts::chunks(call, body, answer) };
        if !answer.calls.is_empty() {
            // After calls comes a last chunk with nothing but the finish.
            parts.push(Part { value: json!({"text": ""}), tokens: 0 });
        }
        let count = parts.len().max(1);
        let mut parts = parts.into_iter();
        for position in 0..count {
            let part = parts.next();
            let last = position + 1 == count;
            let thought = part.as_ref().is_some_and(|part| part.value["thought"] == true);
            let new = part.as_ref().map_or(0, |part| part.tokens);
            if thought {
                hidden = hidden.saturating_sub(new);
            } else {
                seen.output += new;
            }
            let now = if last && last_answer { *reported } else { seen };
            let finish = last.then(|| finish_reason(call, answer));
            let values = part.map(|part| part.value).into_iter().collect();
            let candidate = candidate(index, values, finish, answer);
            let chunk = envelope(call, json!([candidate]), shows.then(|| usage(&now, position > 0 || last)));
            let bytes = framed(&chunk, events, first, last && last_answer);
            let tokens = if thought { new } else { new + std::mem::take(&mut hidden) };
            first = false;
            if last && last_answer && shows {
                pieces.add_final(bytes, tokens);
            } else {
                pieces.add(bytes, tokens);
            }
        }
    }
    let mut pieces = pieces.finish();
    if call.behaviour.has("role_only") {
        pieces.truncate(1);
    }
    Reply::stream(content_type(call), pieces)
}

/// One chunk as an event, or as an element of the array.
fn framed(chunk: &Value, events: bool, first: bool, last: bool) -> String {
    if events {
        return format!("data: {chunk}\r\n\r\n");
    }
    let pretty = serde_json::to_string_pretty(chunk).unwrap_or_default();
    let (open, close) = (if first { "[" } else { ",\r\n" }, if last { "\n]\n" } else { "\r\n" });
    format!("{open}{pretty}{close}")
}

fn logprobs(text: &str) -> (Value, Value) {
    let chosen: Vec<Value> = tokens::pieces(text)
        .map(|token| json!({"token": token, "tokenId": hash(token) % 100_000, "logProbability": -0.25}))
        .collect();
    let top: Vec<Value> = chosen.iter().map(|candidate| json!({"candidates": [candidate]})).collect();
    (json!(-0.25), json!({"chosenCandidates": chosen, "topCandidates": top}))
}
