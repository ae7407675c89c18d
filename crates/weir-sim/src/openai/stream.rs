//! Chat completions as a stream of chunks.

use serde_json::{Value, json};

use super::chat::{self, Heading};
use super::usage;
use crate::answer::{Answer, Finish};
use crate::behaviour::ArgsMode;
use crate::reply::{Pieces, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// The streamed answer.
pub(super) fn reply(
    call: &Call<'_>,
    heading: &Heading,
    answers: &[Answer],
    reported: &Tokens,
    billed: Tokens,
) -> Reply {
    let asked = call.body["stream_options"]["include_usage"] == true;
    let behaviour = call.behaviour;
    let in_finish = behaviour.has("usage_in_finish");
    let everywhere = behaviour.has("usage_every_chunk");
    let shows = (asked || in_finish || everywhere) && !behaviour.has("no_usage");
    let padding = call.body["stream_options"]["include_obfuscation"] != false;
    let mut writer = Writer { call, heading, pieces: Pieces::default(), asked, padding, usage: None };
    if everywhere && shows {
        writer.usage = Some(usage::chat(reported));
    }
    for (index, answer) in answers.iter().enumerate() {
        writer.choice(index, answer, shows.then(|| usage::chat(reported)).filter(|_| in_finish));
    }
    if shows && !in_finish && !everywhere {
        let chunk = writer.chunk(json!([]), Some(usage::chat(reported)));
        writer.pieces.add_usage(event(call, &chunk));
    }
    if !behaviour.has("no_done") {
        writer.pieces.add(ending(call, "data: [DONE]"), 0);
    }
    let mut pieces = writer.pieces.finish();
    if everywhere
        && shows
        && let Some(last) = pieces.iter_mut().rev().nth(1)
    {
        last.usage = true;
    }
    if behaviour.has("role_only") {
        pieces.truncate(1);
    }
    Reply::stream("text/event-stream; charset=utf-8", pieces).costing(shows.then_some(*reported), billed)
}

struct Writer<'a> {
    call: &'a Call<'a>,
    heading: &'a Heading,
    pieces: Pieces,
    /// Whether the client asked for usage: then ordinary chunks have `usage: null`.
    asked: bool,
    padding: bool,
    /// Usage in each chunk.
    usage: Option<Value>,
}

impl Writer<'_> {
    fn choice(&mut self, index: usize, answer: &Answer, finish_usage: Option<Value>) {
        self.opening(index, answer);
        if self.call.behaviour.has("reasoning") {
            for piece in tokens::pieces(&answer.reasoning) {
                self.delta(index, json!({"reasoning_content": piece}), 1);
            }
        }
        let field = if answer.finish == Finish::Refusal { "refusal" } else { "content" };
        // Reasoning that is not shown is billed all the same, with the first thing that is.
        let mut hidden =
            if self.call.behaviour.has("reasoning") { 0 } else { tokens::count(&answer.reasoning) };
        if chat::wants_audio(self.call.body) {
            self.audio(index, answer);
            hidden = 0;
        } else {
            self.text(index, answer, field, &mut hidden);
        }
        for (at, tool_call) in answer.calls.iter().enumerate() {
            let id = chat::call_id(self.call, index, at);
            let first = at == 0 && answer.text.is_empty();
            self.tool_call(index, at, &id, &tool_call.name, &tool_call.arguments, first);
        }
        let finish = chat::finish_reason(self.call, answer);
        let with_usage = finish_usage.is_some();
        let choice = self.choice_value(index, json!({}), None, finish);
        let chunk = self.chunk(json!([choice]), finish_usage);
        let bytes = event(self.call, &chunk);
        if with_usage {
            self.pieces.add_usage(bytes);
        } else {
            self.pieces.add(bytes, hidden);
        }
    }

    fn text(&mut self, index: usize, answer: &Answer, field: &str, hidden: &mut u64) {
        for piece in tokens::pieces(&answer.text) {
            let logprobs = (self.call.body["logprobs"] == true)
                .then(|| chat::logprobs(piece, chat::top_logprobs(self.call.body)));
            self.delta_with(index, json!({field: piece}), 1 + std::mem::take(hidden), logprobs, Value::Null);
        }
    }

    /// A spoken answer: an id, then the transcript with sound beside it, then when it expires.
    fn audio(&mut self, index: usize, answer: &Answer) {
        let id = format!("audio_{:016x}", hash(self.call.number));
        self.delta(index, json!({"audio": {"id": id, "transcript": ""}}), 0);
        for piece in tokens::pieces(&answer.text) {
            // A token of text and two of sound.
            self.delta(index, json!({"audio": {"transcript": piece, "data": chat::sound(piece)}}), 3);
        }
        self.delta(index, json!({"audio": {"expires_at": self.heading.created + 3600}}), 0);
    }

    /// The first chunk: the role, and with a tool call nothing else, since that comes with the call.
    fn opening(&mut self, index: usize, answer: &Answer) {
        let delta = if answer.finish == Finish::Refusal {
            json!({"role": "assistant", "content": null, "refusal": ""})
        } else if answer.text.is_empty() && !answer.calls.is_empty() {
            return;
        } else {
            json!({"role": "assistant", "content": "", "refusal": null})
        };
        self.delta(index, delta, 0);
    }

    fn tool_call(&mut self, index: usize, at: usize, id: &str, name: &str, arguments: &str, first: bool) {
        let mode = self.call.behaviour.args;
        let opening = if mode == ArgsMode::One { arguments } else { "" };
        let mut delta = json!({"tool_calls": [{"index": at, "id": id, "type": "function",
            "function": {"name": name, "arguments": opening}}]});
        if first {
            delta["role"] = json!("assistant");
            delta["content"] = Value::Null;
        }
        self.delta(index, delta, tokens::count(name) + tokens::count(opening));
        let parts: Vec<&str> = match mode {
            ArgsMode::One => Vec::new(),
            ArgsMode::Final => vec![arguments],
            ArgsMode::Many => slices(arguments, 5),
        };
        let mut left = if mode == ArgsMode::One { 0 } else { tokens::count(arguments) };
        let last = parts.len().saturating_sub(1);
        for (position, part) in parts.into_iter().enumerate() {
            let tokens = if position == last { left } else { left.min(1) };
            left -= tokens;
            let delta = json!({"tool_calls": [{"index": at, "function": {"arguments": part}}]});
            self.delta(index, delta, tokens);
        }
    }

    fn delta(&mut self, index: usize, delta: Value, tokens: u64) {
        self.delta_with(index, delta, tokens, None, Value::Null);
    }

    fn delta_with(
        &mut self,
        index: usize,
        delta: Value,
        tokens: u64,
        logprobs: Option<Value>,
        finish: Value,
    ) {
        let choice = self.choice_value(index, delta, logprobs, finish);
        let chunk = self.chunk(json!([choice]), self.usage.clone());
        self.pieces.add(event(self.call, &chunk), tokens);
    }

    fn choice_value(&self, index: usize, delta: Value, logprobs: Option<Value>, finish: Value) -> Value {
        json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish})
    }

    fn chunk(&self, choices: Value, usage: Option<Value>) -> Value {
        let mut chunk = json!({
            "id": self.heading.id,
            "object": "chat.completion.chunk",
            "created": self.heading.created,
            "model": self.heading.model,
            "service_tier": self.heading.service_tier,
            "system_fingerprint": "fp_51e1070cf2",
            "choices": choices,
        });
        if usage.is_some() || self.asked {
            chunk["usage"] = json!(usage);
        }
        if self.padding {
            let seed = hash((self.call.number, choices_hash(&chunk)));
            let length = usize::try_from(seed % 16).unwrap_or(0);
            chunk["obfuscation"] = json!(&format!("{seed:016x}")[..length]);
        }
        chunk
    }
}

fn choices_hash(chunk: &Value) -> u64 {
    hash(chunk["choices"].to_string())
}

/// Cuts text into parts of at most `size` bytes, at character borders.
pub(crate) fn slices(text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = size.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

pub(super) fn event(call: &Call<'_>, chunk: &Value) -> String {
    ending(call, &format!("data: {chunk}"))
}

pub(super) fn ending(call: &Call<'_>, line: &str) -> String {
    let end = if call.behaviour.has("crlf") { "\r\n\r\n" } else { "\n\n" };
    format!("{line}{end}")
}
