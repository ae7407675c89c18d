//! What a body holds beside text: pictures, sound, references, and tools that the provider runs. One walk for all
//! dialects: their words for media don't overlap.

use serde_json::{Map, Value};

use super::Unbounded;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Pictures.
    pub(super) images: u64,
    /// Bytes of pictures that travel in the body.
    pub(super) image_bytes: u64,
    /// Sound that travels in the body.
    pub(super) audio_in: bool,
    /// The answer may be spoken.
    pub(super) audio_out: bool,
    /// Content whose length does not show: files, documents, videos, earlier answers.
    pub(super) elsewhere: bool,
    /// Something may be kept in a cache for an hour.
    pub(super) one_hour: bool,
    /// How often the provider may run its own tools.
    pub(super) uses: Option<u64>,
}

/// Walks `value`; tools are not content, so [`hosted`] looks at them.
pub(super) fn walk(value: &Value, found: &mut Found) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| walk(item, found)),
        Value::Object(object) => {
            part(object, found);
            for (key, value) in object {
                if !matches!(key.as_str(), "tools" | "functions" | "arguments" | "input_schema") {
                    walk(value, found);
                }
            }
        }
        _ => {}
    }
}

fn part(object: &Map<String, Value>, found: &mut Found) {
    match object.get("type").and_then(Value::as_str) {
        Some("image_url" | "input_image" | "image") => {
            found.images += 1;
            found.image_bytes += inline_bytes(object);
        }
        Some("input_audio") => found.audio_in = true,
        Some("document") => found.elsewhere |= !is_text(object),
        Some(
            "file" | "file_url" | "pdf_url" | "input_file" | "video" | "video_url" | "input_video"
            | "audio_url" | "container_upload",
        ) => {
            found.elsewhere = true;
        }
        _ => {}
    }
    for name in ["inlineData", "inline_data"] {
        let Some(data) = object.get(name) else { continue };
        let mime = data.get("mimeType").or(data.get("mime_type")).and_then(Value::as_str).unwrap_or("");
        let bytes = data.get("data").and_then(Value::as_str).map_or(0, str::len);
        match mime.split('/').next() {
            Some("image") => {
                found.images += 1;
                found.image_bytes += bytes as u64;
            }
            Some("audio") => found.audio_in = true,
            Some("text") => {}
            _ => found.elsewhere = true,
        }
    }
    found.elsewhere |= object.contains_key("fileData") || object.contains_key("file_data");
    for name in ["responseModalities", "response_modalities"] {
        let wanted = object.get(name).and_then(Value::as_array).into_iter().flatten();
        found.audio_out |= wanted.filter_map(Value::as_str).any(|word| word.eq_ignore_ascii_case("audio"));
    }
}

/// A document whose text stands in the body.
fn is_text(object: &Map<String, Value>) -> bool {
    let kind = object.get("source").and_then(|source| source.get("type")).and_then(Value::as_str);
    matches!(kind, Some("text" | "content"))
}

/// How much of a picture stands in the body.
fn inline_bytes(object: &Map<String, Value>) -> u64 {
    let source = object.get("source").and_then(|source| source.get("data")).and_then(Value::as_str);
    let url = object.get("image_url").and_then(|url| url.as_str().or_else(|| url.get("url")?.as_str()));
    let data = source.or_else(|| url.filter(|url| url.starts_with("data:")));
    data.map_or(0, |data| data.len() as u64)
}

/// Looks for tools that the provider runs: their results count as input, as often as the model uses them.
///
/// # Errors
/// One without `max_uses`.
pub(super) fn hosted(tools: &Value, found: &mut Found) -> Result<(), Unbounded> {
    for tool in tools.as_array().into_iter().flatten() {
        let Some(name) = hosted_name(tool) else { continue };
        match tool.get("max_uses").and_then(Value::as_u64) {
            Some(uses) => found.uses = Some(found.uses.unwrap_or(0).saturating_add(uses)),
            None => {
                return Err(Unbounded::Hosted {
                    tool: name.chars().take(64).collect(),
                    hint: "set `max_uses`, or leave it out where a hard budget applies",
                });
            }
        }
    }
    Ok(())
}

/// The type of a tool that runs at the provider; `None` for one that the client runs.
fn hosted_name(tool: &Value) -> Option<&str> {
    /// Anthropic's tools that the client runs; what they add to the prompt is in the overhead.
    const CLIENTS: [&str; 5] = ["bash_", "text_editor_", "computer_", "memory_", "str_replace_"];
    match tool.get("type").and_then(Value::as_str) {
        Some("function" | "custom" | "local_shell" | "apply_patch") => None,
        Some(kind) if CLIENTS.iter().any(|client| kind.starts_with(client)) => None,
        Some(kind) => Some(kind),
        // Anthropic's own form has a schema and no type; Gemini's has declarations, or one member that names a tool.
        None if tool.get("input_schema").is_some() || tool.get("name").is_some() => None,
        None => {
            let declared = ["functionDeclarations", "function_declarations"];
            let mut members = tool.as_object()?.keys().map(String::as_str);
            members.find(|name| !declared.contains(name))
        }
    }
}
