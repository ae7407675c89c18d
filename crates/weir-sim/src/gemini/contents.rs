//! What Gemini refuses in the contents: roles, parts, turns of calls, and thought signatures.

use serde_json::Value;

use super::check::{Check, fields};
use super::error::invalid;
use super::models::{self, Generation};
use crate::service::Call;

/// Purpose of the signatures of function calls.
pub(super) const CALL: &str = "gemini call";
/// Purpose of the signatures of text.
pub(super) const TEXT: &str = "gemini text";
/// What stands for a signature when a call came from elsewhere.
const SENTINELS: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/// Fields of a part.
const PART_FIELDS: [&str; 12] = [
    "text",
    "inlineData",
    "functionCall",
    "functionResponse",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "videoMetadata",
    "thought",
    "thoughtSignature",
    "partMetadata",
    "mediaResolution",
];

/// Checks the contents and the system instruction.
pub(super) fn check(call: &Call<'_>, body: &Value) -> Check {
    let contents = body["contents"].as_array().map_or(&[][..], Vec::as_slice);
    if contents.is_empty() {
        return Err(invalid("* GenerateContentRequest.contents: contents is not specified"));
    }
    for (index, content) in contents.iter().enumerate() {
        self::content(call, content, &format!("contents[{index}]"))?;
    }
    if !body["systemInstruction"].is_null() {
        self::parts(call, &body["systemInstruction"], "system_instruction")?;
    }
    if !contents.iter().any(|content| role(content) == "user") {
        return Err(invalid("Please ensure that there is at least one user turn."));
    }
    turns(contents)?;
    if models::generation(call.model) == Generation::Three { current_turn(contents) } else { Ok(()) }
}

fn role(content: &Value) -> &str {
    content["role"].as_str().unwrap_or("user")
}

fn content(call: &Call<'_>, content: &Value, at: &str) -> Check {
    if call.state.config.strict_fields {
        fields(content, &["parts", "role"], at)?;
    }
    // `function` is an older name for a user turn of results.
    if !["user", "model", "function"].contains(&role(content)) {
        return Err(invalid("Please use a valid role: user, model."));
    }
    parts(call, content, at)
}

fn parts(call: &Call<'_>, content: &Value, at: &str) -> Check {
    let parts = match &content["parts"] {
        Value::Array(parts) => parts.as_slice(),
        part @ Value::Object(_) => std::slice::from_ref(part),
        _ => &[],
    };
    if parts.is_empty() {
        return Err(invalid(&format!(
            "* GenerateContentRequest.{at}.parts: contents.parts must not be empty."
        )));
    }
    parts
        .iter()
        .enumerate()
        .try_for_each(|(index, part)| self::part(call, part, &format!("{at}.parts[{index}]")))
}

fn part(call: &Call<'_>, part: &Value, at: &str) -> Check {
    if call.state.config.strict_fields {
        fields(part, &PART_FIELDS, at)?;
    }
    let data = [
        "text",
        "inlineData",
        "functionCall",
        "functionResponse",
        "fileData",
        "executableCode",
        "codeExecutionResult",
    ];
    let given = data.iter().filter(|name| !part[**name].is_null()).count();
    if given > 1 {
        return Err(invalid(&format!("Invalid value at '{at}': oneof field 'data' is already set.")));
    }
    if given == 0 && part["thoughtSignature"].is_null() {
        return Err(invalid(&format!(
            "* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field"
        )));
    }
    let inline = &part["inlineData"];
    if !inline.is_null()
        && (inline["mimeType"].as_str().is_none_or(str::is_empty) || !inline["data"].is_string())
    {
        return Err(invalid(&format!(
            "* GenerateContentRequest.{at}.inline_data: mime_type and data are required"
        )));
    }
    for (field, inner) in [("functionCall", "args"), ("functionResponse", "response")] {
        let value = &part[field];
        if value.is_null() {
            continue;
        }
        if value["name"].as_str().is_none_or(str::is_empty) {
            return Err(invalid(&format!(
                "* GenerateContentRequest.{at}.{field}.name: Name cannot be empty."
            )));
        }
        let object = &value[inner];
        let good = object.is_object() || (object.is_null() && inner == "args");
        if !good {
            let message = format!(
                "Invalid value at '{at}.{field}.{inner}' (type.googleapis.com/google.protobuf.Struct), {object}"
            );
            return Err(invalid(&message));
        }
    }
    signature(call, part, at)
}

/// A signature that stands there must be ours, and stand where it stood.
fn signature(call: &Call<'_>, part: &Value, at: &str) -> Check {
    let Some(signature) = part["thoughtSignature"].as_str() else { return Ok(()) };
    // Bytes in JSON: Google reads both alphabets, and its SDK writes that of URLs.
    let signature = &*match SENTINELS.contains(&signature) {
        true => signature.to_owned(),
        false => signature.replace('-', "+").replace('_', "/"),
    };
    if SENTINELS.contains(&signature) {
        return Ok(());
    }
    let signer = &call.state.signer;
    let good = match part["functionCall"]["name"].as_str() {
        Some(name) => {
            let sealed = signer.open(CALL, signature);
            sealed
                .as_deref()
                .and_then(|sealed| sealed.split_once('\0'))
                .is_some_and(|(signed, _)| signed == name)
        }
        None => signer.open(TEXT, signature).is_some(),
    };
    if good { Ok(()) } else { Err(invalid(&format!("Thought signature is not valid. ({at})"))) }
}

fn count(content: &Value, field: &str) -> usize {
    content["parts"].as_array().into_iter().flatten().filter(|part| !part[field].is_null()).count()
}

/// Calls follow a user turn or results; results follow calls, one for each.
fn turns(contents: &[Value]) -> Check {
    for (index, content) in contents.iter().enumerate() {
        let calls = count(content, "functionCall");
        let results = count(content, "functionResponse");
        if calls > 0 {
            if role(content) != "model" || index == 0 || role(&contents[index - 1]) == "model" {
                let message = "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
                return Err(invalid(message));
            }
            let answered = contents.get(index + 1).map_or(0, |next| count(next, "functionResponse"));
            if answered != calls {
                let message = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
                return Err(invalid(message));
            }
        }
        if results > 0 {
            let before = index.checked_sub(1).map_or(0, |before| count(&contents[before], "functionCall"));
            if before == 0 {
                let message =
                    "Please ensure that function response turn comes immediately after a function call turn.";
                return Err(invalid(message));
            }
            if role(content) == "model" {
                return Err(invalid("Please ensure that function response turn has the role user."));
            }
        }
    }
    Ok(())
}

/// Since the last real user turn, the first call of each step must be signed.
fn current_turn(contents: &[Value]) -> Check {
    let is_user = |content: &Value| role(content) == "user" && count(content, "functionResponse") == 0;
    let start = contents.iter().rposition(is_user).unwrap_or(0);
    for (index, content) in contents.iter().enumerate().skip(start) {
        let mut parts = content["parts"].as_array().into_iter().flatten();
        let Some(first) = parts.find(|part| !part["functionCall"].is_null()) else { continue };
        if first["thoughtSignature"].as_str().is_none() {
            let message = format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly. Function call `{}`, position {index}.",
                first["functionCall"]["name"].as_str().unwrap_or("")
            );
            return Err(invalid(&message));
        }
    }
    Ok(())
}
