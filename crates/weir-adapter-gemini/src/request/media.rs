//! Pictures, sound, documents and films as parts.

use serde_json::{Map, Value, json};
use weir_adapter::{EncodeError, InvalidRequest};
use weir_wire::openai::Extra;
use weir_wire::openai::chat::{File, KnownPart, Part as OpenAiPart};

use crate::facts::Facts;
use crate::wire::{Blob, FileData, Part};

/// Where files of Google's own Files API are.
const FILES: &str = "https://generativelanguage.googleapis.com/v1beta/";

/// One part of a content list. An empty text gives none.
pub(super) fn part(
    part: &OpenAiPart,
    path: &str,
    facts: Facts<'_>,
    dropped: &mut Vec<String>,
) -> Result<Option<Part>, EncodeError> {
    let known = match part {
        OpenAiPart::Known(known) => known,
        OpenAiPart::Other(other) => return other_part(other, path, dropped),
    };
    match known {
        KnownPart::Text(text) => {
            report(text.cache_control.is_some(), path, "cache_control", dropped);
            Ok((!text.text.is_empty()).then(|| Part::text(&text.text)))
        }
        KnownPart::Refusal(refusal) => Ok(Some(Part::text(&refusal.refusal))),
        KnownPart::ImageUrl(image) => {
            report(image.cache_control.is_some(), path, "cache_control", dropped);
            let mut part = source(&image.image_url.url, &format!("{path}.image_url.url"))?;
            match resolution(image.image_url.detail.as_deref()) {
                Some(level) if facts.holds("part_resolution") => {
                    part.media_resolution = Some(json!({ "level": level }));
                }
                Some(_) => dropped.push(format!("{path}.image_url.detail")),
                None => {}
            }
            Ok(Some(part))
        }
        KnownPart::InputAudio(audio) => {
            let data = audio.input_audio.data.clone();
            let mime_type = format!("audio/{}", audio.input_audio.format);
            Ok(Some(inline(mime_type, data)))
        }
        KnownPart::File(file) => {
            report(file.cache_control.is_some(), path, "cache_control", dropped);
            Ok(Some(document(&file.file, path)?))
        }
    }
}

fn report(lost: bool, path: &str, name: &str, dropped: &mut Vec<String>) {
    if lost {
        dropped.push(format!("{path}.{name}"));
    }
}

/// OpenAI's `detail` as a resolution; none where the provider shall choose.
fn resolution(detail: Option<&str>) -> Option<&'static str> {
    match detail {
        Some("low") => Some("MEDIA_RESOLUTION_LOW"),
        Some("high") => Some("MEDIA_RESOLUTION_HIGH"),
        _ => None,
    }
}

/// `video_url`, which several hosts have, with Gemini's `video_metadata` if the client sends it.
fn other_part(other: &Extra, path: &str, dropped: &mut Vec<String>) -> Result<Option<Part>, EncodeError> {
    let kind = other.get("type").and_then(Value::as_str).unwrap_or_default();
    let url = other.get(kind).and_then(|video| video.get("url").or(Some(video))).and_then(Value::as_str);
    let (Some(url), "video_url") = (url, kind) else {
        let message = format!("this provider can't read content of type `{kind}`");
        return Err(EncodeError::unsupported(path, message));
    };
    report(other.contains_key("cache_control"), path, "cache_control", dropped);
    let mut part = source(url, &format!("{path}.video_url.url"))?;
    part.video_metadata =
        other.get("video_metadata").or_else(|| other.get("videoMetadata")).map(camel_members);
    Ok(Some(part))
}

fn document(file: &File, path: &str) -> Result<Part, EncodeError> {
    let name = file.filename.as_deref().unwrap_or_default();
    let named = |mut part: Part| {
        if let Some(file) = &mut part.file_data {
            file.mime_type = file.mime_type.take().or_else(|| by_extension(name).map(str::to_owned));
        }
        part
    };
    match (&file.file_data, &file.file_id) {
        (Some(data), _) if data.starts_with("data:") || is_uri(data) => {
            source(data, &format!("{path}.file.file_data")).map(named)
        }
        // Base64 without the URL around it.
        (Some(data), _) => {
            Ok(inline(by_extension(name).unwrap_or("application/pdf").to_owned(), data.clone()))
        }
        (None, Some(id)) if is_uri(id) => source(id, &format!("{path}.file.file_id")).map(named),
        (None, Some(id)) if id.starts_with("files/") => {
            let mime_type = by_extension(name).map(str::to_owned);
            let file_data = FileData { mime_type, file_uri: format!("{FILES}{id}") };
            Ok(Part { file_data: Some(file_data), ..Part::default() })
        }
        (None, Some(id)) => {
            let message =
                format!("`{id}` is no file of this provider: send `file_data`, a URL, or an id `files/…`");
            Err(EncodeError::unsupported(format!("{path}.file.file_id"), message))
        }
        (None, None) => Err(InvalidRequest::missing(&format!("{path}.file.file_data")).into()),
    }
}

/// Data from a `data:` URL, else the URL itself.
fn source(url: &str, path: &str) -> Result<Part, EncodeError> {
    let Some(data_url) = url.strip_prefix("data:") else {
        if !is_uri(url) {
            return Err(InvalidRequest::value(path, "must be an https: URL or a data: URL in base64").into());
        }
        let mime_type = by_extension(url.split(['?', '#']).next().unwrap_or(url)).map(str::to_owned);
        let file_data = FileData { mime_type, file_uri: url.to_owned() };
        return Ok(Part { file_data: Some(file_data), ..Part::default() });
    };
    let Some((head, data)) = data_url.split_once(',').filter(|(head, _)| head.ends_with(";base64")) else {
        return Err(InvalidRequest::value(path, "a data: URL must hold base64: data:TYPE;base64,DATA").into());
    };
    let mime_type = head.split(';').next().unwrap_or_default();
    if mime_type.is_empty() {
        return Err(
            InvalidRequest::value(path, "a data: URL must name its type: data:TYPE;base64,DATA").into()
        );
    }
    Ok(inline(mime_type.to_owned(), data.to_owned()))
}

fn inline(mime_type: String, data: String) -> Part {
    Part { inline_data: Some(Blob { mime_type, data }), ..Part::default() }
}

fn is_uri(text: &str) -> bool {
    ["https://", "http://", "gs://"].iter().any(|scheme| text.starts_with(scheme))
}

/// The type that a name's ending stands for.
fn by_extension(name: &str) -> Option<&'static str> {
    let ending = name.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match ending.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mpeg" | "mpg" => "video/mpeg",
        _ => return None,
    })
}

/// An object with its members' names in the form that Gemini writes.
pub(super) fn camel_members(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, value)| (camel(name), camel_members(value))).collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.iter().map(camel_members).collect(),
        other => other.clone(),
    }
}

/// `start_offset` as `startOffset`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        match character {
            '_' if !out.is_empty() => upper = true,
            _ if upper => {
                out.extend(character.to_uppercase());
                upper = false;
            }
            _ => out.push(character),
        }
    }
    out
}
