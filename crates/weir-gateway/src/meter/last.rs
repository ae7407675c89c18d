//! The last frame of an answer, in strict mode.

use bytes::Bytes;

use super::Meter;

impl Meter {
    /// In strict mode the frame that says "this is the end" must wait for the disk, like the end itself.
    pub(super) fn must_wait(&self, bytes: &Bytes) -> bool {
        let tail = &bytes[bytes.len().saturating_sub(256)..];
        // Quotes in content are escaped, so these can't be part of it.
        let ends = [&b"\"type\":\"message_stop\""[..], &b"\"type\": \"message_stop\""[..]];
        // The Responses API says so in the event's name, Gemini in a candidate's member.
        let responses = [&b"event: response.completed\n"[..], b"event: response.incomplete\n"];
        self.barrier.is_some()
            && (tail.trim_ascii_end().ends_with(b"data: [DONE]")
                || responses.iter().any(|end| memchr::memmem::find(bytes, end).is_some())
                || memchr::memmem::find(bytes, b"\"finishReason\"").is_some()
                || ends.iter().any(|end| memchr::memmem::find(tail, end).is_some()))
    }
}
