//! The dialects that clients speak: how each asks, and what its answers say.

use serde_json::{Value, json};

use crate::answer::Answer;

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's responses.
    Responses,
    /// Gemini's contents.
    Gemini,
}

impl Front {
    /// Each of them.
    pub const ALL: [Front; 4] = [Front::Chat, Front::Messages, Front::Responses, Front::Gemini];

    /// Where a model is asked.
    pub fn path(self, model: &str, stream: bool) -> String {
        match self {
            Front::Chat => "/v1/chat/completions".to_owned(),
            Front::Messages => "/v1/messages".to_owned(),
            Front::Responses => "/v1/responses".to_owned(),
            Front::Gemini if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Front::Gemini => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    /// A question of one message, with room for so many tokens.
    pub fn body(self, model: &str, text: &str, stream: bool, tokens: u32) -> Value {
        match self {
            Front::Chat | Front::Messages => {
                json!({"model": model, "stream": stream, "max_tokens": tokens, "messages": [{"role": "user", "content": text}]})
            }
            Front::Responses => {
                json!({"model": model, "stream": stream, "store": false, "max_output_tokens": tokens, "input": text})
            }
            Front::Gemini => json!({
                "contents": [{"role": "user", "parts": [{"text": text}]}],
                "generationConfig": {"maxOutputTokens": tokens},
            }),
        }
    }

    /// The text that an answer holds, as far as it came.
    pub fn text(self, answer: &Answer, stream: bool) -> String {
        let pieces = if stream { answer.chunks() } else { vec![answer.json()] };
        pieces.iter().map(|piece| self.piece(piece, stream)).collect()
    }

    fn piece(self, piece: &Value, stream: bool) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |list: &Value| {
            list.as_array().into_iter().flatten().map(|part| text(&part["text"])).collect::<String>()
        };
        match (self, stream) {
            (Front::Chat, true) => text(&piece["choices"][0]["delta"]["content"]),
            (Front::Chat, false) => text(&piece["choices"][0]["message"]["content"]),
            (Front::Messages, true) => text(&piece["delta"]["text"]),
            (Front::Messages, false) => texts(&piece["content"]),
            (Front::Responses, true) if piece["type"] == "response.output_text.delta" => {
                text(&piece["delta"])
            }
            (Front::Responses, true) => String::new(),
            (Front::Responses, false) => {
                piece["output"].as_array().into_iter().flatten().map(|item| texts(&item["content"])).collect()
            }
            (Front::Gemini, _) => texts(&piece["candidates"][0]["content"]["parts"]),
        }
    }

    /// How often a stream begins: more than once would be two answers in one.
    pub fn beginnings(self, answer: &Answer) -> usize {
        let begins = |piece: &Value| match self {
            Front::Chat => piece["choices"][0]["delta"]["role"] == "assistant",
            Front::Messages => piece["type"] == "message_start",
            Front::Responses => piece["type"] == "response.created",
            Front::Gemini => false,
        };
        let count = answer.chunks().iter().filter(|piece| begins(piece)).count();
        // Gemini's chunks are all alike.
        if self == Front::Gemini { 1 } else { count }
    }

    /// Whether a stream came to its proper end.
    pub fn finished(self, answer: &Answer) -> bool {
        match self {
            Front::Chat | Front::Messages => answer.finished(),
            Front::Responses => {
                answer.chunks().last().is_some_and(|last| last["type"] == "response.completed")
            }
            Front::Gemini => {
                answer.chunks().last().is_some_and(|last| last["candidates"][0]["finishReason"].is_string())
            }
        }
    }

    /// The errors that stand in a stream.
    pub fn errors(self, answer: &Answer) -> Vec<Value> {
        let failed = |piece: &Value| match self {
            Front::Messages => piece["type"] == "error",
            // An event of the type `error` stands before it, for clients that know only that.
            Front::Responses => piece["type"] == "response.failed",
            _ => !piece["error"].is_null(),
        };
        answer.chunks().into_iter().filter(failed).collect()
    }
}
