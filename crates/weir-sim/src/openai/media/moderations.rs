//! Moderations: a word of violence is flagged.

use serde_json::{Value, json};

use super::{known, model};
use crate::openai::error;
use crate::reply::{Outcome, Reply};
use crate::service::Call;

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// Answers a moderation request. Nothing is billed.
pub(in crate::openai) fn answer(call: &Call<'_>) -> Outcome {
    model(call, &["omni-moderation", "text-moderation", "mistral-moderation", "moderation", "sim-"])?;
    known(call, &["input"])?;
    let inputs: Vec<String> = match &call.body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) if list.iter().all(Value::is_string) && !list.is_empty() => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        // Parts are one content.
        Value::Array(list) if !list.is_empty() => {
            vec![list.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")]
        }
        _ => return Err(error::missing("input")),
    };
    let results: Vec<Value> = inputs
        .iter()
        .map(|text| {
            let violent = ["kill", "murder", "hurt"].iter().any(|word| text.contains(word));
            let of = |yes: Value, no: Value| -> Value {
                CATEGORIES
                    .iter()
                    .map(|name| {
                        let hit = violent && *name == "violence";
                        ((*name).to_owned(), if hit { yes.clone() } else { no.clone() })
                    })
                    .collect()
            };
            let inputs: Value = CATEGORIES.iter().map(|name| ((*name).to_owned(), json!(["text"]))).collect();
            json!({"flagged": violent, "categories": of(json!(true), json!(false)), "category_scores": of(json!(0.93), json!(0.0001)),
                "category_applied_input_types": inputs})
        })
        .collect();
    Ok(Reply::json(
        &json!({"id": format!("modr-{:08x}", call.number), "model": call.model, "results": results}),
    ))
}
