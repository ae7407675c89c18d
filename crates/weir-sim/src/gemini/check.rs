//! What Gemini refuses in a request, its contents left out.

use serde_json::Value;

use super::error::{self, invalid};
use super::models::{self, Generation};
use crate::reply::Refusal;
use crate::service::Call;

pub(super) type Check = Result<(), Refusal>;

/// Fields of a request.
const FIELDS: [&str; 10] = [
    "model",
    "systemInstruction",
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
];

/// Fields of `generationConfig`.
const CONFIG_FIELDS: [&str; 22] = [
    "candidateCount",
    "stopSequences",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "responseMimeType",
    "responseSchema",
    "_responseJsonSchema",
    "responseJsonSchema",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "responseModalities",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "responseFormat",
];

/// Fields of a schema.
const SCHEMA_FIELDS: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
];

/// Refuses fields that are not among the known.
pub(super) fn fields(object: &Value, known: &[&str], at: &str) -> Check {
    let unknown = object.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |(name, _)| Err(error::unknown_name(name, at)))
}

/// Checks all but the contents.
pub(super) fn request(call: &Call<'_>, body: &Value) -> Check {
    let generation = models::generation(call.model);
    if call.state.config.strict_fields {
        fields(body, &FIELDS, "")?;
        fields(&body["generationConfig"], &CONFIG_FIELDS, "generation_config")?;
    }
    ranges(&body["generationConfig"])?;
    thinking(&body["generationConfig"]["thinkingConfig"], generation)?;
    let declared = tools(call, body)?;
    choice(&body["toolConfig"]["functionCallingConfig"], declared)?;
    output(&body["generationConfig"], declared, generation)
}

fn ranges(config: &Value) -> Check {
    for (name, least, most) in [
        ("temperature", 0.0, 2.0),
        ("topP", 0.0, 1.0),
        ("candidateCount", 1.0, 8.0),
        ("maxOutputTokens", 1.0, 1e9),
        ("presencePenalty", -2.0, 2.0),
        ("frequencyPenalty", -2.0, 2.0),
        ("logprobs", 0.0, 20.0),
    ] {
        let value = &config[name];
        if value.is_null() {
            continue;
        }
        match value.as_f64() {
            Some(number) if (least..=most).contains(&number) => {}
            Some(_) => {
                let message =
                    format!("* GenerateContentRequest.generation_config.{name}: out of range, got {value}");
                return Err(invalid(&message));
            }
            None => return Err(invalid(&format!("Invalid value at 'generation_config.{name}', {value}"))),
        }
    }
    let stops = config["stopSequences"].as_array();
    if stops.is_some_and(|stops| stops.len() > 5) {
        return Err(invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: at most 5 are allowed",
        ));
    }
    if stops.is_some_and(|stops| stops.iter().any(|stop| stop.as_str().is_none_or(str::is_empty))) {
        return Err(invalid("* GenerateContentRequest.generation_config.stop_sequences: must not be empty"));
    }
    if !config["logprobs"].is_null() && config["responseLogprobs"] != true {
        return Err(invalid("Logprobs can only be set when response_logprobs is true."));
    }
    Ok(())
}

fn thinking(config: &Value, generation: Generation) -> Check {
    if config.is_null() {
        return Ok(());
    }
    fields(
        config,
        &["includeThoughts", "thinkingBudget", "thinkingLevel"],
        "generation_config.thinking_config",
    )?;
    let (budget, level) = (&config["thinkingBudget"], &config["thinkingLevel"]);
    if !budget.is_null() && !level.is_null() {
        return Err(invalid("You can only set only one of thinking budget and thinking level."));
    }
    match generation {
        Generation::Two
            if config["includeThoughts"] == true || budget.as_i64() > Some(0) || !level.is_null() =>
        {
            Err(invalid("Thinking is not supported for this model."))
        }
        Generation::TwoFive { .. } if !level.is_null() => {
            Err(invalid("Thinking level is not supported for this model."))
        }
        Generation::TwoFive { always: true, .. } if budget.as_i64() == Some(0) => {
            Err(invalid("Budget 0 is invalid. This model only works in thinking mode."))
        }
        _ if !level.is_null() => match level.as_str().map(str::to_ascii_uppercase).as_deref() {
            Some("MINIMAL" | "LOW" | "MEDIUM" | "HIGH") => Ok(()),
            _ => Err(invalid(&format!(
                "Invalid value at 'generation_config.thinking_config.thinking_level', {level}"
            ))),
        },
        _ if budget.as_i64().is_some_and(|budget| !(-1..=65_536).contains(&budget)) => {
            Err(invalid("The thinking budget is out of range."))
        }
        _ => Ok(()),
    }
}

/// Checks the tools; whether functions are declared.
fn tools(call: &Call<'_>, body: &Value) -> Result<bool, Refusal> {
    let mut declared = false;
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        for (position, function) in tool["functionDeclarations"].as_array().into_iter().flatten().enumerate()
        {
            declared = true;
            let at = format!("tools[{index}].function_declarations[{position}]");
            declaration(call, function, &at)?;
        }
    }
    Ok(declared)
}

fn declaration(call: &Call<'_>, function: &Value, at: &str) -> Check {
    if call.state.config.strict_fields {
        let known = [
            "name",
            "description",
            "parameters",
            "parametersJsonSchema",
            "response",
            "responseJsonSchema",
            "behavior",
        ];
        fields(function, &known, at)?;
    }
    let name = function["name"].as_str().unwrap_or("");
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    if !good {
        let message = format!(
            "* GenerateContentRequest.{at}.name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric, underscores, dots, colons or dashes, with a maximum length of 64."
        );
        return Err(invalid(&message));
    }
    let parameters = &function["parameters"];
    if parameters.is_null() {
        return Ok(());
    }
    if !function["parametersJsonSchema"].is_null() {
        return Err(invalid(&format!("{at}: only one of parameters and parameters_json_schema may be set")));
    }
    schema(parameters, &format!("{at}.parameters"), call.state.config.strict_fields)
}

/// Checks a schema of Gemini's own kind.
fn schema(value: &Value, at: &str, strict_fields: bool) -> Check {
    if strict_fields {
        fields(value, &SCHEMA_FIELDS, at)?;
    }
    if value["type"].is_array() {
        return Err(invalid(&format!("Proto field is not repeating, cannot start list. at '{at}.type'")));
    }
    let kind = value["type"].as_str().unwrap_or("").to_ascii_uppercase();
    if !["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", ""].contains(&kind.as_str()) {
        return Err(invalid(&format!(
            "Invalid value at '{at}.type' (type.googleapis.com/Type), {}",
            value["type"]
        )));
    }
    if kind.is_empty() && value["anyOf"].is_null() {
        return Err(invalid(&format!("* GenerateContentRequest.{at}: should have a type")));
    }
    let properties = value["properties"].as_object();
    if kind == "OBJECT" && properties.is_none_or(serde_json::Map::is_empty) {
        return Err(invalid(&format!(
            "* GenerateContentRequest.{at}.properties: should be non-empty for OBJECT type"
        )));
    }
    for name in value["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if properties.is_none_or(|properties| !properties.contains_key(name)) {
            return Err(invalid(&format!("* GenerateContentRequest.{at}.required: property is not defined")));
        }
    }
    if let Some(choices) = value["enum"].as_array()
        && !choices.iter().all(Value::is_string)
    {
        return Err(invalid(&format!("Invalid value at '{at}.enum' (TYPE_STRING)")));
    }
    if kind == "ARRAY" && value["items"].is_null() {
        return Err(invalid(&format!("* GenerateContentRequest.{at}.items: missing field.")));
    }
    for (name, property) in properties.into_iter().flatten() {
        schema(property, &format!("{at}.properties[{name}]"), strict_fields)?;
    }
    for (index, option) in value["anyOf"].as_array().into_iter().flatten().enumerate() {
        schema(option, &format!("{at}.any_of[{index}]"), strict_fields)?;
    }
    if value["items"].is_null() {
        Ok(())
    } else {
        schema(&value["items"], &format!("{at}.items"), strict_fields)
    }
}

fn choice(config: &Value, declared: bool) -> Check {
    if config.is_null() {
        return Ok(());
    }
    fields(config, &["mode", "allowedFunctionNames"], "tool_config.function_calling_config")?;
    let mode = config["mode"].as_str().unwrap_or("AUTO");
    if !["AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"].contains(&mode) {
        let message = format!("Invalid value at 'tool_config.function_calling_config.mode', \"{mode}\"");
        return Err(invalid(&message));
    }
    if !declared {
        return Err(invalid("Function calling config is set without function_declarations."));
    }
    if config["allowedFunctionNames"].is_array() && !matches!(mode, "ANY" | "VALIDATED") {
        return Err(invalid("Allowed function names should only be set when function calling mode is ANY."));
    }
    Ok(())
}

fn output(config: &Value, declared: bool, generation: Generation) -> Check {
    let mime = config["responseMimeType"].as_str().unwrap_or("text/plain");
    let json = mime == "application/json";
    let own = &config["responseSchema"];
    let standard = config.get("responseJsonSchema").or(config.get("_responseJsonSchema"));
    if !json && mime != "text/x.enum" && (!own.is_null() || standard.is_some()) {
        let message =
            format!("Response schema can only be used with response mime type application/json, not: {mime}");
        return Err(invalid(&message));
    }
    if !own.is_null() {
        if standard.is_some() {
            return Err(invalid("Only one of response_schema and response_json_schema may be set."));
        }
        schema(own, "generation_config.response_schema", true)?;
    }
    if json && declared && generation != Generation::Three {
        return Err(invalid("Function calling with a response mime type: 'application/json' is unsupported"));
    }
    Ok(())
}
