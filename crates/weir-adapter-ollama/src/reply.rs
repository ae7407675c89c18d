//! What stands in a reply, or in one line of a streamed one.

use serde::Deserialize;
use serde_json::{Value, json};
use weir_adapter::ProviderError;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{FunctionCall, ToolCall};

/// A whole reply, or one line of a stream.
#[derive(Deserialize)]
pub(crate) struct Reply {
    #[serde(default)]
    pub(crate) created_at: String,
    pub(crate) message: Option<Said>,
    /// The text of `/api/generate`.
    pub(crate) response: Option<String>,
    /// The thoughts of `/api/generate`.
    pub(crate) thinking: Option<String>,
    #[serde(default)]
    pub(crate) done: bool,
    pub(crate) done_reason: Option<String>,
    pub(crate) logprobs: Option<Vec<Value>>,
    pub(crate) error: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Said {
    pub(crate) content: Option<String>,
    pub(crate) thinking: Option<String>,
    pub(crate) tool_calls: Option<Vec<Call>>,
}

/// A call: whole, also in a stream.
#[derive(Deserialize)]
pub(crate) struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function {
    name: String,
    arguments: Value,
}

impl Call {
    /// The call in OpenAI's form; `made` is its id where Ollama gave none.
    pub(crate) fn write(self, made: String) -> ToolCall {
        let arguments = match self.function.arguments {
            Value::Null => "{}".to_owned(),
            Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
            Value::String(text) => text,
            arguments => arguments.to_string(),
        };
        ToolCall {
            id: Some(self.id.filter(|id| !id.is_empty()).unwrap_or(made)),
            kind: Some("function".to_owned()),
            function: Some(FunctionCall {
                name: Some(self.function.name),
                arguments: Some(arguments),
                ..FunctionCall::default()
            }),
            ..ToolCall::default()
        }
    }
}

/// Why an answer ended, in OpenAI's word. What OpenAI has no word for stands in `native_finish_reason`.
pub(crate) fn finish(reason: Option<&str>, calls: bool) -> (&'static str, Extra) {
    let word = if calls { "tool_calls" } else { "stop" };
    match reason {
        None | Some("" | "stop") => (word, Extra::new()),
        Some("length") => ("length", Extra::new()),
        Some(other) => {
            let named = ("native_finish_reason".to_owned(), other.into());
            (word, std::iter::once(named).collect())
        }
    }
}

/// Log probabilities in OpenAI's place: the entries are the same.
pub(crate) fn logprobs(list: Option<Vec<Value>>) -> Option<Value> {
    list.filter(|list| !list.is_empty()).map(|list| json!({"content": list, "refusal": null}))
}

/// A reply that can't be read.
pub(crate) fn unreadable(problem: &serde_json::Error) -> ProviderError {
    ProviderError::nonsense(format!("the provider's reply does not read: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ends_keep_their_name() {
        assert_eq!(finish(Some("stop"), true), ("tool_calls", Extra::new()));
        assert_eq!(finish(Some("length"), true).0, "length");
        let (word, extra) = finish(Some("custom"), false);
        assert_eq!((word, &extra["native_finish_reason"]), ("stop", &json!("custom")));
    }

    #[test]
    fn arguments_are_text_and_ids_are_made() {
        let written = |call: Value| serde_json::from_value::<Call>(call).unwrap().write("made".to_owned());
        let call = written(json!({"function": {"name": "f", "arguments": {"a": "é"}}}));
        assert_eq!(call.id.as_deref(), Some("made"));
        assert_eq!(call.function.unwrap().arguments.as_deref(), Some(r#"{"a":"é"}"#));
        let call = written(json!({"id": "own", "function": {"name": "f"}}));
        assert_eq!(call.id.as_deref(), Some("own"));
        assert_eq!(call.function.unwrap().arguments.as_deref(), Some("{}"));
    }
}
