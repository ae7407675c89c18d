//! Glances at a reply that passes through to a client of the same dialect.

use bytes::Bytes;
use serde_json::value::RawValue;
use weir_adapter::{Glance, ProviderError, Reader};
use weir_wire::Usage;
use weir_wire::framing::{Framing, sse};
use weir_wire::peek::Members;

use crate::{error, reply, stream, wire};

/// Reads usage, and whether the answer is complete. Parses the first and the last event only, and block starts.
#[derive(Default)]
pub(crate) struct MessageReader {
    reported: wire::Usage,
    usage: Option<Usage>,
    complete: bool,
}

impl Reader for MessageReader {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        let message = reply::parse(body)?;
        let semantic = !message.content.is_empty() || message.stop_reason.is_some();
        let output_bytes = message.content.iter().map(|raw| raw.get().len()).sum();
        self.report(message.usage, true);
        self.complete = true;
        Ok(Glance { semantic, usage_end: usage_end(body), output_bytes, ..Glance::default() })
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Glance, ProviderError> {
        let event = sse::event(frame);
        let content = Glance { semantic: true, output_bytes: frame.len(), ..Glance::default() };
        match event.event {
            b"content_block_delta" if ends_as_delta(frame) => return Ok(content),
            b"content_block_stop" | b"ping" => return Ok(Glance::default()),
            _ => {}
        }
        let Some(data) = stream::data(frame)? else { return Ok(Glance::default()) };
        let event: wire::Event<'_> =
            serde_json::from_slice(&data).map_err(|error| stream::unreadable(&error))?;
        match &*event.kind {
            "message_start" => {
                self.report(event.message.and_then(|message| message.usage), false);
                Ok(Glance::default())
            }
            "content_block_start" => match begins_with_content(event.content_block) {
                true => Ok(content),
                false => Ok(Glance::default()),
            },
            "content_block_delta" => Ok(content),
            "message_delta" => {
                self.report(event.usage, true);
                let semantic = event.delta.is_some_and(|delta| delta.stop_reason.is_some());
                let usage_end =
                    sse::data_range(frame).and_then(|range| Some(range.start + usage_end(&frame[range])?));
                Ok(Glance { semantic, usage_end, ..Glance::default() })
            }
            "message_stop" => {
                self.complete = true;
                Ok(Glance::default())
            }
            "error" => Err(error::under_success(&data).unwrap_or_else(stream::nonsense)),
            _ => Ok(Glance::default()),
        }
    }

    fn done(&self) -> bool {
        self.complete
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        if self.complete { Ok(Bytes::new()) } else { Err(ProviderError::truncated()) }
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}

impl MessageReader {
    /// Takes a report over. The output in a stream's first one is a placeholder: only a later one counts.
    fn report(&mut self, usage: Option<wire::Usage>, counts: bool) {
        let Some(usage) = usage else { return };
        self.reported.update(usage);
        if counts {
            self.usage = Some(self.reported.classes());
        }
    }
}

/// Whether a delta's event is whole, as far as its end tells: two closing braces, perhaps with padding. What ends
/// otherwise is parsed.
fn ends_as_delta(frame: &[u8]) -> bool {
    let Some(frame) = frame.trim_ascii_end().strip_suffix(b"}") else { return false };
    frame.trim_ascii_end().ends_with(b"}")
}

/// Whether a block has content from its start: text and thinking begin empty.
fn begins_with_content(block: Option<&RawValue>) -> bool {
    let Some(block) = block.and_then(|raw| serde_json::from_str::<wire::Block<'_>>(raw.get()).ok()) else {
        return false;
    };
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    match &*block.kind {
        "text" | "thinking" => filled(&block.text) || filled(&block.thinking),
        _ => true,
    }
}

/// The offset of the closing brace of the outermost object's `usage`, where it has members.
fn usage_end(body: &[u8]) -> Option<usize> {
    let members = Members::read(body).ok()?;
    let value = members.get(body, "usage")?.value.clone();
    let filled = body[value.clone()].starts_with(b"{") && body[value.clone()].contains(&b':');
    filled.then(|| value.end - 1)
}

#[cfg(test)]
mod tests {
    use weir_wire::Class;

    use super::*;

    fn glance(reader: &mut MessageReader, frame: &str) -> Glance {
        reader.frame(frame.as_bytes()).unwrap()
    }

    #[test]
    fn commits_on_content_and_reads_usage() {
        let mut reader = MessageReader::default();
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
        assert_eq!(glance(&mut reader, start), Glance::default());
        assert_eq!(glance(&mut reader, "event: ping\ndata: {\"type\": \"ping\"}\n\n"), Glance::default());
        let text = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}      }\n\n";
        assert!(!glance(&mut reader, text).semantic);
        let tool = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n";
        assert!(glance(&mut reader, tool).semantic);
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
        assert!(glance(&mut reader, delta).semantic);
        assert_eq!(reader.end().unwrap_err().kind, weir_adapter::ErrorKind::Truncated);
        let last = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}  }\n\n";
        let seen = glance(&mut reader, last);
        assert!(seen.semantic);
        let end = seen.usage_end.unwrap();
        assert_eq!(&last[end - 2..=end], "15}");
        glance(&mut reader, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        assert_eq!(reader.end().unwrap(), Bytes::new());
        let usage = reader.usage().unwrap();
        assert_eq!((usage.tokens(Class::Input), usage.tokens(Class::Output)), (7, 15));
    }

    #[test]
    fn errors_in_a_stream() {
        let frame = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
        assert_eq!(
            MessageReader::default().frame(frame).unwrap_err().kind,
            weir_adapter::ErrorKind::Overloaded
        );
    }

    #[test]
    fn cost_fits_into_a_whole_reply() {
        let body = br#"{"type":"message","content":[{"type":"text","text":"\"usage\":{"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":0}}}"#;
        let mut reader = MessageReader::default();
        let seen = reader.whole(body).unwrap();
        assert_eq!(seen.usage_end, Some(body.len() - 2));
        assert!(seen.semantic);
        assert_eq!(reader.usage().unwrap().tokens(Class::Output), 2);
    }
}
