//! Content parts as Anthropic's blocks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_adapter::adapter::EncodeError;
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{FilePart, ImagePart, KnownPart, Part, TextPart};

use super::draft::Draft;

/// The name that a document without a title has in OpenAI's form, which demands one.
pub(crate) const UNTITLED: &str = "document.pdf";

/// The block for one part; none for an empty text.
pub(super) fn block(part: &Part, path: &str, draft: &mut Draft<'_>) -> Result<Option<Value>, EncodeError> {
    match part {
        Part::Known(KnownPart::Text(part)) => Ok(text(part, path, draft)),
        Part::Known(KnownPart::ImageUrl(part)) => image(part, path, draft).map(Some),
        Part::Known(KnownPart::File(part)) => file(part, path, draft).map(Some),
        Part::Known(KnownPart::Refusal(part)) => Ok(plain(&part.refusal)),
        Part::Known(KnownPart::InputAudio(_)) => {
            Err(EncodeError::unsupported(path, "this provider does not take audio"))
        }
        Part::Other(members) => Ok(other(members, path, draft)),
    }
}

/// A text block, unless the text is empty.
pub(super) fn plain(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn text(part: &TextPart, path: &str, draft: &mut Draft<'_>) -> Option<Value> {
    let Value::Object(mut block) = plain(&part.text)? else { return None };
    extras(&mut block, &part.extra, &["citations"], path, draft);
    draft.mark(&mut block, part.cache_control.as_ref(), &format!("{path}.cache_control"));
    Some(Value::Object(block))
}

fn image(part: &ImagePart, path: &str, draft: &mut Draft<'_>) -> Result<Value, EncodeError> {
    let url = &part.image_url.url;
    let source = match data_url(url) {
        Some((media, data)) => {
            let media = if media == "image/jpg" { "image/jpeg" } else { media };
            json!({"type": "base64", "media_type": media, "data": data})
        }
        None if url.starts_with("https://") || url.starts_with("http://") => {
            json!({"type": "url", "url": url})
        }
        None => {
            let message = "must be an `https:` URL or a `data:` URL in base64";
            return Err(InvalidRequest::value(&format!("{path}.image_url.url"), message).into());
        }
    };
    if part.image_url.detail.as_deref().is_some_and(|detail| detail != "auto") {
        draft.drop(format!("{path}.image_url.detail"));
    }
    let mut block = Map::from_iter([("type".to_owned(), "image".into()), ("source".to_owned(), source)]);
    extras(&mut block, &part.extra, &[], path, draft);
    draft.mark(&mut block, part.cache_control.as_ref(), &format!("{path}.cache_control"));
    Ok(Value::Object(block))
}

fn file(part: &FilePart, path: &str, draft: &mut Draft<'_>) -> Result<Value, EncodeError> {
    let name = part.file.filename.as_deref();
    let (kind, source) = match (&part.file.file_data, &part.file.file_id) {
        (Some(data), _) => file_source(data, name, path)?,
        (None, Some(id)) => {
            draft.need_beta("file_id");
            ("document", json!({"type": "file", "file_id": id}))
        }
        (None, None) => return Err(InvalidRequest::missing(&format!("{path}.file.file_data")).into()),
    };
    let mut block = Map::from_iter([("type".to_owned(), kind.into()), ("source".to_owned(), source)]);
    if kind == "document" {
        if let Some(name) = name.filter(|name| *name != UNTITLED && !name.is_empty()) {
            block.insert("title".to_owned(), name.into());
        }
        extras(&mut block, &part.extra, &["context", "citations"], path, draft);
    }
    draft.mark(&mut block, part.cache_control.as_ref(), &format!("{path}.cache_control"));
    Ok(Value::Object(block))
}

fn file_source(data: &str, name: Option<&str>, path: &str) -> Result<(&'static str, Value), EncodeError> {
    if data.starts_with("https://") || data.starts_with("http://") {
        return Ok(("document", json!({"type": "url", "url": data})));
    }
    let bare = name.is_some_and(|name| name.ends_with(".pdf")).then_some(("application/pdf", data));
    match data_url(data).or(bare) {
        Some((media @ "application/pdf", data)) => {
            Ok(("document", json!({"type": "base64", "media_type": media, "data": data})))
        }
        Some((media, data)) if media.starts_with("image/") => {
            Ok(("image", json!({"type": "base64", "media_type": media, "data": data})))
        }
        Some((media, data)) if media.starts_with("text/") || media == "application/json" => {
            let bytes = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = bytes.ok_or_else(|| {
                InvalidRequest::value(&format!("{path}.file.file_data"), "must be text in base64")
            })?;
            Ok(("document", json!({"type": "text", "media_type": "text/plain", "data": text})))
        }
        Some((media, _)) => {
            let message = format!("this provider takes PDF, text and images, not {media}");
            Err(EncodeError::unsupported(format!("{path}.file"), message))
        }
        None => {
            let message = "must be a `data:` URL in base64 or an `https:` URL";
            Err(InvalidRequest::value(&format!("{path}.file.file_data"), message).into())
        }
    }
}

/// A block of Anthropic's own, unchanged; parts of other dialects are left out.
fn other(members: &Extra, path: &str, draft: &mut Draft<'_>) -> Option<Value> {
    const BLOCKS: [&str; 11] = [
        "image",
        "document",
        "search_result",
        "container_upload",
        "server_tool_use",
        "mcp_tool_use",
        "compaction",
        "tool_reference",
        "text",
        "tool_use",
        "tool_result",
    ];
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    if !BLOCKS.contains(&kind) && !kind.ends_with("_tool_result") {
        draft.drop(path);
        return None;
    }
    if members.get("source").and_then(|source| source.get("file_id")).is_some() || kind == "container_upload"
    {
        draft.need_beta("file_id");
    }
    let mut block = members.clone();
    draft.count_marker(&mut block, path);
    Some(Value::Object(block))
}

/// Takes the members of a part that Anthropic knows over, and reports the others.
fn extras(block: &mut Map<String, Value>, extra: &Extra, known: &[&str], path: &str, draft: &mut Draft<'_>) {
    for (name, value) in extra {
        match known.contains(&name.as_str()) {
            true => {
                block.insert(name.clone(), value.clone());
            }
            false => draft.drop(format!("{path}.{name}")),
        }
    }
}

/// Media type and base64 data of a `data:` URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media = head.strip_suffix(";base64")?;
    Some((media.split(';').next().unwrap_or(media), data))
}
