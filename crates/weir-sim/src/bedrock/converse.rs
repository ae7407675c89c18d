//! `/model/{id}/converse` and `/converse-stream`.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{ask, check, error, frame};
use crate::answer::{Answer, Finish, ToolCall, answer as think};
use crate::reply::{Outcome, Pieces, Reply};
use crate::route::Endpoint;
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Tokens in one piece of text.
const TOKENS_PER_PIECE: usize = 2;
/// Bytes in one piece of arguments.
const BYTES_PER_PIECE: usize = 7;

/// Answers a conversation.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    let known = match &call.state.config.models {
        Some(models) => models.iter().any(|model| model == call.model),
        None => call.model.contains('.') && !call.model.contains("does-not-exist"),
    };
    if !known {
        return Err(error::invalid("The provided model identifier is invalid."));
    }
    check::request(call)?;
    let ask = ask::read(call);
    let answer = think(&ask, call.model, call.behaviour, 0);
    let mut billed = ask.input;
    billed.output = answer.tokens.output + answer.tokens.reasoning;
    let reported = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    let shows = !call.behaviour.has("no_usage");
    let usage = shows.then(|| usage(&reported));
    let reply = match call.endpoint {
        Endpoint::Converse(_, true) => stream(call, &answer, usage),
        _ => {
            let message = json!({"role": "assistant", "content": content(call, &answer)});
            let mut whole = json!({"output": {"message": message}, "stopReason": stop_reason(call, &answer), "metrics": {"latencyMs": 7}});
            if let Some(usage) = usage {
                whole["usage"] = usage;
            }
            Reply::json(&whole)
        }
    };
    let mut reply = reply.costing(shows.then_some(reported), billed);
    reply.headers.push(("x-amzn-requestid", format!("00000000-0000-4000-8000-{:012x}", call.number)));
    Ok(reply)
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "inputTokens": tokens.input,
        "outputTokens": tokens.all_output(),
        "totalTokens": tokens.all_input() + tokens.all_output(),
        "cacheReadInputTokens": tokens.cache_read,
        "cacheWriteInputTokens": tokens.cache_write_5m,
    })
}

fn stop_reason(call: &Call<'_>, answer: &Answer) -> Value {
    if let Some(word) = &call.behaviour.finish {
        return json!(word);
    }
    json!(match &answer.finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal => "guardrail_intervened",
        Finish::Filtered => "content_filtered",
    })
}

/// What seals the reasoning; Claude's models sign, the others don't.
fn signature(call: &Call<'_>, answer: &Answer) -> Option<String> {
    call.model.contains("claude").then(|| call.state.signer.seal(check::REASONING, &answer.reasoning))
}

fn redacted(call: &Call<'_>, answer: &Answer) -> Option<String> {
    let sealed = || base64::engine::general_purpose::STANDARD.encode(&answer.reasoning);
    call.behaviour.has("redacted").then(sealed)
}

fn content(call: &Call<'_>, answer: &Answer) -> Vec<Value> {
    let mut content = Vec::new();
    if let Some(data) = redacted(call, answer) {
        content.push(json!({"reasoningContent": {"redactedContent": data}}));
    } else if !answer.reasoning.is_empty() {
        let mut text = json!({"text": answer.reasoning});
        if let Some(signature) = signature(call, answer) {
            text["signature"] = json!(signature);
        }
        content.push(json!({"reasoningContent": {"reasoningText": text}}));
    }
    if !answer.text.is_empty() {
        content.push(json!({"text": answer.text}));
    }
    for (index, made) in answer.calls.iter().enumerate() {
        content.push(
            json!({"toolUse": {"toolUseId": id(call, index), "name": made.name, "input": made.object()}}),
        );
    }
    content
}

fn id(call: &Call<'_>, index: usize) -> String {
    format!("tooluse_{:016x}{:06x}", hash((call.number, index, "call")), call.number % 0x100_0000)
}

/// Writes the events of one stream.
struct Writer {
    pieces: Pieces,
    block: u64,
}

impl Writer {
    fn add(&mut self, name: &str, mut payload: Value, tokens: u64) {
        // Padding against those who watch lengths.
        payload["p"] = json!("abcdefghijklmnop"[..1 + usize::try_from(self.block).unwrap_or(0) % 15]);
        self.pieces.add(frame::event(name, &payload), tokens);
    }

    fn delta(&mut self, delta: Value, tokens: u64) {
        self.add("contentBlockDelta", json!({"contentBlockIndex": self.block, "delta": delta}), tokens);
    }

    fn stop(&mut self) {
        self.add("contentBlockStop", json!({"contentBlockIndex": self.block}), 0);
        self.block += 1;
    }

    fn call(&mut self, id: &str, made: &ToolCall) {
        let start = json!({"toolUse": {"toolUseId": id, "name": made.name}});
        self.add(
            "contentBlockStart",
            json!({"contentBlockIndex": self.block, "start": start}),
            tokens::count(&made.name),
        );
        let mut rest = made.arguments.as_str();
        let mut tokens = tokens::count(rest);
        while !rest.is_empty() {
            let mut end = BYTES_PER_PIECE.min(rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            self.delta(json!({"toolUse": {"input": &rest[..end]}}), std::mem::take(&mut tokens));
            rest = &rest[end..];
        }
        self.stop();
    }
}

fn stream(call: &Call<'_>, answer: &Answer, usage: Option<Value>) -> Reply {
    let mut writer = Writer { pieces: Pieces::default(), block: 0 };
    writer.add("messageStart", json!({"role": "assistant"}), 0);
    if redacted(call, answer).is_some() {
        // Each piece is a blob of its own.
        let bytes = answer.reasoning.as_bytes();
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        for (piece, tokens) in [(head, answer.tokens.reasoning), (tail, 0)] {
            let piece = base64::engine::general_purpose::STANDARD.encode(piece);
            writer.delta(json!({"reasoningContent": {"redactedContent": piece}}), tokens);
        }
        writer.stop();
    } else if !answer.reasoning.is_empty() {
        for (text, tokens) in grouped(&answer.reasoning) {
            writer.delta(json!({"reasoningContent": {"text": text}}), tokens);
        }
        if let Some(signature) = signature(call, answer) {
            writer.delta(json!({"reasoningContent": {"signature": signature}}), 0);
        }
        writer.stop();
    }
    if !answer.text.is_empty() {
        for (text, tokens) in grouped(&answer.text) {
            writer.delta(json!({"text": text}), tokens);
        }
        writer.stop();
    }
    for (index, made) in answer.calls.iter().enumerate() {
        writer.call(&id(call, index), made);
    }
    if !call.behaviour.has("no_finish") {
        writer.add("messageStop", json!({"stopReason": stop_reason(call, answer)}), 0);
    }
    if let Some(usage) = usage {
        let metadata = json!({"usage": usage, "metrics": {"latencyMs": 7}, "p": "abc"});
        writer.pieces.add_usage(frame::event("metadata", &metadata));
    }
    Reply::stream("application/vnd.amazon.eventstream", writer.pieces.finish())
}

fn grouped(text: &str) -> Vec<(String, u64)> {
    let pieces: Vec<&str> = tokens::pieces(text).collect();
    pieces.chunks(TOKENS_PER_PIECE).map(|group| (group.concat(), group.len() as u64)).collect()
}
