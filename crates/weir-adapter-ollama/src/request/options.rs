//! `options`: what Ollama calls the parameters of sampling.

use serde_json::{Map, Value, json};
use weir_adapter::EncodeOptions;
use weir_wire::openai::{Extra, chat, completions};

/// Options that clients of OpenAI's form send as members of the body.
const BESIDE: &[&str] = &["top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "num_ctx"];

/// Whether this member of a body is an option, or the object that has them.
pub(super) fn is_one(name: &str) -> bool {
    name == "options" || BESIDE.contains(&name)
}

/// The options of a chat: the client's own, then what it says in OpenAI's names.
pub(super) fn of_chat(request: &chat::Request, options: &EncodeOptions<'_>) -> Map<String, Value> {
    let mut settings = own(&request.extra);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    put("temperature", request.temperature.clone().map(Value::from));
    put("top_p", request.top_p.clone().map(Value::from));
    put("seed", request.seed.clone().map(Value::from));
    put("frequency_penalty", request.frequency_penalty.clone().map(Value::from));
    put("presence_penalty", request.presence_penalty.clone().map(Value::from));
    put("stop", request.stop.as_ref().map(|stop| json!(stop.as_slice())));
    limit(&mut settings, request.output_limit(), options);
    settings
}

/// The options of a text completion, taken out of `extra`.
pub(super) fn of_completion(
    request: &completions::Request,
    extra: &mut Extra,
    options: &EncodeOptions<'_>,
) -> Map<String, Value> {
    let mut settings = own(extra);
    for name in ["temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "stop"] {
        if let Some(value) = extra.remove(name).filter(|value| !value.is_null()) {
            settings.insert(name.to_owned(), value);
        }
    }
    limit(&mut settings, request.max_tokens, options);
    settings
}

fn own(extra: &Extra) -> Map<String, Value> {
    let mut settings = extra.get("options").and_then(Value::as_object).cloned().unwrap_or_default();
    for name in BESIDE {
        if let Some(value) = extra.get(*name).filter(|value| !value.is_null()) {
            settings.insert((*name).to_owned(), value.clone());
        }
    }
    settings
}

/// The most tokens to make. A limit that a budget needs is lowered by the client's own option, never raised.
fn limit(settings: &mut Map<String, Value>, asked: Option<u64>, options: &EncodeOptions<'_>) {
    let option = settings.get("num_predict").and_then(Value::as_u64);
    let most = match (options.changed_limit(asked).or(asked), option) {
        (Some(most), Some(option)) if asked.is_none() => most.min(option),
        (Some(most), _) => most,
        (None, Some(option)) => options.output_cap.map_or(option, |cap| cap.min(option)),
        (None, None) => return,
    };
    settings.insert("num_predict".to_owned(), most.into());
}
