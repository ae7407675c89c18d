//! Forms with files, read strictly: `multipart/form-data` as RFC 7578 has it.
//!
//! A form becomes an object: fields are texts, a file is what is known of it. A field that comes twice becomes a list, as
//! the vendors' own servers take it.

use http::HeaderMap;
use serde_json::{Map, Value, json};

/// The boundary, where the body is a form.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get("content-type")?.to_str().ok()?;
    let rest = kind.strip_prefix("multipart/form-data")?;
    let (_, boundary) = rest.split_once("boundary=")?;
    Some(boundary.split(';').next()?.trim().trim_matches('"').to_owned())
}

/// The form as an object; nothing if it is none.
pub(crate) fn read(bytes: &[u8], boundary: &str) -> Option<Value> {
    let (first, next) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut rest = bytes.strip_prefix(first.as_bytes())?;
    let mut form = Map::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(Value::Object(form));
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 4..];
        let end = find(rest, next.as_bytes())?;
        let (content, after) = (&rest[..end], &rest[end + next.len()..]);
        rest = after;
        let name = parameter(head, "name")?;
        let value = match parameter(head, "filename") {
            Some(filename) => json!({
                "filename": filename,
                "bytes": content.len(),
                "millis": millis(content),
                "starts": content.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>(),
            }),
            None => json!(String::from_utf8(content.to_vec()).ok()?),
        };
        match form.get_mut(&name) {
            Some(Value::Array(list)) => list.push(value),
            Some(one) => *one = json!([one.clone(), value]),
            None => drop(form.insert(name, value)),
        }
    }
}

/// `name="…"` of a part's disposition.
fn parameter(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').skip(1).find_map(|pair| {
        let (own, value) = pair.trim().split_once('=')?;
        (own == name).then(|| value.trim_matches('"').to_owned())
    })
}

/// How long sound plays: WAV as its header says, anything else at 16,000 bytes a second.
fn millis(content: &[u8]) -> u64 {
    let size = content.len() as u64;
    let pace = match content {
        [b'R', b'I', b'F', b'F', ..] if content.len() >= 44 => {
            u64::from(u32::from_le_bytes([content[28], content[29], content[30], content[31]])).max(1)
        }
        _ => return (size * 1000).div_ceil(16_000),
    };
    ((size - 44) * 1000).div_ceil(pace)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_an_object() {
        let form = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nID3x\r\n--b--\r\n";
        let read = read(form, "b").unwrap();
        assert_eq!(read["model"], "whisper-1");
        assert_eq!(read["file"], json!({"filename": "a.mp3", "bytes": 4, "millis": 1, "starts": "49443378"}));
        assert_eq!(super::read(b"--b\r\nnonsense", "b"), None);
    }
}
