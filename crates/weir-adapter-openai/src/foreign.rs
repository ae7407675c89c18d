//! A request of another dialect, written with what this provider takes. Parameters are dealt with in [`crate::encode`].

use serde_json::Value;
use weir_adapter::descriptor::{Messages, Reasoning, Replay, matches};
use weir_wire::openai::chat::{Content, KnownPart, Message, Part, Request, Tool};

/// OpenAI's members of messages that the types do not name.
const MEMBERS: [&str; 1] = ["function_call"];

/// Takes out what the provider does not know, and names it in `dropped`.
pub(crate) fn clean(
    request: &mut Request,
    wanted: &Messages,
    reasoning: &Reasoning,
    dropped: &mut Vec<String>,
) {
    let mut cleaner = Cleaner { wanted, reasoning, dropped };
    for (at, message) in request.messages.iter_mut().enumerate() {
        cleaner.message(message, &format!("messages[{at}]"));
    }
    request.messages.retain(|message| !says_nothing(message));
    if let Some(tools) = &mut request.tools {
        cleaner.tools(tools);
    }
}

struct Cleaner<'c> {
    wanted: &'c Messages,
    reasoning: &'c Reasoning,
    dropped: &'c mut Vec<String>,
}

impl Cleaner<'_> {
    fn message(&mut self, message: &mut Message, path: &str) {
        self.reasoning(message, path);
        self.marker(&mut message.cache_control, path);
        self.report(message.is_error.take().is_some_and(|failed| failed), path, "is_error");
        self.extra(&mut message.extra, path, &MEMBERS);
        if let Some(Content::Parts(parts)) = &mut message.content {
            let mut at = 0;
            parts.retain_mut(|part| {
                let kept = self.part(part, &format!("{path}.content[{at}]"));
                at += 1;
                kept
            });
            if parts.is_empty() {
                message.content = None;
            }
        }
        for (at, call) in message.tool_calls.iter_mut().flatten().enumerate() {
            self.extra(&mut call.extra, &format!("{path}.tool_calls[{at}]"), &["custom"]);
        }
    }

    fn reasoning(&mut self, message: &mut Message, path: &str) {
        let takes = self.reasoning.field.is_some() && self.reasoning.replay != Replay::Forbid;
        if !takes {
            let had = message.reasoning_content.take().is_some() | message.reasoning.take().is_some();
            self.report(had, path, "reasoning_content");
        }
        if !self.reasoning.details {
            self.report(message.reasoning_details.take().is_some(), path, "reasoning_details");
        }
    }

    /// Whether the part stays.
    fn part(&mut self, part: &mut Part, path: &str) -> bool {
        match part {
            Part::Other(other) => {
                let kind = other.get("type").and_then(Value::as_str).unwrap_or_default();
                let known = self.wanted.parts.iter().any(|known| known == kind);
                if !known {
                    self.dropped.push(path.to_owned());
                }
                known
            }
            Part::Known(KnownPart::Text(text)) => {
                self.marker(&mut text.cache_control, path);
                true
            }
            Part::Known(KnownPart::ImageUrl(image)) => {
                self.marker(&mut image.cache_control, path);
                true
            }
            Part::Known(KnownPart::File(file)) => {
                self.marker(&mut file.cache_control, path);
                true
            }
            Part::Known(KnownPart::InputAudio(_) | KnownPart::Refusal(_)) => true,
        }
    }

    fn tools(&mut self, tools: &mut Vec<Tool>) {
        let mut at = 0;
        tools.retain_mut(|tool| {
            let path = format!("tools[{at}]");
            at += 1;
            self.marker(&mut tool.cache_control, &path);
            let known = matches!(tool.kind.as_str(), "" | "function" | "custom")
                || self.wanted.tools.iter().any(|kind| matches(kind, &tool.kind));
            if !known {
                self.dropped.push(path);
            }
            known
        });
    }

    fn marker(&mut self, marker: &mut Option<Value>, path: &str) {
        if !self.wanted.cache_control {
            self.report(marker.take().is_some(), path, "cache_control");
        }
    }

    fn extra(&mut self, extra: &mut weir_wire::openai::Extra, path: &str, known: &[&str]) {
        let unknown: Vec<String> = extra
            .keys()
            .filter(|name| !known.contains(&name.as_str()) && !self.wanted.members.contains(name))
            .cloned()
            .collect();
        for name in unknown {
            extra.shift_remove(&name);
            self.report(true, path, &name);
        }
    }

    fn report(&mut self, lost: bool, path: &str, name: &str) {
        if lost {
            self.dropped.push(format!("{path}.{name}"));
        }
    }
}

/// An assistant's message with nothing in it, which providers refuse.
fn says_nothing(message: &Message) -> bool {
    message.role == "assistant"
        && message.content.is_none()
        && message.tool_calls.as_ref().is_none_or(Vec::is_empty)
        && message.refusal.is_none()
        && message.audio.is_none()
        && message.reasoning_text().is_none()
        && message.reasoning_details.is_none()
        && message.extra.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(wanted: &Messages, reasoning: &Reasoning, request: Value, expected: Value, names: &[&str]) {
        let mut request: Request = serde_json::from_value(request).unwrap();
        let mut dropped = Vec::new();
        clean(&mut request, wanted, reasoning, &mut dropped);
        assert_eq!(serde_json::to_value(&request).unwrap(), expected);
        assert_eq!(dropped, names);
    }

    fn request() -> Value {
        json!({"model": "m", "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "search_result", "source": "s"}]},
            {"role": "assistant", "content": null, "reasoning_content": "r", "reasoning_details": [{"type": "reasoning.text"}]},
            {"role": "assistant", "content": "x", "tool_calls": [{"id": "1", "type": "function",
                "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {}}}]},
            {"role": "tool", "content": "x", "tool_call_id": "1", "is_error": true, "prefix": true}],
            "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {}}, {"type": "bash_20250124"}]})
    }

    #[test]
    fn openai_gets_what_openai_knows() {
        let expected = json!({"model": "m", "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": "x", "tool_calls": [{"id": "1", "type": "function",
                "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "x", "tool_call_id": "1"}],
            "tools": [{"type": "function", "function": {"name": "f"}}]});
        let names = [
            "messages[0].content[0].cache_control",
            "messages[0].content[1]",
            "messages[1].reasoning_content",
            "messages[1].reasoning_details",
            "messages[2].tool_calls[0].extra_content",
            "messages[3].is_error",
            "messages[3].prefix",
            "tools[0].cache_control",
            "tools[1]",
        ];
        check(&Messages::default(), &Reasoning::default(), request(), expected, &names);
    }

    #[test]
    fn a_provider_that_knows_more_gets_more() {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let wanted = Messages {
            parts: own(&["search_result"]),
            tools: own(&["bash_*"]),
            members: own(&["prefix", "extra_content"]),
            cache_control: true,
            ..Messages::default()
        };
        let reasoning =
            Reasoning { field: Some("reasoning".to_owned()), details: true, ..Reasoning::default() };
        let mut expected = request();
        expected["messages"][3].as_object_mut().unwrap().remove("is_error");
        check(&wanted, &reasoning, request(), expected, &["messages[3].is_error"]);
    }
}
