//! What clients send beyond OpenAI's members: Gemini's own settings, and what nobody here knows.

use serde_json::{Map, Value};
use weir_wire::openai::chat::Request;

use super::media::{camel, camel_members};
use crate::wire::GenerateContent;

/// Members of the body, in Gemini's names.
const TOP: &[&str] = &["safetySettings", "cachedContent", "labels", "modelArmorConfig"];
/// Members of `generationConfig`.
const GENERATION: &[&str] = &[
    "thinkingConfig",
    "speechConfig",
    "imageConfig",
    "mediaResolution",
    "responseModalities",
    "topK",
    "enableEnhancedCivicAnswers",
    "audioTimestamp",
    "routingConfig",
    "modelSelectionConfig",
];
/// Members that other modules read, or that weir itself acts on.
const ELSEWHERE: &[&str] = &[
    "top_k",
    "reasoning",
    "thinking",
    "output_config",
    "web_search_options",
    "models",
    "provider",
    "safety_identifier",
    "prompt_cache_retention",
    "usage",
];

/// Writes Gemini's own settings, from the body itself or from `extra_body.google` (as Google's OpenAI-compatible endpoint
/// takes them), in either spelling. Anything else is reported.
pub(super) fn write(settings: &Request, body: &mut GenerateContent, dropped: &mut Vec<String>) {
    for (name, value) in &settings.extra {
        match (name.as_str(), value.as_object()) {
            ("extra_body", Some(members)) => extra_body(members, body, dropped),
            ("google", Some(members)) => google("google", members, body, dropped),
            // Off is what happens anyway.
            (known, _) if ELSEWHERE.contains(&known) || value.is_null() || value == false => {}
            _ if place(name, value, body) => {}
            _ => dropped.push(name.clone()),
        }
    }
}

fn extra_body(members: &Map<String, Value>, body: &mut GenerateContent, dropped: &mut Vec<String>) {
    for (name, value) in members {
        match (name.as_str(), value.as_object()) {
            ("google", Some(members)) => google("extra_body.google", members, body, dropped),
            _ if place(name, value, body) => {}
            _ => dropped.push(format!("extra_body.{name}")),
        }
    }
}

fn google(path: &str, members: &Map<String, Value>, body: &mut GenerateContent, dropped: &mut Vec<String>) {
    for (name, value) in members {
        if !place(name, value, body) {
            dropped.push(format!("{path}.{name}"));
        }
    }
}

/// Puts a member where it belongs; `false` where it belongs nowhere.
fn place(name: &str, value: &Value, body: &mut GenerateContent) -> bool {
    let name = camel(name);
    // Labels are names of the client's own.
    let value = if name == "labels" { value.clone() } else { camel_members(value) };
    if TOP.contains(&name.as_str()) {
        body.more.insert(name, value);
    } else if GENERATION.contains(&name.as_str()) {
        body.generation_config.insert(name, value);
    } else if name == "generationConfig" {
        body.generation_config.extend(value.as_object().cloned().into_iter().flatten());
    } else {
        return false;
    }
    true
}
