//! Sources of an answer as OpenAI's `url_citation` annotations.

use serde_json::{Value, json};

/// The annotations of an answer with this text: what grounded it, then what it recites.
///
/// Gemini counts in bytes of UTF-8, OpenAI in characters. Sources that no passage of the text names stand at its start.
pub(super) fn annotations(text: &str, grounding: Option<&Value>, citations: &[Value]) -> Vec<Value> {
    let mut out = Vec::new();
    let grounding = grounding.unwrap_or(&Value::Null);
    let chunks = list(grounding, "groundingChunks");
    let supports = list(grounding, "groundingSupports");
    for support in supports {
        let segment = &support["segment"];
        let (start, end) = (offset(text, &segment["startIndex"]), offset(text, &segment["endIndex"]));
        for index in list(support, "groundingChunkIndices") {
            let chunk = index.as_u64().and_then(|index| chunks.get(usize::try_from(index).ok()?));
            out.extend(chunk.and_then(|chunk| of_chunk(chunk, start, end)));
        }
    }
    if supports.is_empty() {
        out.extend(chunks.iter().filter_map(|chunk| of_chunk(chunk, 0, 0)));
    }
    for source in citations {
        if let Some(url) = source["uri"].as_str() {
            let (start, end) = (offset(text, &source["startIndex"]), offset(text, &source["endIndex"]));
            out.push(citation(url, source["title"].as_str(), start, end));
        }
    }
    out
}

/// The list in `citationMetadata`, under either of its names.
pub(super) fn sources(metadata: &Value) -> Vec<Value> {
    ["citationSources", "citations"].iter().flat_map(|name| list(metadata, name)).cloned().collect()
}

/// How many searches were made.
pub(super) fn searches(grounding: &Value) -> u64 {
    let queries = list(grounding, "webSearchQueries");
    queries.iter().filter(|query| query.as_str().is_some_and(|query| !query.is_empty())).count() as u64
}

fn of_chunk(chunk: &Value, start: usize, end: usize) -> Option<Value> {
    let source = ["web", "retrievedContext", "maps"].iter().find_map(|name| chunk.get(*name))?;
    Some(citation(source["uri"].as_str()?, source["title"].as_str(), start, end))
}

fn citation(url: &str, title: Option<&str>, start: usize, end: usize) -> Value {
    let citation = json!({"url": url, "title": title.unwrap_or(url), "start_index": start, "end_index": end});
    json!({"type": "url_citation", "url_citation": citation})
}

/// An offset in bytes as one in characters; the end of the text for one that lies beyond.
fn offset(text: &str, bytes: &Value) -> usize {
    let bytes = usize::try_from(bytes.as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    text.char_indices().take_while(|(at, _)| *at < bytes).count()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
