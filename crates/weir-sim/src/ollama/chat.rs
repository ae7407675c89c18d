//! `/api/chat` and `/api/generate`, whole and as one object a line.

use serde_json::{Map, Value, json};

use super::{ask, check, known};
use crate::answer::{Answer, Finish, answer as think};
use crate::reply::{Outcome, Pieces, Reply};
use crate::route::Endpoint;
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Tokens in one line of text.
const TOKENS_PER_LINE: usize = 2;
/// When everything was made.
const MOMENT: &str = "2026-11-01T10:00:00.000000Z";

/// Answers a chat or a prompt.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    known(call)?;
    let chat = *call.endpoint == Endpoint::OllamaChat;
    if chat { check::chat(call) } else { check::settings(call) }?;
    let ask = ask::read(call);
    let answer = think(&ask, call.model, call.behaviour, 0);
    let mut billed = ask.input;
    // Ollama counts thoughts as output.
    billed.output = answer.tokens.output + answer.tokens.reasoning;
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let shows = !call.behaviour.has("no_usage");
    let last = last(call, &answer, shows.then_some(&reported));
    let reply = if call.body["stream"] == false {
        let mut whole = line(call, chat, &answer.text, &answer.reasoning, &calls(call, &answer));
        ended(&mut whole, &last);
        Reply { content_type: "application/json; charset=utf-8", ..Reply::json(&whole) }
    } else {
        stream(call, chat, &answer, &last)
    };
    Ok(reply.costing(shows.then_some(reported), billed))
}

fn stream(call: &Call<'_>, chat: bool, answer: &Answer, last: &Map<String, Value>) -> Reply {
    let mut pieces = Pieces::default();
    let written = |line: &Value| format!("{line}\n");
    let open = |mut line: Value| {
        line["done"] = json!(false);
        written(&line)
    };
    for (text, tokens) in grouped(&answer.reasoning) {
        pieces.add(open(line(call, chat, "", &text, &[])), tokens);
    }
    for (text, tokens) in grouped(&answer.text) {
        pieces.add(open(line(call, chat, &text, "", &[])), tokens);
    }
    for (made, told) in answer.calls.iter().zip(calls(call, answer)) {
        let tokens = tokens::count(&made.name) + tokens::count(&made.arguments);
        pieces.add(open(line(call, chat, "", "", &[told])), tokens);
    }
    if !call.behaviour.has("no_done") {
        let mut end = line(call, chat, "", "", &[]);
        ended(&mut end, last);
        pieces.add_usage(written(&end));
    }
    Reply::stream("application/x-ndjson", pieces.finish())
}

/// Adds what the end has beyond the others.
fn ended(line: &mut Value, last: &Map<String, Value>) {
    if let Some(line) = line.as_object_mut() {
        line.extend(last.clone());
    }
}

fn grouped(text: &str) -> Vec<(String, u64)> {
    let pieces: Vec<&str> = tokens::pieces(text).collect();
    pieces.chunks(TOKENS_PER_LINE).map(|group| (group.concat(), group.len() as u64)).collect()
}

fn calls(call: &Call<'_>, answer: &Answer) -> Vec<Value> {
    let one = |(index, made): (usize, &crate::answer::ToolCall)| {
        let mut written =
            json!({"function": {"index": index, "name": made.name, "arguments": made.object()}});
        if !call.behaviour.has("no_call_id") {
            written["id"] = json!(format!("call_{:08x}", hash((call.number, index)) & 0xffff_ffff));
        }
        written
    };
    answer.calls.iter().enumerate().map(one).collect()
}

/// One object without what its end adds.
fn line(call: &Call<'_>, chat: bool, text: &str, thinking: &str, calls: &[Value]) -> Value {
    let mut line = json!({"model": call.model, "created_at": MOMENT});
    let said = if chat {
        line["message"] = json!({"role": "assistant", "content": text});
        &mut line["message"]
    } else {
        line["response"] = json!(text);
        &mut line
    };
    if !thinking.is_empty() {
        said["thinking"] = json!(thinking);
    }
    if !calls.is_empty() {
        said["tool_calls"] = json!(calls);
    }
    line
}

/// What the last object has beyond the others.
fn last(call: &Call<'_>, answer: &Answer, usage: Option<&Tokens>) -> Map<String, Value> {
    let mut last = Map::new();
    last.insert("done".to_owned(), json!(true));
    if !call.behaviour.has("no_finish") {
        let word = if answer.finish == Finish::Length { "length" } else { "stop" };
        let word = call.behaviour.finish.as_deref().unwrap_or(word);
        last.insert("done_reason".to_owned(), json!(word));
    }
    for (name, nanoseconds) in [("total_duration", 171_946_792), ("load_duration", 38_473_250)] {
        last.insert(name.to_owned(), json!(nanoseconds));
    }
    if let Some(usage) = usage {
        last.insert("prompt_eval_count".to_owned(), json!(usage.all_input()));
        last.insert("prompt_eval_duration".to_owned(), json!(27_608_250));
        last.insert("eval_count".to_owned(), json!(usage.all_output()));
        last.insert("eval_duration".to_owned(), json!(105_611_917));
    }
    last
}
