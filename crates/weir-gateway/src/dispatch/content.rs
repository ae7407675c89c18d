//! What of a translated chunk is content.

use weir_wire::Usage;
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

/// Gives embeddings an id, and an estimated usage where their provider reports none: strict clients refuse a reply
/// without them. What is estimated says so.
pub(crate) fn fill_embeddings(response: &mut openai::Response, known: impl FnOnce() -> (String, Usage)) {
    let openai::Response::Embeddings(response) = response else { return };
    let (id, estimate) = known();
    response.extra.entry("id".to_owned()).or_insert_with(|| id.into());
    response.usage.get_or_insert_with(|| {
        let mut usage = openai::usage::Usage::report(&estimate);
        usage.extra.insert("estimated".to_owned(), true.into());
        usage
    });
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use weir_wire::Class;
    use weir_wire::openai::embeddings;

    #[test]
    fn embeddings_have_an_id_and_a_usage() {
        let check = |usage: Option<openai::usage::Usage>, tokens: u64, estimated: Option<&Value>| {
            let response = embeddings::Response { usage, ..embeddings::Response::default() };
            let mut response = openai::Response::Embeddings(response);
            fill_embeddings(&mut response, || ("one".to_owned(), Usage::new().with(Class::Input, 7)));
            let openai::Response::Embeddings(response) = response else { unreachable!("it was one") };
            let usage = response.usage.unwrap();
            assert_eq!(
                (&response.extra["id"], usage.prompt_tokens, usage.total_tokens),
                (&"one".into(), tokens, tokens)
            );
            assert_eq!(usage.extra.get("estimated"), estimated);
        };
        let told = openai::usage::Usage { prompt_tokens: 3, total_tokens: 3, ..Default::default() };
        check(Some(told), 3, None);
        check(None, 7, Some(&Value::Bool(true)));
    }
}
