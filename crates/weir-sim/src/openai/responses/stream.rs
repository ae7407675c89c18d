//! A response as typed events, numbered from 0.

use serde_json::{Value, json};

use super::{ending, pieces, response, usage};
use crate::answer::Answer;
use crate::reply::{Pieces, Reply};
use crate::service::Call;
use crate::tokens::{self, Tokens};

/// The streamed answer.
pub(super) fn reply(
    call: &Call<'_>,
    answer: &Answer,
    items: &[Value],
    reported: Option<Tokens>,
    billed: Tokens,
) -> Reply {
    let mut writer = Writer { pieces: Pieces::default(), number: 0 };
    let begun = response(call, "in_progress", &Value::Null, &[], None);
    writer.event("response.created", json!({"response": begun}), 0);
    writer.event("response.in_progress", json!({"response": begun}), 0);
    // Reasoning is not shown, and billed with what follows it.
    let mut hidden = tokens::count(&answer.reasoning);
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str() {
            Some("message") => writer.message(at, item, &mut hidden),
            Some("function_call") => writer.function_call(at, item, &mut hidden),
            _ => {
                writer.event("response.output_item.added", json!({"output_index": at, "item": item}), 0);
                writer.event("response.output_item.done", json!({"output_index": at, "item": item}), 0);
            }
        }
    }
    let (status, details) = ending(answer);
    let whole = response(call, status, &details, items, reported.as_ref().map(usage));
    let name = format!("response.{status}");
    let data = writer.data(&name, json!({"response": whole}));
    match reported {
        Some(_) => writer.pieces.add_final(data, hidden),
        None => writer.pieces.add(data, hidden),
    }
    Reply::stream("text/event-stream; charset=utf-8", writer.pieces.finish()).costing(reported, billed)
}

struct Writer {
    pieces: Pieces,
    number: u64,
}

impl Writer {
    fn data(&mut self, name: &str, mut data: Value) -> String {
        data["type"] = json!(name);
        data["sequence_number"] = json!(self.number);
        self.number += 1;
        format!("event: {name}\ndata: {data}\n\n")
    }

    fn event(&mut self, name: &str, data: Value, tokens: u64) {
        let data = self.data(name, data);
        self.pieces.add(data, tokens);
    }

    fn message(&mut self, at: usize, item: &Value, hidden: &mut u64) {
        let id = &item["id"];
        let mut open = item.clone();
        open["status"] = json!("in_progress");
        open["content"] = json!([]);
        self.event("response.output_item.added", json!({"output_index": at, "item": open}), 0);
        let part = &item["content"][0];
        let refused = part["type"] == "refusal";
        let (field, kind) = if refused { ("refusal", "refusal") } else { ("text", "output_text") };
        let mut empty = part.clone();
        empty[field] = json!("");
        let place = json!({"item_id": id, "output_index": at, "content_index": 0});
        let with = |more: Value| {
            let mut all = place.clone();
            all.as_object_mut()
                .into_iter()
                .for_each(|all| all.extend(more.as_object().cloned().unwrap_or_default()));
            all
        };
        self.event("response.content_part.added", with(json!({"part": empty})), 0);
        let text = part[field].as_str().unwrap_or_default();
        for piece in pieces(text) {
            let delta = match refused {
                true => json!({"delta": piece}),
                false => json!({"delta": piece, "logprobs": []}),
            };
            self.event(&format!("response.{kind}.delta"), with(delta), 1 + std::mem::take(hidden));
        }
        let done = match refused {
            true => json!({"refusal": text}),
            false => json!({"text": text, "logprobs": []}),
        };
        self.event(&format!("response.{kind}.done"), with(done), 0);
        self.event("response.content_part.done", with(json!({"part": part})), 0);
        self.event("response.output_item.done", json!({"output_index": at, "item": item}), 0);
    }

    fn function_call(&mut self, at: usize, item: &Value, hidden: &mut u64) {
        let id = &item["id"];
        let mut open = item.clone();
        open["status"] = json!("in_progress");
        open["arguments"] = json!("");
        let name = tokens::count(item["name"].as_str().unwrap_or_default());
        self.event(
            "response.output_item.added",
            json!({"output_index": at, "item": open}),
            name + std::mem::take(hidden),
        );
        let arguments = item["arguments"].as_str().unwrap_or_default();
        for piece in pieces(arguments) {
            self.event(
                "response.function_call_arguments.delta",
                json!({"item_id": id, "output_index": at, "delta": piece}),
                1,
            );
        }
        let done = json!({"item_id": id, "output_index": at, "name": item["name"], "arguments": arguments});
        self.event("response.function_call_arguments.done", done, 0);
        self.event("response.output_item.done", json!({"output_index": at, "item": item}), 0);
    }
}
