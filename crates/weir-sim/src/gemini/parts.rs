//! The parts of an answer, with signatures where each generation of models puts them.

use serde_json::{Value, json};

use super::contents::{CALL, TEXT};
use super::models::{self, Generation};
use crate::answer::Answer;
use crate::service::Call;
use crate::state::hash;
use crate::tokens;

/// Tokens in one streamed chunk of text.
const TOKENS_PER_CHUNK: usize = 3;

/// A part, and how many output tokens it has; `hidden` thoughts count with the first.
pub(super) struct Part {
    pub(super) value: Value,
    pub(super) tokens: u64,
}

/// The parts of the whole answer.
pub(super) fn whole(call: &Call<'_>, body: &Value, answer: &Answer) -> Vec<Part> {
    build(call, body, answer, usize::MAX)
}

/// The parts of the streamed answer, text cut into chunks.
pub(super) fn chunks(call: &Call<'_>, body: &Value, answer: &Answer) -> Vec<Part> {
    build(call, body, answer, TOKENS_PER_CHUNK)
}

fn build(call: &Call<'_>, body: &Value, answer: &Answer, per_part: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let thinks = answer.tokens.reasoning > 0;
    if thinks && body["generationConfig"]["thinkingConfig"]["includeThoughts"] == true {
        for (text, tokens) in grouped(&answer.reasoning, per_part) {
            parts.push(Part { value: json!({"text": text, "thought": true}), tokens });
        }
    }
    for (text, tokens) in grouped(&answer.text, per_part) {
        parts.push(Part { value: json!({"text": text}), tokens });
    }
    let three = models::generation(call.model) == Generation::Three;
    for (index, tool_call) in answer.calls.iter().enumerate() {
        let mut function = json!({"name": tool_call.name, "args": tool_call.object()});
        if three && !call.behaviour.has("no_call_id") {
            function["id"] = json!(&format!("{:016x}", hash((call.number, index, "call")))[..8]);
        }
        let mut value = json!({"functionCall": function});
        if index == 0 && thinks {
            let sealed = format!("{}\0{}", tool_call.name, call.number);
            value["thoughtSignature"] = json!(call.state.signer.seal(CALL, &sealed));
        }
        let tokens = tokens::count(&tool_call.name) + tokens::count(&tool_call.arguments);
        parts.push(Part { value, tokens });
    }
    if three && thinks && answer.calls.is_empty() && !answer.text.is_empty() {
        let signature = json!(call.state.signer.seal(TEXT, &call.number.to_string()));
        match parts.last_mut() {
            // Whole: on the text. Streamed: on a last, empty part.
            Some(last) if per_part == usize::MAX => last.value["thoughtSignature"] = signature,
            _ => parts.push(Part { value: json!({"text": "", "thoughtSignature": signature}), tokens: 0 }),
        }
    }
    parts
}

/// The text in groups of so many tokens.
fn grouped(text: &str, per_group: usize) -> Vec<(String, u64)> {
    if per_group == usize::MAX {
        return if text.is_empty() { Vec::new() } else { vec![(text.to_owned(), tokens::count(text))] };
    }
    let pieces: Vec<&str> = tokens::pieces(text).collect();
    pieces.chunks(per_group).map(|group| (group.concat(), group.len() as u64)).collect()
}
