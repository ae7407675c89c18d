//! Messages as events.

use serde_json::{Value, json};

use super::PING;
use super::messages::{self, Block};
use crate::answer::{Answer, Finish};
use crate::behaviour::ArgsMode;
use crate::openai;
use crate::reply::{Pieces, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// The streamed answer.
pub(super) fn reply(call: &Call<'_>, answer: &Answer, blocks: &[Block], reported: &Tokens) -> Reply {
    let mut writer = Writer { pieces: Pieces::default(), seed: hash(call.number) };
    let shows = !call.behaviour.has("no_usage");
    writer.start(call, reported, shows);
    for (index, block) in blocks.iter().enumerate() {
        writer.block(call, index, block);
    }
    if blocks.is_empty() {
        writer.pieces.add(PING, 0);
    }
    writer.end(call, answer, reported, shows);
    let mut pieces = writer.pieces.finish();
    if call.behaviour.has("role_only") {
        pieces.truncate(1);
    } else if call.behaviour.has("no_done") {
        pieces.pop();
    }
    Reply::stream("text/event-stream; charset=utf-8", pieces)
}

struct Writer {
    pieces: Pieces,
    seed: u64,
}

impl Writer {
    fn start(&mut self, call: &Call<'_>, reported: &Tokens, shows: bool) {
        let mut message = json!({
            "model": messages::model_name(call),
            "id": messages::message_id(call),
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
        });
        if shows {
            // The output count is a placeholder here; the true one comes at the end.
            message["usage"] = messages::usage(&Tokens { output: 1 + self.seed % 8, ..*reported });
        }
        self.add("message_start", json!({"type": "message_start", "message": message}), 0);
    }

    fn block(&mut self, call: &Call<'_>, index: usize, block: &Block) {
        let value = &block.value;
        let opening = match value["type"].as_str() {
            Some("thinking") => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Some("text") => json!({"type": "text", "text": ""}),
            Some("tool_use") => {
                let mut opening = value.clone();
                opening["input"] = json!({});
                opening
            }
            _ => value.clone(),
        };
        let tokens = match value["name"].as_str() {
            Some(name) => tokens::count(name),
            None => block.hidden,
        };
        self.add(
            "content_block_start",
            json!({"type": "content_block_start", "index": index, "content_block": opening}),
            tokens,
        );
        if index == 0 {
            self.pieces.add(PING, 0);
        }
        match value["type"].as_str() {
            Some("thinking") => {
                for piece in value["thinking"].as_str().map(tokens::pieces).into_iter().flatten() {
                    self.delta(index, json!({"type": "thinking_delta", "thinking": piece}), 1);
                }
                self.delta(index, json!({"type": "signature_delta", "signature": value["signature"]}), 0);
            }
            Some("text") => {
                for piece in value["text"].as_str().map(tokens::pieces).into_iter().flatten() {
                    self.delta(index, json!({"type": "text_delta", "text": piece}), 1);
                }
            }
            Some("tool_use") => self.arguments(call, index, &block.arguments),
            _ => {}
        }
        self.add("content_block_stop", json!({"type": "content_block_stop", "index": index}), 0);
    }

    /// The first piece is always empty; empty arguments get no other.
    fn arguments(&mut self, call: &Call<'_>, index: usize, arguments: &str) {
        let mut left = tokens::count(arguments);
        self.delta(index, json!({"type": "input_json_delta", "partial_json": ""}), 0);
        if arguments == "{}" {
            self.pieces.add(PING, left);
            return;
        }
        let size = if call.behaviour.args == ArgsMode::Many { 7 } else { usize::MAX };
        let parts = openai::slices(arguments, size);
        let last = parts.len().saturating_sub(1);
        for (position, part) in parts.into_iter().enumerate() {
            let tokens = if position == last { left } else { left.min(1) };
            left -= tokens;
            self.delta(index, json!({"type": "input_json_delta", "partial_json": part}), tokens);
        }
    }

    fn end(&mut self, call: &Call<'_>, answer: &Answer, reported: &Tokens, shows: bool) {
        let mut delta = json!({
            "stop_reason": messages::stop_reason(call, answer),
            "stop_sequence": messages::stop_sequence(answer),
        });
        if answer.finish == Finish::Refusal {
            delta["stop_details"] = json!({"type": "refusal", "category": null, "explanation": null});
        }
        let mut event = json!({"type": "message_delta", "delta": delta});
        if shows {
            event["usage"] = json!({
                "input_tokens": reported.input,
                "cache_creation_input_tokens": reported.cache_write_5m + reported.cache_write_1h,
                "cache_read_input_tokens": reported.cache_read,
                "output_tokens": reported.output,
            });
            let bytes = self.event("message_delta", &event);
            self.pieces.add_usage(bytes);
        } else {
            self.add("message_delta", event, 0);
        }
        self.add("message_stop", json!({"type": "message_stop"}), 0);
    }

    fn delta(&mut self, index: usize, delta: Value, tokens: u64) {
        self.add(
            "content_block_delta",
            json!({"type": "content_block_delta", "index": index, "delta": delta}),
            tokens,
        );
    }

    fn add(&mut self, name: &str, data: Value, tokens: u64) {
        let bytes = self.event(name, &data);
        self.pieces.add(bytes, tokens);
    }

    /// An event with some spaces before its last brace, as the vendor pads them.
    fn event(&mut self, name: &str, data: &Value) -> String {
        self.seed = hash(self.seed);
        let padding = usize::try_from(self.seed % 16).unwrap_or(0);
        let data = data.to_string();
        let open = data.strip_suffix('}').unwrap_or(&data);
        format!("event: {name}\ndata: {open}{:padding$}}}\n\n", "")
    }
}
