//! Messages of AWS's binary event stream, as the Smithy specification has them.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::Value;

/// An event.
pub(super) fn event(name: &str, payload: &Value) -> Bytes {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, payload.to_string().as_bytes())
}

/// An exception.
pub(super) fn exception(name: &str, text: &str) -> Bytes {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, serde_json::json!({"message": text}).to_string().as_bytes())
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = BytesMut::new();
    for (name, value) in headers {
        head.put_u8(u8::try_from(name.len()).unwrap_or(0));
        head.put_slice(name.as_bytes());
        head.put_u8(7);
        head.put_u16(u16::try_from(value.len()).unwrap_or(0));
        head.put_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut out = BytesMut::new();
    out.put_u32(length(16 + head.len() + payload.len()));
    out.put_u32(length(head.len()));
    let sum = crc32fast::hash(&out);
    out.put_u32(sum);
    out.put_slice(&head);
    out.put_slice(payload);
    let sum = crc32fast::hash(&out);
    out.put_u32(sum);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_message() {
        let expected = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
        assert_eq!(&message(&[], b"{'foo':'bar'}")[..], expected);
    }
}
