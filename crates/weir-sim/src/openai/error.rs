//! OpenAI's error bodies.

use serde_json::json;

use crate::reply::Refusal;

fn refusal(status: u16, message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Refusal {
    let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
    Refusal { status, headers: Vec::new(), body }
}

/// A 400.
pub(crate) fn invalid(message: &str, param: Option<&str>, code: Option<&str>) -> Refusal {
    refusal(400, message, "invalid_request_error", param, code)
}

/// A scripted status.
pub(crate) fn by_status(status: u16, message: &str) -> Refusal {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        429 => ("requests", Some("rate_limit_exceeded")),
        404 => ("invalid_request_error", Some("model_not_found")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    refusal(status, message, kind, None, code)
}

pub(crate) fn no_key() -> Refusal {
    let message = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth.";
    refusal(401, message, "invalid_request_error", None, None)
}

pub(crate) fn wrong_key(key: &str) -> Refusal {
    let shown: String = key.chars().take(8).collect();
    let message = format!(
        "Incorrect API key provided: {shown}****. You can find your API key at https://platform.openai.com/account/api-keys."
    );
    refusal(401, &message, "invalid_request_error", None, Some("invalid_api_key"))
}

pub(crate) fn unknown_model(model: &str) -> Refusal {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    refusal(404, &message, "invalid_request_error", None, Some("model_not_found"))
}

pub(crate) fn wrong_endpoint(message: &str) -> Refusal {
    refusal(404, message, "invalid_request_error", Some("model"), None)
}

pub(crate) fn unknown_url(method: &str, path: &str) -> Refusal {
    let message = format!("Invalid URL ({method} {path})");
    refusal(404, &message, "invalid_request_error", None, None)
}

pub(crate) fn missing(param: &str) -> Refusal {
    let message = format!("Missing required parameter: '{param}'.");
    invalid(&message, Some(param), Some("missing_required_parameter"))
}

pub(crate) fn wrong_type(param: &str, wanted: &str) -> Refusal {
    let message = format!("Invalid type for '{param}': expected {wanted}.");
    invalid(&message, Some(param), Some("invalid_type"))
}

pub(crate) fn bad_value(param: &str, why: &str) -> Refusal {
    invalid(&format!("Invalid value for '{param}': {why}"), Some(param), Some("invalid_value"))
}

pub(crate) fn unsupported_parameter(param: &str, hint: &str) -> Refusal {
    let message = format!("Unsupported parameter: '{param}' is not supported with this model.{hint}");
    invalid(&message, Some(param), Some("unsupported_parameter"))
}

pub(crate) fn unsupported_value(param: &str, value: &str) -> Refusal {
    let message = format!("Unsupported value: '{param}' does not support {value} with this model.");
    invalid(&message, Some(param), Some("unsupported_value"))
}

pub(crate) fn unknown_parameter(param: &str) -> Refusal {
    invalid(&format!("Unknown parameter: '{param}'."), Some(param), Some("unknown_parameter"))
}
