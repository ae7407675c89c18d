//! OpenAI's requests in Ollama's form.

mod messages;
mod options;
mod tools;

use bytes::Bytes;
use serde_json::{Map, Value};
use weir_adapter::{EncodeError, EncodeOptions, Request, WireRequest};
use weir_wire::openai;
use weir_wire::openai::{chat, completions};

use crate::embeddings;

/// Members that weir itself acts on, or that say nothing about the answer.
const SILENT: &[&str] =
    &["models", "provider", "safety_identifier", "usage", "thinking", "think", "keep_alive"];

/// What a call becomes. See [`weir_adapter::Adapter::encode`].
pub(crate) fn encode(request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    match request.typed()? {
        openai::Request::Chat(request) => chat(&options.with_defaults(request), options),
        openai::Request::Completions(request) => completion(request, options),
        openai::Request::Embeddings(request) => embeddings::encode(request, options),
    }
}

fn chat(request: &chat::Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.into());
    body.insert("messages".to_owned(), messages::write(&request.messages, &mut dropped)?);
    // Ollama streams unless it is told not to.
    body.insert("stream".to_owned(), (request.stream == Some(true)).into());
    tools::write(request, &mut body, &mut dropped)?;
    format(request, &mut body)?;
    think(request, &mut body, &mut dropped);
    if let Some(keep) = request.extra.get("keep_alive").filter(|keep| !keep.is_null()) {
        body.insert("keep_alive".to_owned(), keep.clone());
    }
    if request.logprobs == Some(true) {
        body.insert("logprobs".to_owned(), true.into());
        if let Some(top) = request.top_logprobs {
            body.insert("top_logprobs".to_owned(), top.into());
        }
    }
    let settings = options::of_chat(request, options);
    if !settings.is_empty() {
        body.insert("options".to_owned(), Value::Object(settings));
    }
    unknown(&request.extra, &mut dropped);
    unknown_to_ollama(request, &mut dropped);
    Ok(wire("/api/chat", &body, dropped))
}

/// `/api/generate`, with the model's template, as Ollama's own `/v1/completions` has it.
fn completion(
    request: &completions::Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    let Value::String(prompt) = &request.prompt else {
        return Err(EncodeError::unsupported("prompt", "this provider takes one text as the prompt"));
    };
    let mut dropped = Vec::new();
    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.into());
    body.insert("prompt".to_owned(), prompt.as_str().into());
    body.insert("stream".to_owned(), (request.stream == Some(true)).into());
    let mut extra = request.extra.clone();
    for name in ["suffix", "keep_alive"] {
        if let Some(value) = extra.remove(name).filter(|value| !value.is_null()) {
            body.insert(name.to_owned(), value);
        }
    }
    let settings = options::of_completion(request, &mut extra, options);
    if !settings.is_empty() {
        body.insert("options".to_owned(), Value::Object(settings));
    }
    if request.n.is_some_and(|n| n != 1) {
        dropped.push("n".to_owned());
    }
    // What these ask for is what happens anyway.
    let idle = |name: &str, value: &Value| {
        matches!(name, "echo") && value == false || matches!(name, "best_of") && value == 1
    };
    extra.retain(|name, value| !idle(name, value));
    unknown(&extra, &mut dropped);
    Ok(wire("/api/generate", &body, dropped))
}

fn wire(path: &'static str, body: &Map<String, Value>, dropped: Vec<String>) -> WireRequest {
    let bytes = serde_json::to_vec(body).expect("string keys and numbers that JSON has");
    let mut wire = WireRequest::json(path, Bytes::from(bytes));
    wire.dropped = dropped;
    wire
}

fn format(request: &chat::Request, body: &mut Map<String, Value>) -> Result<(), EncodeError> {
    let Some(format) = &request.response_format else { return Ok(()) };
    let written = match format.kind.as_str() {
        "text" | "" => return Ok(()),
        "json_object" => "json".into(),
        "json_schema" => format
            .json_schema
            .as_ref()
            .and_then(|named| named.schema.clone())
            .unwrap_or_else(|| "json".into()),
        other => {
            return Err(EncodeError::unsupported(
                "response_format.type",
                format!("this provider knows `text`, `json_object` and `json_schema`, not `{other}`"),
            ));
        }
    };
    body.insert("format".to_owned(), written);
    Ok(())
}

/// `think`, from Ollama's, Anthropic's or OpenAI's way to say it.
fn think(request: &chat::Request, body: &mut Map<String, Value>, dropped: &mut Vec<String>) {
    let own = request.extra.get("think").filter(|think| !think.is_null());
    let thinking = request.extra.get("thinking").filter(|thinking| thinking.is_object());
    let written = match (own, thinking, request.reasoning_effort.as_deref()) {
        (Some(own), _, _) => own.clone(),
        (None, Some(thinking), _) => {
            if thinking.get("budget_tokens").is_some() {
                dropped.push("thinking.budget_tokens".to_owned());
            }
            (thinking["type"] != "disabled").into()
        }
        (None, None, Some("none")) => false.into(),
        (None, None, Some("minimal" | "low")) => "low".into(),
        (None, None, Some("medium")) => "medium".into(),
        (None, None, Some(_)) => "high".into(),
        (None, None, None) => return,
    };
    body.insert("think".to_owned(), written);
}

/// A report of members that nobody here knows.
fn unknown(extra: &openai::Extra, dropped: &mut Vec<String>) {
    for (name, value) in extra {
        let known = SILENT.contains(&name.as_str()) || options::is_one(name);
        if !known && !value.is_null() && value != false {
            dropped.push(name.clone());
        }
    }
}

/// OpenAI's parameters that Ollama has not.
fn unknown_to_ollama(request: &chat::Request, dropped: &mut Vec<String>) {
    let text_only = |kinds: &Vec<String>| kinds.iter().all(|kind| kind == "text");
    let usual = |tier: &str| tier == "auto" || tier == "default";
    let some = [
        ("n", request.n.is_some_and(|n| n != 1)),
        (
            "logit_bias",
            request.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|o| !o.is_empty())),
        ),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
        ("modalities", request.modalities.as_ref().is_some_and(|kinds| !text_only(kinds))),
        ("audio", request.audio.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("service_tier", request.service_tier.as_deref().is_some_and(|tier| !usual(tier))),
    ];
    dropped.extend(some.into_iter().filter(|(_, sent)| *sent).map(|(name, _)| name.to_owned()));
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_adapter::testkit::plain;
    use weir_adapter::{Operation, WireBody};

    use super::*;

    fn sent(operation: Operation, body: Value, options: &EncodeOptions<'_>) -> (String, Value, Vec<String>) {
        let wire = encode(&plain::request(operation, &body), options).unwrap();
        let WireBody::Bytes(bytes) = &wire.body else { panic!("bytes") };
        (wire.path.to_string(), serde_json::from_slice(bytes).unwrap(), wire.dropped)
    }

    #[track_caller]
    fn check(asked: Value, expected: Value, left_out: &[&str]) {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
        body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let (path, sent, dropped) = sent(Operation::Chat, body, &EncodeOptions::new("llama3"));
        let mut whole =
            json!({"model": "llama3", "messages": [{"role": "user", "content": "a"}], "stream": false});
        whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!((path.as_str(), sent), ("/api/chat", whole));
        assert_eq!(dropped, left_out);
    }

    #[test]
    fn parameters_become_options() {
        check(
            json!({"max_tokens": 9, "temperature": 0.5, "top_p": 1, "seed": 7, "stop": "x", "top_k": 3, "options": {"num_ctx": 4096, "seed": 1}}),
            json!({"options": {"num_predict": 9, "temperature": 0.5, "top_p": 1, "seed": 7, "stop": ["x"], "top_k": 3, "num_ctx": 4096}}),
            &[],
        );
        check(
            json!({"stream": true, "keep_alive": "5m", "n": 2, "user": "u", "logit_bias": {"1": 2}, "odd": 1}),
            json!({"stream": true, "keep_alive": "5m"}),
            &["odd", "n", "logit_bias"],
        );
        check(
            json!({"logprobs": true, "top_logprobs": 2}),
            json!({"logprobs": true, "top_logprobs": 2}),
            &[],
        );
    }

    #[test]
    fn thinking_in_three_ways_and_formats() {
        check(json!({"reasoning_effort": "none"}), json!({"think": false}), &[]);
        check(json!({"reasoning_effort": "minimal"}), json!({"think": "low"}), &[]);
        check(json!({"reasoning_effort": "xhigh"}), json!({"think": "high"}), &[]);
        check(json!({"think": "medium", "reasoning_effort": "low"}), json!({"think": "medium"}), &[]);
        check(
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}),
            json!({"think": true}),
            &["thinking.budget_tokens"],
        );
        check(json!({"response_format": {"type": "json_object"}}), json!({"format": "json"}), &[]);
        check(
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}}),
            json!({"format": {"type": "object"}}),
            &[],
        );
    }

    #[test]
    fn a_budget_holds_whatever_the_client_writes() {
        let limit = |asked: Value, options: &EncodeOptions<'_>| {
            let mut body = json!({"model": "m", "messages": []});
            body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
            sent(Operation::Chat, body, options).1["options"]["num_predict"].clone()
        };
        let injected = EncodeOptions { output_limit: Some(50), ..EncodeOptions::new("m") };
        assert_eq!(limit(json!({"options": {"num_predict": 10}}), &injected), 10);
        assert_eq!(limit(json!({"options": {"num_predict": -1}}), &injected), 50);
        assert_eq!(limit(json!({"options": {"num_predict": 900}}), &injected), 50);
        let capped = EncodeOptions { output_cap: Some(20), ..EncodeOptions::new("m") };
        assert_eq!(limit(json!({"max_tokens": 100}), &capped), 20);
        assert_eq!(limit(json!({"options": {"num_predict": 10}}), &EncodeOptions::new("m")), 10);
    }

    #[test]
    fn completions_go_to_generate() {
        let (path, sent, dropped) = sent(
            Operation::Completions,
            json!({"model": "m", "prompt": "a", "suffix": "b", "max_tokens": 4, "temperature": 0, "echo": true}),
            &EncodeOptions::new("codellama"),
        );
        assert_eq!(path, "/api/generate");
        assert_eq!(
            sent,
            json!({"model": "codellama", "prompt": "a", "suffix": "b", "stream": false, "options": {"num_predict": 4, "temperature": 0}})
        );
        assert_eq!(dropped, ["echo"]);
        let many = plain::request(Operation::Completions, &json!({"model": "m", "prompt": ["a", "b"]}));
        assert!(encode(&many, &EncodeOptions::new("m")).is_err());
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let body = json!({"model": "m", "messages": [], "response_format": {"type": "grammar"}});
        assert!(encode(&plain::request(Operation::Chat, &body), &EncodeOptions::new("m")).is_err());
    }
}
