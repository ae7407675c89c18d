//! The pieces of one choice, put together. What may be a piece of text or the whole of it is known by name; for a
//! member that is not known, two values that differ can't be put together, and the answer is not stored.

use serde_json::{Map, Value};
use weir_adapter::Operation;

type Object = Map<String, Value>;

/// Texts that come in pieces.
const TEXTS: [&str; 4] = ["content", "refusal", "reasoning_content", "reasoning"];

/// Adds one piece of a choice.
pub(super) fn choice(operation: Operation, whole: &mut Object, piece: Object) -> Option<()> {
    for (name, value) in piece {
        match (name.as_str(), value) {
            ("index", _) => {}
            ("delta", Value::Object(piece)) if operation == Operation::Chat => {
                delta(object(whole, "message")?, piece)?;
            }
            ("text", Value::String(text)) => append(whole, "text", text)?,
            ("logprobs", Value::Object(piece)) => lists(object(whole, "logprobs")?, piece)?,
            (_, Value::Null) => drop(whole.entry(name).or_insert(Value::Null)),
            ("finish_reason" | "native_finish_reason", value) => drop(whole.insert(name, value)),
            (_, value) => same(whole, name, value)?,
        }
    }
    Some(())
}

/// The choice as whole answers have it.
pub(super) fn finish(operation: Operation, mut choice: Object) -> Option<Value> {
    if operation == Operation::Chat {
        let message = object(&mut choice, "message")?;
        message.entry("role").or_insert_with(|| "assistant".into());
        message.entry("content").or_insert(Value::Null);
        if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
            calls.sort_by_key(|call| call["index"].as_u64());
            calls
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|call| drop(call.shift_remove("index")));
        }
    }
    Some(Value::Object(choice))
}

fn delta(message: &mut Object, piece: Object) -> Option<()> {
    for (name, value) in piece {
        match (name.as_str(), value) {
            (_, Value::Null) => drop(message.entry(name).or_insert(Value::Null)),
            ("role", value) => drop(message.entry(name).or_insert(value)),
            (text, Value::String(value)) if TEXTS.contains(&text) => append(message, text, value)?,
            ("tool_calls", Value::Array(pieces)) => {
                let calls = array(message, "tool_calls")?;
                pieces.into_iter().try_for_each(|piece| indexed(calls, piece, call))?;
            }
            ("reasoning_details", Value::Array(pieces)) => {
                let details = array(message, "reasoning_details")?;
                pieces.into_iter().try_for_each(|piece| detail(details, piece))?;
            }
            ("function_call", Value::Object(piece)) => function(object(message, "function_call")?, piece)?,
            ("audio", Value::Object(piece)) => audio(object(message, "audio")?, piece)?,
            (_, Value::Array(pieces)) => array(message, &name)?.extend(pieces),
            (_, value) => same(message, name, value)?,
        }
    }
    Some(())
}

/// Adds a piece to the element with its `index`.
fn indexed(list: &mut Vec<Value>, piece: Value, add: fn(&mut Object, Object) -> Option<()>) -> Option<()> {
    let Value::Object(piece) = piece else { return None };
    let index = piece.get("index").and_then(Value::as_u64)?;
    let at = list.iter().position(|element| element["index"].as_u64() == Some(index)).unwrap_or_else(|| {
        list.push(Value::Object(Object::new()));
        list.len() - 1
    });
    add(list[at].as_object_mut()?, piece)
}

fn call(whole: &mut Object, piece: Object) -> Option<()> {
    for (name, value) in piece {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("function", Value::Object(piece)) => function(object(whole, "function")?, piece)?,
            ("id" | "type", Value::String(text)) if text.is_empty() => {}
            (_, value) => same(whole, name, value)?,
        }
    }
    Some(())
}

fn function(whole: &mut Object, piece: Object) -> Option<()> {
    for (name, value) in piece {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("arguments", Value::String(text)) => append(whole, "arguments", text)?,
            ("name", Value::String(text)) if text.is_empty() => {}
            (_, value) => same(whole, name, value)?,
        }
    }
    Some(())
}

/// Pieces with the same index (and of the same type) are one; what has none stands for itself.
fn detail(details: &mut Vec<Value>, piece: Value) -> Option<()> {
    let twin = |other: &&mut Value| {
        piece["index"].is_u64() && other["index"] == piece["index"] && other["type"] == piece["type"]
    };
    let Some(Value::Object(whole)) = details.iter_mut().rev().find(twin) else {
        details.push(piece);
        return Some(());
    };
    let Value::Object(piece) = piece else { return None };
    for (name, value) in piece {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("text" | "summary" | "data", Value::String(text)) => append(whole, &name, text)?,
            (_, value) => same(whole, name, value)?,
        }
    }
    Some(())
}

fn audio(whole: &mut Object, piece: Object) -> Option<()> {
    for (name, value) in piece {
        match (name.as_str(), value) {
            ("data" | "transcript", Value::String(text)) => append(whole, &name, text)?,
            (_, value) => drop(whole.insert(name, value)),
        }
    }
    Some(())
}

/// Lists in pieces, such as log probabilities.
fn lists(whole: &mut Object, piece: Object) -> Option<()> {
    for (name, value) in piece {
        match value {
            Value::Null => drop(whole.entry(name).or_insert(Value::Null)),
            Value::Array(pieces) => array(whole, &name)?.extend(pieces),
            value => same(whole, name, value)?,
        }
    }
    Some(())
}

fn append(whole: &mut Object, name: &str, text: String) -> Option<()> {
    match whole.get_mut(name) {
        Some(Value::String(all)) => all.push_str(&text),
        None | Some(Value::Null) => drop(whole.insert(name.to_owned(), text.into())),
        Some(_) => return None,
    }
    Some(())
}

/// A member that does not come in pieces: it may be repeated.
fn same(whole: &mut Object, name: String, value: Value) -> Option<()> {
    match whole.get(&name) {
        None | Some(Value::Null) => drop(whole.insert(name, value)),
        Some(there) if *there == value => {}
        Some(_) => return None,
    }
    Some(())
}

fn object<'w>(whole: &'w mut Object, name: &str) -> Option<&'w mut Object> {
    if whole.get(name).is_none_or(Value::is_null) {
        whole.insert(name.to_owned(), Value::Object(Object::new()));
    }
    whole.get_mut(name)?.as_object_mut()
}

fn array<'w>(whole: &'w mut Object, name: &str) -> Option<&'w mut Vec<Value>> {
    if whole.get(name).is_none_or(Value::is_null) {
        whole.insert(name.to_owned(), Value::Array(Vec::new()));
    }
    whole.get_mut(name)?.as_array_mut()
}
