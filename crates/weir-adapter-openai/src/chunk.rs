//! What native reading and decoding share: a frame's data, usage, and how an answer can end.

use std::borrow::Cow;

use serde_json::{Number, Value};
use weir_adapter::{ErrorKind, Glance, ProviderError};
use weir_wire::framing::sse;
use weir_wire::openai::usage::Usage;

use crate::error;

/// What a frame holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Data<'f> {
    /// Nothing for a reader: a comment, a blank line.
    None,
    /// The end mark.
    Done,
    /// JSON; `at` is where it begins in the frame, where it lies there in one piece.
    Json { json: Cow<'f, [u8]>, at: Option<usize>, error: bool },
    /// JSON that stands there without `data:`: no event, but what a failing server sends.
    Bare(&'f [u8]),
}

/// Looks at a frame.
///
/// # Errors
/// Data that can't be JSON.
pub(crate) fn data(frame: &[u8]) -> Result<Data<'_>, ProviderError> {
    let event = sse::event(frame);
    let failed = event.event == b"error";
    let Some(data) = event.data else {
        return match frame.trim_ascii_start() {
            bare if bare.starts_with(b"{") => Ok(Data::Bare(bare.trim_ascii_end())),
            _ if failed => Err(error::plain(ErrorKind::Server, 502, "the provider broke the stream off")),
            _ => Ok(Data::None),
        };
    };
    match data.trim_ascii() {
        b"" => Ok(Data::None),
        b"[DONE]" => Ok(Data::Done),
        json if json.starts_with(b"{") && json.ends_with(b"}") => {
            let at = match &data {
                Cow::Borrowed(data) => Some(data.as_ptr() as usize - frame.as_ptr() as usize),
                Cow::Owned(_) => None,
            };
            Ok(Data::Json { json: data, at, error: failed })
        }
        text if failed => Err(error::reported(502, &http::HeaderMap::new(), text)),
        _ => Err(ProviderError::nonsense("the provider sent an event that is not JSON")),
    }
}

/// What a reader of a reply that passes through has to do with a frame.
pub(crate) enum Step<'f> {
    /// Nothing: this is what there is to say of it.
    Seen(Glance),
    /// Look at its JSON; as in [`Data::Json`].
    Json { json: Cow<'f, [u8]>, at: Option<usize>, error: bool },
}

/// Looks at a frame of a stream that has said something, if it has `begun`. Notes in `done` that the end mark came:
/// nothing behind it goes on to the client.
///
/// # Errors
/// Data that can't be JSON, errors outside of an event, and an end before anything was said.
pub(crate) fn step<'f>(frame: &'f [u8], begun: bool, done: &mut bool) -> Result<Step<'f>, ProviderError> {
    if *done {
        return Ok(Step::Seen(Glance { withhold: true, ..Glance::default() }));
    }
    match data(frame)? {
        Data::None => Ok(Step::Seen(Glance::default())),
        Data::Done if !begun => Err(ProviderError::empty()),
        Data::Done => {
            *done = true;
            Ok(Step::Seen(Glance::default()))
        }
        Data::Json { json, at, error } => Ok(Step::Json { json, at, error }),
        Data::Bare(json) => Err(error::bare(json)),
    }
}

/// A usage object, read leniently: some hosts add things under OpenAI's names.
pub(crate) fn usage(raw: &[u8]) -> Option<Usage> {
    match serde_json::from_slice(raw) {
        Ok(usage) => usage,
        Err(_) => lenient(serde_json::from_slice(raw).ok()?),
    }
}

/// A usage object that the types do not hold: counts as fractions or texts, `cost` as an object (Perplexity).
pub(crate) fn lenient(mut value: Value) -> Option<Usage> {
    let members = value.as_object_mut()?;
    if let Some(Value::Object(cost)) = members.get("cost") {
        let details = Value::Object(cost.clone());
        match cost.get("total_cost").and_then(Value::as_number).cloned() {
            Some(total) => members.insert("cost".to_owned(), Value::Number(total)),
            None => members.shift_remove("cost"),
        };
        members.insert("cost_details".to_owned(), details);
    } else if members.get("cost").is_some_and(|cost| !cost.is_number()) {
        members.shift_remove("cost");
    }
    whole_counts(members);
    for name in ["prompt_tokens_details", "completion_tokens_details"] {
        match members.get_mut(name) {
            Some(Value::Object(details)) => whole_counts(details),
            Some(_) => drop(members.shift_remove(name)),
            None => {}
        }
    }
    serde_json::from_value(value).ok()
}

fn whole_counts(members: &mut serde_json::Map<String, Value>) {
    for (name, value) in members.iter_mut().filter(|(name, _)| name.ends_with("_tokens")) {
        let _ = name;
        let count = match &*value {
            Value::Number(number) if number.is_u64() => continue,
            Value::Number(number) => {
                number.as_f64().filter(|count| *count >= 0.0).map(|count| count.round() as u64)
            }
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        *value = count.map_or(Value::Null, |count| Value::Number(Number::from(count)));
    }
}

/// OpenAI's word for the reason why an answer ended.
///
/// # Errors
/// A reason that says that it failed.
pub(crate) fn finish(reason: &str) -> Result<Cow<'_, str>, ProviderError> {
    Ok(match reason {
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" => Cow::Borrowed(reason),
        "tool_call" | "tool_use" => Cow::Borrowed("tool_calls"),
        "eos" | "eos_token" | "end_turn" | "stop_sequence" | "" => Cow::Borrowed("stop"),
        "model_length" | "max_tokens" => Cow::Borrowed("length"),
        "insufficient_system_resource" => {
            return Err(error::plain(
                ErrorKind::Overloaded,
                503,
                "the provider ran out of resources within the answer",
            ));
        }
        "error" => {
            return Err(error::plain(ErrorKind::Server, 502, "the provider failed within the answer"));
        }
        other if other.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            let lower = other.to_ascii_lowercase();
            return Ok(Cow::Owned(finish(&lower)?.into_owned()));
        }
        // A word that weir does not know passes: it is not `stop`.
        other => Cow::Borrowed(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_frames() {
        let json = |frame: &'static [u8]| match data(frame).unwrap() {
            Data::Json { json, at, error } => (String::from_utf8(json.into_owned()).unwrap(), at, error),
            other => panic!("{other:?}"),
        };
        assert_eq!(json(b"data: {}\n\n"), ("{}".to_owned(), Some(6), false));
        assert_eq!(json(b"event: error\ndata: {}\n\n"), ("{}".to_owned(), Some(19), true));
        assert_eq!(json(b"data: {\ndata: }\n\n"), ("{\n}".to_owned(), None, false));
        assert_eq!(data(b": OPENROUTER PROCESSING\n\n"), Ok(Data::None));
        assert_eq!(data(b"data:\n\n"), Ok(Data::None));
        assert_eq!(data(b"data: [DONE]\n\n"), Ok(Data::Done));
        assert_eq!(data(b"{\n \"error\": {}\n}\n\n"), Ok(Data::Bare(b"{\n \"error\": {}\n}")));
        assert_eq!(data(b"data: nonsense\n\n").unwrap_err().kind, ErrorKind::Nonsense);
        assert_eq!(data(b"event: error\n\n").unwrap_err().kind, ErrorKind::Server);
        assert_eq!(data(b"event: error\ndata: went wrong\n\n").unwrap_err().error.message, "went wrong");
    }

    #[test]
    fn usage_is_read_leniently() {
        let usage = |json: &str| super::usage(json.as_bytes());
        assert_eq!(usage(r#"{"prompt_tokens":1}"#).unwrap().prompt_tokens, 1);
        let perplexity =
            usage(r#"{"prompt_tokens":2.0,"completion_tokens":"3","cost":{"total_cost":0.5}}"#).unwrap();
        assert_eq!((perplexity.prompt_tokens, perplexity.completion_tokens), (2, 3));
        assert_eq!(perplexity.cost.unwrap().to_string(), "0.5");
        let odd = usage(
            r#"{"prompt_tokens":-1,"cost":"x","prompt_tokens_details":[1],"completion_tokens_details":{"reasoning_tokens":1.5}}"#,
        );
        assert_eq!(odd.unwrap().completion_tokens_details.unwrap().reasoning_tokens, Some(2));
        assert_eq!(usage(r#"{"cost":{}}"#).unwrap().cost, None);
        assert_eq!(usage("null"), None);
        assert_eq!(usage("[1]"), None);
        assert_eq!(usage("{"), None);
    }

    #[test]
    fn reasons_become_openais() {
        for (word, expected) in [
            ("stop", "stop"),
            ("tool_call", "tool_calls"),
            ("eos", "stop"),
            ("model_length", "length"),
            ("STOP", "stop"),
            ("MAX_TOKENS", "length"),
            ("recitation", "recitation"),
        ] {
            assert_eq!(finish(word).unwrap(), expected);
        }
        assert_eq!(finish("insufficient_system_resource").unwrap_err().kind, ErrorKind::Overloaded);
        assert_eq!(finish("error").unwrap_err().kind, ErrorKind::Server);
    }
}
