//! Content of OpenAI's form as Bedrock's blocks.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use weir_adapter::EncodeError;
use weir_wire::openai::chat::{Content, KnownPart, Message, Part};

/// Blocks of Bedrock's that a client may send as they are: a part of this one member.
const OWN: &[&str] = &[
    "guardContent",
    "document",
    "video",
    "audio",
    "image",
    "searchResult",
    "cachePoint",
    "citationsContent",
    "toolAddition",
    "toolRemoval",
];
/// Formats of pictures.
const PICTURES: &[&str] = &["png", "jpeg", "gif", "webp"];
/// Media types of documents, with Bedrock's words for them.
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
];

/// Writes blocks, and remembers what must differ over the whole request.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    names: HashSet<String>,
}

impl Blocks {
    /// The blocks of a message's content, cache points included. Texts that say nothing are left out: Bedrock refuses them.
    pub(crate) fn of(&mut self, at: usize, message: &Message) -> Result<Vec<Value>, EncodeError> {
        let mut blocks = Vec::new();
        match &message.content {
            None => {}
            Some(Content::Text(text)) => push_text(&mut blocks, text),
            Some(Content::Parts(parts)) => {
                for (n, part) in parts.iter().enumerate() {
                    self.part(&format!("messages[{at}].content[{n}]"), part, &mut blocks)?;
                }
            }
        }
        Ok(blocks)
    }

    fn part(&mut self, path: &str, part: &Part, blocks: &mut Vec<Value>) -> Result<(), EncodeError> {
        let marker = match part {
            Part::Known(KnownPart::Text(text)) => {
                push_text(blocks, &text.text);
                &text.cache_control
            }
            Part::Known(KnownPart::Refusal(refusal)) => {
                push_text(blocks, &refusal.refusal);
                &None
            }
            Part::Known(KnownPart::ImageUrl(image)) => {
                blocks.push(picture(path, &image.image_url.url)?);
                &image.cache_control
            }
            Part::Known(KnownPart::File(file)) => {
                let data = file.file.file_data.as_deref().ok_or_else(|| {
                    EncodeError::unsupported(path, "this provider knows no uploaded files; send `file_data`")
                })?;
                blocks.push(self.document(path, data, file.file.filename.as_deref())?);
                &file.cache_control
            }
            Part::Known(KnownPart::InputAudio(audio)) => {
                let sound = &audio.input_audio;
                blocks.push(json!({"audio": {"format": sound.format, "source": {"bytes": sound.data}}}));
                &None
            }
            Part::Other(other) => {
                blocks.push(own(path, other)?);
                &None
            }
        };
        blocks.extend(marker.as_ref().map(cache_point));
        Ok(())
    }

    fn document(&mut self, path: &str, data: &str, filename: Option<&str>) -> Result<Value, EncodeError> {
        let ending = |name: &str| Some(name.rsplit_once('.')?.1.to_ascii_lowercase());
        let known = |format: &String| DOCUMENTS.iter().any(|(_, known)| known == format);
        let (format, source) = match split(data) {
            Some((media, base64)) => {
                let named =
                    DOCUMENTS.iter().find(|(kind, _)| *kind == media).map(|(_, name)| (*name).to_owned());
                (named.or_else(|| filename.and_then(ending).filter(known)), json!({"bytes": base64}))
            }
            None if data.starts_with("s3://") => {
                (ending(data).filter(known), json!({"s3Location": {"uri": data}}))
            }
            None => return Err(fetches_nothing(path)),
        };
        let format = format.ok_or_else(|| {
            let words: Vec<&str> = DOCUMENTS.iter().map(|(_, word)| *word).collect();
            EncodeError::unsupported(path, format!("this provider takes documents as {}", words.join(", ")))
        })?;
        let name = self.name(filename);
        Ok(json!({"document": {"format": format, "name": name, "source": source}}))
    }

    /// A name that Bedrock takes (letters, digits, single spaces, hyphens, brackets) and that no other document has.
    fn name(&mut self, filename: Option<&str>) -> String {
        let stem = filename.map_or("document", |name| name.rsplit_once('.').map_or(name, |(stem, _)| stem));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-()[] ".contains(c);
        let name: String = stem.chars().map(|c| if plain(c) { c } else { '-' }).take(180).collect();
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = if name.is_empty() { "document".to_owned() } else { name };
        let mut unique = name.clone();
        let mut n = 2;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name} {n}");
            n += 1;
        }
        unique
    }
}

/// A block of Bedrock's own, or a video as other providers take it.
fn own(path: &str, other: &Map<String, Value>) -> Result<Value, EncodeError> {
    if other.len() == 1 && other.keys().all(|name| OWN.contains(&name.as_str())) {
        return Ok(Value::Object(other.clone()));
    }
    let kind = other.get("type").and_then(Value::as_str).unwrap_or("without a type");
    let url = other.get("video_url").and_then(|video| video["url"].as_str());
    match (kind, url) {
        ("video_url", Some(url)) => {
            let source = match split(url) {
                Some((media, data)) => (media.rsplit('/').next(), json!({"bytes": data})),
                None if url.starts_with("s3://") => {
                    (url.rsplit('.').next(), json!({"s3Location": {"uri": url}}))
                }
                None => return Err(fetches_nothing(path)),
            };
            Ok(json!({"video": {"format": source.0, "source": source.1}}))
        }
        _ => Err(EncodeError::unsupported(path, format!("this provider takes no content of type `{kind}`"))),
    }
}

fn picture(path: &str, url: &str) -> Result<Value, EncodeError> {
    let (kind, source) = match split(url) {
        Some((media, data)) => (media.strip_prefix("image/").unwrap_or_default(), json!({"bytes": data})),
        None if url.starts_with("s3://") => {
            (url.rsplit('.').next().unwrap_or_default(), json!({"s3Location": {"uri": url}}))
        }
        None => return Err(fetches_nothing(path)),
    };
    let format = if kind == "jpg" { "jpeg" } else { kind };
    if !PICTURES.contains(&format) {
        let message = format!("this provider takes pictures as {}", PICTURES.join(", "));
        return Err(EncodeError::unsupported(path, message));
    }
    Ok(json!({"image": {"format": format, "source": source}}))
}

fn fetches_nothing(path: &str) -> EncodeError {
    EncodeError::unsupported(
        path,
        "this provider fetches nothing; send a `data:` URL with base64, or `s3://`",
    )
}

/// Media type and base64 of a `data:` URL.
fn split(url: &str) -> Option<(&str, &str)> {
    let (media, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some((media.split(';').next().unwrap_or_default(), data))
}

/// A text block, unless it is blank.
pub(crate) fn push_text(blocks: &mut Vec<Value>, text: &str) {
    if !text.trim().is_empty() {
        blocks.push(json!({"text": text}));
    }
}

/// Anthropic's marker as Bedrock's.
pub(crate) fn cache_point(marker: &Value) -> Value {
    let mut point = json!({"type": "default"});
    if let Some(ttl) = marker["ttl"].as_str() {
        point["ttl"] = ttl.into();
    }
    json!({"cachePoint": point})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(content: Value) -> Result<Vec<Value>, EncodeError> {
        let message: Message = serde_json::from_value(json!({"role": "user", "content": content})).unwrap();
        Blocks::default().of(0, &message)
    }

    #[test]
    fn each_kind_of_content() {
        let file =
            |name: &str, url: &str| json!({"type": "file", "file": {"filename": name, "file_data": url}});
        let written = blocks(json!([
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": " "},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AA"}},
            {"type": "image_url", "image_url": {"url": "s3://b/x.webp"}},
            file("My  report_v1.pdf", "data:application/pdf;base64,BB"),
            file("My report_v1.md", "data:application/octet-stream;base64,CC"),
            {"type": "input_audio", "input_audio": {"data": "DD", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,EE"}},
            {"guardContent": {"text": {"text": "g"}}}
        ]))
        .unwrap();
        assert_eq!(
            Value::Array(written),
            json!([
                {"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}},
                {"image": {"format": "jpeg", "source": {"bytes": "AA"}}},
                {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://b/x.webp"}}}},
                {"document": {"format": "pdf", "name": "My report-v1", "source": {"bytes": "BB"}}},
                {"document": {"format": "md", "name": "My report-v1 2", "source": {"bytes": "CC"}}},
                {"audio": {"format": "wav", "source": {"bytes": "DD"}}},
                {"video": {"format": "mp4", "source": {"bytes": "EE"}}},
                {"guardContent": {"text": {"text": "g"}}}
            ])
        );
    }

    #[test]
    fn what_it_can_not_take_is_refused() {
        for part in [
            json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
            json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}),
            json!({"type": "file", "file": {"file_id": "file-1"}}),
            json!({"type": "file", "file": {"file_data": "https://x/y.pdf"}}),
            json!({"type": "file", "file": {"file_data": "data:application/zip;base64,AA", "filename": "a.zip"}}),
            json!({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}),
            json!({"type": "hologram"}),
        ] {
            assert!(matches!(blocks(json!([part.clone()])), Err(EncodeError::Unsupported { .. })), "{part}");
        }
    }
}
