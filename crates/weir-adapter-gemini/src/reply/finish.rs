//! Why an answer ended.

use weir_adapter::{ErrorKind, ProviderError};

use crate::wire::Word;

/// Gemini's word. Numbers are those of both Google's APIs where the two agree; beyond 5 they do not.
pub(super) fn name(word: &Word) -> String {
    match word {
        Word::Name(name) => name.clone(),
        Word::Number(1) => "STOP".to_owned(),
        Word::Number(2) => "MAX_TOKENS".to_owned(),
        Word::Number(3) => "SAFETY".to_owned(),
        Word::Number(4) => "RECITATION".to_owned(),
        Word::Number(5) => "OTHER".to_owned(),
        Word::Number(number) => format!("FINISH_REASON_{number}"),
    }
}

/// OpenAI's word. Gemini says `STOP` for calls too. A word that nobody here knows ends the answer like any other.
pub(super) fn openai(reason: &str, calls: bool) -> &'static str {
    match reason {
        "MAX_TOKENS" => "length",
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter",
        _ if calls => "tool_calls",
        _ => "stop",
    }
}

/// Whether an answer that ended so and has no part at all is no answer.
pub(super) fn must_have_said(reason: &str) -> bool {
    openai(reason, false) == "stop"
}

/// Ends that are failures: the model made a call that nobody can carry out, or the history lacks a signature.
pub(super) fn error(reason: &str, message: Option<&str>) -> Option<ProviderError> {
    let kind = match reason {
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MALFORMED_RESPONSE" => {
            ErrorKind::Nonsense
        }
        "MISSING_THOUGHT_SIGNATURE" => ErrorKind::InvalidRequest,
        _ => return None,
    };
    let code = reason.to_ascii_lowercase();
    let message = message.filter(|message| !message.is_empty()).map(|message| format!(": {message}"));
    let message = format!("the provider ended the answer with {code}{}", message.unwrap_or_default());
    Some(
        ProviderError::reported(kind, if kind == ErrorKind::Nonsense { 502 } else { 400 }, message)
            .code(code),
    )
}
