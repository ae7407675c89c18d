//! What of a translated chunk is content.

use weir_wire::openai::chat::{Content, Delta};
use weir_wire::openai::{self, Chunk};

/// Adapters have no clock: a reply whose provider says no time was made when its call began (microseconds since 1970).
pub(crate) fn date(response: &mut openai::Response, started_at: i64) {
    let created = match response {
        openai::Response::Chat(response) => &mut response.created,
        openai::Response::Completions(response) => &mut response.created,
        openai::Response::Embeddings(_) => return,
    };
    date_at(created, started_at);
}

/// The same for a chunk.
pub(crate) fn date_chunk(chunk: &mut Chunk, started_at: i64) {
    match chunk {
        Chunk::Chat(chunk) => date_at(&mut chunk.created, started_at),
        Chunk::Completions(chunk) => date_at(&mut chunk.created, started_at),
    }
}

fn date_at(created: &mut u64, started_at: i64) {
    if *created == 0 {
        *created = u64::try_from(started_at / 1_000_000).unwrap_or(0);
    }
}

/// Whether a chunk carries part of an answer: text, reasoning, a tool call, or the reason why the answer ends.
pub(crate) fn is_semantic(chunk: &Chunk) -> bool {
    match chunk {
        Chunk::Chat(chunk) => {
            chunk.choices.iter().any(|choice| choice.finish_reason.is_some() || has_content(&choice.delta))
        }
        Chunk::Completions(chunk) => {
            chunk.choices.iter().any(|choice| choice.finish_reason.is_some() || !choice.text.is_empty())
        }
    }
}

fn has_content(delta: &Delta) -> bool {
    size(delta) > 0
        || delta.tool_calls.is_some()
        || delta.audio.is_some()
        || delta.reasoning_details.is_some()
}

/// How many bytes of text, reasoning and arguments a chunk holds.
pub(crate) fn bytes_of(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Chat(chunk) => chunk.choices.iter().map(|choice| size(&choice.delta)).sum(),
        Chunk::Completions(chunk) => chunk.choices.iter().map(|choice| choice.text.len()).sum(),
    }
}

/// How many bytes of text, reasoning and arguments a whole reply holds.
pub(crate) fn bytes_of_whole(response: &openai::Response) -> usize {
    match response {
        openai::Response::Chat(response) => response
            .choices
            .iter()
            .map(|choice| {
                let calls = choice.message.tool_calls.iter().flatten();
                choice.message.text().len()
                    + choice.message.reasoning_text().map_or(0, str::len)
                    + calls
                        .map(|call| {
                            call.function
                                .as_ref()
                                .and_then(|function| function.arguments.as_ref())
                                .map_or(0, String::len)
                        })
                        .sum::<usize>()
            })
            .sum(),
        openai::Response::Completions(response) => {
            response.choices.iter().map(|choice| choice.text.len()).sum()
        }
        openai::Response::Embeddings(_) => 0,
    }
}

fn size(delta: &Delta) -> usize {
    let text = match &delta.content {
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => parts.len(),
        None => 0,
    };
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let arguments = delta
        .tool_calls
        .iter()
        .flatten()
        .filter_map(|call| call.function.as_ref())
        .map(|function| length(&function.arguments));
    let reasoning = length(&delta.reasoning_content).max(length(&delta.reasoning));
    text + length(&delta.refusal) + reasoning + arguments.sum::<usize>()
}
