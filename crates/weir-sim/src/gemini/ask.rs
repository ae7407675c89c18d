//! A generation request in neutral form, and its input tokens.

use std::time::Duration;

use serde_json::Value;

use super::models::{self, Generation};
use crate::ask::{Ask, Choice, Tool, audio_tokens, document_tokens, json_tokens};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Tokens of any image.
const IMAGE: u64 = 258;
/// Prompts at least this long are cached by themselves, for so long.
const CACHED_FROM: u64 = 1024;
const CACHED_FOR: Duration = Duration::from_secs(600);

/// Reads a request that has been checked.
pub(super) fn read(call: &Call<'_>, body: &Value) -> Ask {
    let config = &body["generationConfig"];
    let contents = body["contents"].as_array().map_or(&[][..], Vec::as_slice);
    let schema = ["responseSchema", "responseJsonSchema", "_responseJsonSchema"]
        .into_iter()
        .map(|name| &config[name])
        .find(|schema| !schema.is_null());
    let stops = config["stopSequences"].as_array().into_iter().flatten();
    Ask {
        start: String::new(),
        user_text: last_user_text(contents),
        seed: hash((contents.len(), body["contents"].to_string(), config["seed"].as_i64())),
        tools: declarations(body),
        choice: choice(&body["toolConfig"]["functionCallingConfig"]),
        parallel: true,
        tool_results: results(contents),
        schema: schema.cloned(),
        json: config["responseMimeType"] == "application/json",
        max_tokens: config["maxOutputTokens"].as_u64(),
        stop: stops.filter_map(Value::as_str).map(str::to_owned).collect(),
        reasoning: reasoning(call, &config["thinkingConfig"]),
        input: input(call, body),
    }
}

fn reasoning(call: &Call<'_>, config: &Value) -> u64 {
    let level = match config["thinkingLevel"].as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("MINIMAL") => 2,
        Some("LOW") => 12,
        Some("MEDIUM") => 32,
        _ => 64,
    };
    match (models::generation(call.model), config["thinkingBudget"].as_i64()) {
        (Generation::Two, _) => 0,
        (Generation::TwoFive { always: false, .. }, Some(0)) => 0,
        (Generation::TwoFive { by_default: false, .. }, None) => 0,
        (_, Some(budget)) if budget > 0 => u64::try_from(budget).unwrap_or(0).div_ceil(32).min(96),
        (_, Some(_)) => 40,
        (Generation::TwoFive { .. }, None) => 40,
        (Generation::Three, None) => level,
    }
}

fn declarations(body: &Value) -> Vec<Tool> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let functions = tools.flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten());
    functions
        .filter_map(|function| {
            let own = &function["parameters"];
            let schema = if own.is_null() { &function["parametersJsonSchema"] } else { own };
            Some(Tool { name: function["name"].as_str()?.to_owned(), schema: schema.clone() })
        })
        .collect()
}

fn choice(config: &Value) -> Choice {
    let allowed = config["allowedFunctionNames"].as_array();
    let allowed = allowed.map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    match (config["mode"].as_str(), allowed) {
        (Some("NONE"), _) => Choice::None,
        (Some("ANY"), Some(names)) => Choice::Among(names),
        (Some("ANY"), None) => Choice::Required,
        _ => Choice::Auto,
    }
}

/// The results in the last content, as text.
fn results(contents: &[Value]) -> Vec<String> {
    let parts = contents.last().and_then(|content| content["parts"].as_array()).into_iter().flatten();
    parts
        .filter(|part| !part["functionResponse"].is_null())
        .map(|part| {
            let response = &part["functionResponse"]["response"];
            ["result", "output", "content", "error"]
                .iter()
                .find_map(|key| response[*key].as_str())
                .map_or_else(|| response.to_string(), str::to_owned)
        })
        .collect()
}

fn last_user_text(contents: &[Value]) -> String {
    let text = |content: &Value| -> String {
        content["parts"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect()
    };
    let user = contents.iter().rev().filter(|content| content["role"] != "model");
    user.map(text).find(|text| !text.is_empty()).unwrap_or_default()
}

/// The input in its classes; marks long prompts as cached.
fn input(call: &Call<'_>, body: &Value) -> Tokens {
    let mut tokens = plain_input(body);
    let mut prefix = hash((call.model, body["systemInstruction"].to_string(), body["tools"].to_string()));
    let mut sum = json_tokens(&body["tools"]) + content_tokens(&body["systemInstruction"]).all_input();
    let mut cached = 0;
    for content in body["contents"].as_array().into_iter().flatten() {
        prefix = hash((prefix, content.to_string()));
        sum += content_tokens(content).all_input();
        if sum >= CACHED_FROM && call.state.cache(prefix, CACHED_FOR) {
            cached = sum;
        }
    }
    let cached = call.behaviour.cached.unwrap_or(cached).min(tokens.input);
    tokens.input -= cached;
    tokens.cache_read = cached;
    tokens
}

/// The input with nothing cached.
pub(super) fn plain_input(body: &Value) -> Tokens {
    let mut sum = content_tokens(&body["systemInstruction"]);
    sum.input += json_tokens(&body["tools"]);
    for content in body["contents"].as_array().into_iter().flatten() {
        let tokens = content_tokens(content);
        sum.input += tokens.input + 1;
        sum.image_in += tokens.image_in;
        sum.audio_in += tokens.audio_in;
    }
    sum
}

fn content_tokens(content: &Value) -> Tokens {
    let mut tokens = Tokens::default();
    for part in content["parts"].as_array().into_iter().flatten() {
        tokens.input += part["text"].as_str().map_or(0, tokens::count);
        tokens.input +=
            json_tokens(&part["functionCall"]["args"]) + json_tokens(&part["functionResponse"]["response"]);
        let media = if part["inlineData"].is_null() { &part["fileData"] } else { &part["inlineData"] };
        let data = media["data"].as_str().or(media["fileUri"].as_str()).unwrap_or("");
        match media["mimeType"].as_str() {
            Some(kind) if kind.starts_with("image/") => tokens.image_in += IMAGE,
            Some(kind) if kind.starts_with("audio/") => tokens.audio_in += audio_tokens(data),
            Some(_) => tokens.input += document_tokens(data),
            None => {}
        }
    }
    tokens
}
