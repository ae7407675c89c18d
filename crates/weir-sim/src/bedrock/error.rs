//! Bedrock's errors: a message, and the exception's name in a header.

use serde_json::json;

use crate::reply::Refusal;

/// An exception.
pub(crate) fn refusal(status: u16, name: &str, message: &str) -> Refusal {
    let header = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    Refusal { status, headers: vec![("x-amzn-errortype", header)], body: json!({"message": message}) }
}

/// A request that is wrong.
pub(crate) fn invalid(message: &str) -> Refusal {
    refusal(400, "ValidationException", message)
}

/// A caller who may not.
pub(super) fn forbidden(message: &str) -> Refusal {
    refusal(403, "AccessDeniedException", message)
}

/// A scripted status.
pub(crate) fn by_status(status: u16, message: &str) -> Refusal {
    let name = match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    };
    refusal(status, name, message)
}
