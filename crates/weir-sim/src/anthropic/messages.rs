//! Messages.

use serde_json::{Map, Value, json};

use super::check::{self, Thinking};
use super::{ask, replay, stream};
use crate::answer::{Answer, Finish, answer as think};
use crate::reply::{Outcome, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::Tokens;

/// Answers a messages request.
pub(super) fn answer(call: &Call<'_>) -> Outcome {
    let thinking = check::messages(call)?;
    let ask = ask::read(call, thinking);
    let answer = think(&ask, call.model, call.behaviour, 0);
    let billed = Tokens { output: answer.tokens.output, reasoning: answer.tokens.reasoning, ..ask.input };
    let wire = billed.times(call.behaviour.lie_usage.unwrap_or(1));
    // What Anthropic writes does not tell thinking from other output.
    let reported = Tokens { output: wire.all_output(), reasoning: 0, ..wire };
    let blocks = blocks(call, thinking, &answer);
    let shows = !call.behaviour.has("no_usage");
    if call.body["stream"] == true {
        let reply = stream::reply(call, &answer, &blocks, &reported);
        return Ok(reply.costing(shows.then_some(reported), billed));
    }
    let content: Vec<Value> = blocks.iter().map(|block| block.value.clone()).collect();
    let mut whole = json!({
        "model": model_name(call),
        "id": message_id(call),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason(call, &answer),
        "stop_sequence": stop_sequence(&answer),
    });
    if answer.finish == Finish::Refusal {
        whole["stop_details"] = json!({"type": "refusal", "category": null, "explanation": null});
    }
    if shows {
        whole["usage"] = usage(&reported);
    }
    Ok(Reply::json(&whole).costing(shows.then_some(reported), billed))
}

/// A content block, and how many output tokens it has.
pub(super) struct Block {
    pub(super) value: Value,
    /// Tool arguments as text, perhaps cut short.
    pub(super) arguments: String,
    /// Tokens of thinking that the block does not show.
    pub(super) hidden: u64,
}

impl Block {
    fn new(value: Value) -> Self {
        Self { value, arguments: String::new(), hidden: 0 }
    }
}

fn blocks(call: &Call<'_>, thinking: Thinking, answer: &Answer) -> Vec<Block> {
    let mut blocks = Vec::new();
    if answer.tokens.reasoning > 0 {
        blocks.push(thought(call, thinking, answer));
    }
    if matches!(answer.finish, Finish::Refusal | Finish::Filtered) {
        // A refusal can come with no content at all.
        return Vec::new();
    }
    if !answer.text.is_empty() {
        blocks.push(Block::new(json!({"type": "text", "text": answer.text})));
    }
    for (index, tool_call) in answer.calls.iter().enumerate() {
        let id =
            format!("toolu_01{:016x}{:06x}", hash((call.number, index, "tool")), call.number % 0x100_0000);
        let value = json!({"type": "tool_use", "id": id, "name": tool_call.name, "input": tool_call.object(),
            "caller": {"type": "direct"}});
        blocks.push(Block { value, arguments: tool_call.arguments.clone(), hidden: 0 });
    }
    blocks
}

fn thought(call: &Call<'_>, thinking: Thinking, answer: &Answer) -> Block {
    let signer = &call.state.signer;
    let asked_redacted = call.behaviour.has("redacted");
    if asked_redacted {
        let data = signer.seal(replay::REDACTED, &answer.reasoning);
        let mut block = Block::new(json!({"type": "redacted_thinking", "data": data}));
        block.hidden = answer.tokens.reasoning;
        return block;
    }
    let display = call.body["thinking"]["display"].as_str();
    let omitted = match display {
        Some(display) => display == "omitted",
        None => thinking == Thinking::Adaptive,
    };
    let text = if omitted { "" } else { answer.reasoning.as_str() };
    let signature = signer.seal(replay::THINKING, &format!("{text}\0{}", call.number));
    let mut block = Block::new(json!({"type": "thinking", "thinking": text, "signature": signature}));
    block.hidden = if omitted { answer.tokens.reasoning } else { 0 };
    block
}

/// The whole usage object.
pub(super) fn usage(tokens: &Tokens) -> Value {
    let mut usage = Map::new();
    usage.insert("input_tokens".into(), json!(tokens.input));
    usage.insert("cache_creation_input_tokens".into(), json!(tokens.cache_write_5m + tokens.cache_write_1h));
    usage.insert("cache_read_input_tokens".into(), json!(tokens.cache_read));
    let created = json!({"ephemeral_5m_input_tokens": tokens.cache_write_5m, "ephemeral_1h_input_tokens": tokens.cache_write_1h});
    usage.insert("cache_creation".into(), created);
    usage.insert("output_tokens".into(), json!(tokens.output));
    usage.insert("service_tier".into(), json!("standard"));
    usage.insert("inference_geo".into(), json!("not_available"));
    Value::Object(usage)
}

pub(super) fn message_id(call: &Call<'_>) -> String {
    format!("msg_01{:016x}{:06x}", hash((call.number, "message")), call.number % 0x100_0000)
}

/// The dated name that an alias stands for.
pub(super) fn model_name<'a>(call: &Call<'a>) -> &'a str {
    match call.model {
        "claude-sonnet-4-5" => "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5" => "claude-haiku-4-5-20251001",
        "claude-opus-4-5" => "claude-opus-4-5-20251101",
        "claude-opus-4-1" => "claude-opus-4-1-20250805",
        "claude-sonnet-4-0" => "claude-sonnet-4-20250514",
        "claude-opus-4-0" => "claude-opus-4-20250514",
        other => other,
    }
}

pub(super) fn stop_reason(call: &Call<'_>, answer: &Answer) -> Value {
    if call.behaviour.has("no_finish") {
        return Value::Null;
    }
    if let Some(word) = &call.behaviour.finish {
        return json!(word);
    }
    json!(match answer.finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal | Finish::Filtered => "refusal",
    })
}

pub(super) fn stop_sequence(answer: &Answer) -> Value {
    match &answer.finish {
        Finish::StopSequence(stop) => json!(stop),
        _ => Value::Null,
    }
}
