//! How to answer: `generationConfig`.

use serde_json::{Map, Number, Value, json};
use weir_adapter::{EncodeError, EncodeOptions};
use weir_wire::openai::chat::{Request, ResponseFormat};

use crate::facts::{Facts, SchemaForm};
use crate::schema::{self, Use};
use crate::wire::GenerateContent;

/// The most stop sequences that Gemini takes.
const MOST_STOPS: usize = 5;

/// Writes `generationConfig` but for thinking, and reports what has no place in it.
pub(super) fn write(
    settings: &Request,
    facts: Facts<'_>,
    options: &EncodeOptions<'_>,
    body: &mut GenerateContent,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    let config = &mut body.generation_config;
    sampling(settings, config, dropped);
    let limit = settings.output_limit().or(options.output_limit);
    put(config, "maxOutputTokens", limit.map(|limit| options.output_cap.map_or(limit, |cap| limit.min(cap))));
    put(config, "candidateCount", settings.n.filter(|n| *n != 1));
    if settings.logprobs == Some(true) {
        config.insert("responseLogprobs".to_owned(), true.into());
        put(config, "logprobs", settings.top_logprobs);
    }
    modalities(settings, config, dropped);
    let functions = settings.tools.iter().flatten().any(|tool| tool.function.is_some());
    if let Some(format) = &settings.response_format {
        response_format(format, functions, facts, config, dropped)?;
    }
    lost(settings, dropped);
    Ok(())
}

fn sampling(settings: &Request, config: &mut Map<String, Value>, dropped: &mut Vec<String>) {
    put(config, "temperature", settings.temperature.clone());
    put(config, "topP", settings.top_p.clone());
    put(config, "topK", settings.extra.get("top_k").filter(|value| value.is_number()).cloned());
    put(config, "presencePenalty", settings.presence_penalty.clone());
    put(config, "frequencyPenalty", settings.frequency_penalty.clone());
    let small = |seed: &Number| seed.as_i64().is_some_and(|seed| i32::try_from(seed).is_ok());
    match &settings.seed {
        Some(seed) if !small(seed) => dropped.push("seed".to_owned()),
        seed => put(config, "seed", seed.clone()),
    }
    if let Some(stop) = &settings.stop {
        let stops = stop.as_slice();
        let kept = &stops[..stops.len().min(MOST_STOPS)];
        if !kept.is_empty() {
            config.insert("stopSequences".to_owned(), json!(kept));
        }
        dropped.extend((MOST_STOPS..stops.len()).map(|at| format!("stop[{at}]")));
    }
}

/// `modalities`, and the voice of an answer that is spoken.
fn modalities(settings: &Request, config: &mut Map<String, Value>, dropped: &mut Vec<String>) {
    if let Some(modalities) = &settings.modalities {
        let names: Vec<String> = modalities.iter().map(|name| name.to_ascii_uppercase()).collect();
        config.insert("responseModalities".to_owned(), json!(names));
    }
    let Some(audio) = settings.audio.as_ref().and_then(Value::as_object) else { return };
    for (name, value) in audio {
        match name.as_str() {
            "voice" if value.is_string() => {
                let voice = json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": value}}});
                config.insert("speechConfig".to_owned(), voice);
            }
            // What Gemini speaks: 16 bits, 24 kHz, which is OpenAI's `pcm16`.
            "format" if value == "pcm16" => {}
            _ => dropped.push(format!("audio.{name}")),
        }
    }
}

fn response_format(
    format: &ResponseFormat,
    functions: bool,
    facts: Facts<'_>,
    config: &mut Map<String, Value>,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    if format.kind == "text" {
        return Ok(());
    }
    if functions && !facts.holds("json_with_tools") {
        dropped.push("response_format".to_owned());
        return Ok(());
    }
    config.insert("responseMimeType".to_owned(), "application/json".into());
    let Some(schema) = format.json_schema.as_ref().and_then(|schema| schema.schema.as_ref()) else {
        return Ok(());
    };
    let usage = Use { path: "response_format.json_schema.schema", ordered: true };
    match facts.response_schema() {
        SchemaForm::Json => {
            drop(config.insert("responseJsonSchema".to_owned(), schema::json(schema, usage, dropped)?))
        }
        SchemaForm::OpenApi => put(config, "responseSchema", schema::openapi(schema, usage, dropped)?),
        SchemaForm::None => dropped.push("response_format.json_schema".to_owned()),
    }
    Ok(())
}

/// What the dialect has no words for.
fn lost(settings: &Request, dropped: &mut Vec<String>) {
    if settings.logit_bias.is_some() {
        dropped.push("logit_bias".to_owned());
    }
    if settings.service_tier.as_deref().is_some_and(|tier| tier != "auto" && tier != "default") {
        dropped.push("service_tier".to_owned());
    }
}

fn put(config: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        config.insert(name.to_owned(), value.into());
    }
}
