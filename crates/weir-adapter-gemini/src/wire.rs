//! Gemini's own types: what `generateContent` takes and gives.
//!
//! Arguments and results of functions stay raw JSON text, so that no number changes on its way. Replies are read
//! leniently: what is absent, null or unknown never fails.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

// === Both ways ===

/// One part of a content. Exactly one of the data members is set, as a rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inline_data: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_data: Option<FileData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_call: Option<FunctionCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_response: Option<FunctionResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executable_code: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code_execution_result: Option<Value>,
    /// A tool that Google runs, called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_call: Option<Value>,
    /// Its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_response: Option<Value>,
    /// The text is a summary of thoughts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thought: Option<bool>,
    /// Opaque: goes back at the same part, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thought_signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_resolution: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) video_metadata: Option<Value>,
}

impl Part {
    pub(crate) fn text(text: impl Into<String>) -> Part {
        Part { text: Some(text.into()), ..Part::default() }
    }
}

/// Data within the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Blob {
    pub(crate) mime_type: String,
    /// Base64.
    pub(crate) data: String,
}

/// Data behind a URI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FileData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mime_type: Option<String>,
    pub(crate) file_uri: String,
}

/// A call that the model makes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FunctionCall {
    /// Newer models only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) args: Option<Box<RawValue>>,
}

/// The answer to a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FunctionResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    /// An object.
    pub(crate) response: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
}

// === Requests ===

/// The body of `generateContent`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerateContent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_instruction: Option<Content>,
    pub(crate) contents: Vec<Content>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) tool_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) generation_config: Map<String, Value>,
    /// `safetySettings`, `cachedContent`, …
    #[serde(flatten)]
    pub(crate) more: Map<String, Value>,
}

/// Who speaks, and what.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    pub(crate) parts: Vec<Part>,
}

// === Replies ===

/// The body of a reply, or one frame of a stream, or an error in the place of either.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Reply {
    #[serde(deserialize_with = "or_default")]
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) prompt_feedback: Option<PromptFeedback>,
    pub(crate) usage_metadata: Option<UsageMetadata>,
    pub(crate) model_version: Option<String>,
    pub(crate) response_id: Option<String>,
    pub(crate) create_time: Option<String>,
    pub(crate) error: Option<Status>,
}

/// One answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Candidate {
    #[serde(deserialize_with = "or_default")]
    pub(crate) index: u32,
    #[serde(deserialize_with = "or_default")]
    pub(crate) content: ReplyContent,
    pub(crate) finish_reason: Option<Word>,
    pub(crate) finish_message: Option<String>,
    pub(crate) safety_ratings: Option<Value>,
    pub(crate) citation_metadata: Option<Value>,
    pub(crate) grounding_metadata: Option<Value>,
    pub(crate) url_context_metadata: Option<Value>,
    pub(crate) logprobs_result: Option<LogprobsResult>,
}

/// The parts of an answer: `{}` where a filter took them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplyContent {
    #[serde(deserialize_with = "or_default")]
    pub(crate) parts: Vec<Part>,
}

/// A word of an enumeration; a number where the reply came with `enum-encoding=int`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Word {
    Name(String),
    Number(i64),
}

/// What became of the prompt.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PromptFeedback {
    pub(crate) block_reason: Option<Word>,
    pub(crate) block_reason_message: Option<String>,
}

/// Token counts. `promptTokenCount` holds the cached ones; `candidatesTokenCount` does not hold the thoughts; the tokens
/// of tools that Google ran stand beside both. `totalTokenCount` is the sum of all four.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UsageMetadata {
    pub(crate) prompt_token_count: Option<u64>,
    pub(crate) cached_content_token_count: Option<u64>,
    pub(crate) candidates_token_count: Option<u64>,
    pub(crate) tool_use_prompt_token_count: Option<u64>,
    pub(crate) thoughts_token_count: Option<u64>,
    pub(crate) total_token_count: Option<u64>,
    #[serde(alias = "promptTokenDetails", deserialize_with = "or_default")]
    pub(crate) prompt_tokens_details: Vec<ModalityCount>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) cache_tokens_details: Vec<ModalityCount>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) candidates_tokens_details: Vec<ModalityCount>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) tool_use_prompt_tokens_details: Vec<ModalityCount>,
    pub(crate) service_tier: Option<String>,
}

/// Tokens of one modality.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ModalityCount {
    pub(crate) modality: Option<Word>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) token_count: u64,
}

/// Log probabilities.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogprobsResult {
    #[serde(deserialize_with = "or_default")]
    pub(crate) chosen_candidates: Vec<TokenLogprob>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) top_candidates: Vec<TopCandidates>,
}

/// The alternatives at one token.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TopCandidates {
    #[serde(deserialize_with = "or_default")]
    pub(crate) candidates: Vec<TokenLogprob>,
}

/// One token and its log probability.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenLogprob {
    #[serde(deserialize_with = "or_default")]
    pub(crate) token: String,
    pub(crate) log_probability: Option<Number>,
}

/// `google.rpc.Status`: what an error says.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) message: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) status: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) details: Vec<Value>,
}

/// The body of an embeddings reply, of one text or of several.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EmbeddingsReply {
    pub(crate) embedding: Option<Values>,
    pub(crate) embeddings: Option<Vec<Values>>,
    pub(crate) usage_metadata: Option<UsageMetadata>,
    pub(crate) error: Option<Status>,
}

/// One vector.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Values {
    #[serde(deserialize_with = "or_default")]
    pub(crate) values: Vec<Number>,
}

/// `null` is the same as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// JSON without the space between its tokens; the tokens themselves stay as they are.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for character in json.chars() {
        if inside {
            out.push(character);
            (inside, escaped) = match character {
                _ if escaped => (true, false),
                '\\' => (true, true),
                '"' => (false, false),
                _ => (true, false),
            };
        } else if !character.is_ascii_whitespace() {
            inside = character == '"';
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacts_without_touching_tokens() {
        for (json, expected) in [
            (
                "{\n \"a b\": [1, 2.50, 12345678901234567890123]\r\n}",
                r#"{"a b":[1,2.50,12345678901234567890123]}"#,
            ),
            (r#"{ "a": "x \" y\\" , "b" : " " }"#, r#"{"a":"x \" y\\","b":" "}"#),
            (" {} ", "{}"),
        ] {
            assert_eq!(compact(json), expected);
        }
    }

    #[test]
    fn absent_null_and_unknown_members_read() {
        for json in [
            "{}",
            r#"{"candidates":null,"x":1}"#,
            r#"{"candidates":[{"content":{}},{"content":null,"index":null},{"content":{"parts":null}}]}"#,
            r#"{"candidates":[{"finishReason":1}],"usageMetadata":{"trafficType":2}}"#,
        ] {
            serde_json::from_str::<Reply>(json).unwrap();
        }
    }
}
