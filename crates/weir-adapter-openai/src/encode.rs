//! A request's body on its way to the provider: splices in its outermost object.

use std::borrow::Cow;

use bytes::Bytes;
use weir_adapter::descriptor::{Reasons, StreamUsage};
use weir_adapter::{EncodeError, EncodeOptions, Operation, Peek};
use weir_wire::peek::{Members, as_bool, as_str, as_u64, key_bytes};
use weir_wire::splice::{ObjectSplice, Splice};

use crate::messages;
use crate::parameters::{Change, Fate, fate};
use crate::rules::Active;

/// What an edit works on.
pub(crate) struct Edit<'e, 'r> {
    pub(crate) operation: Operation,
    pub(crate) body: &'e Bytes,
    pub(crate) members: &'e Members,
    pub(crate) peek: &'e Peek,
    pub(crate) active: &'e Active<'r>,
    pub(crate) options: &'e EncodeOptions<'e>,
    /// Whether the body came from another dialect: then only known parameters go.
    pub(crate) foreign: bool,
}

impl Edit<'_, '_> {
    /// The body for the provider. What is left out is named in `dropped`.
    ///
    /// # Errors
    /// Messages that do not read, or a parameter that the provider must honour and can't.
    pub(crate) fn apply(&self, dropped: &mut Vec<String>) -> Result<Bytes, EncodeError> {
        let mut splice = ObjectSplice::new(self.members);
        self.model(&mut splice);
        let reasoning = self.active.asks_for_reasoning() && self.reasons();
        if self.foreign || !self.active.no_parameters() || self.options.output_cap.is_some() {
            self.parameters(reasoning, &mut splice, dropped)?;
        }
        if self.operation == Operation::Chat {
            self.tools(&mut splice);
            self.messages(&mut splice)?;
        }
        if matches!(self.operation, Operation::Chat | Operation::Completions) {
            self.stream(&mut splice);
            self.output_limit(reasoning, &mut splice)?;
        }
        self.defaults(reasoning, &mut splice)?;
        Ok(splice.apply(self.body))
    }

    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.members.value(self.body, name)
    }

    fn model(&self, splice: &mut ObjectSplice<'_>) {
        let same = self.raw("model").and_then(as_str).is_some_and(|model| model == self.options.model);
        if !same {
            splice.set(self.body, "model", serde_json::to_vec(self.options.model).expect("a string is JSON"));
        }
    }

    /// Whether the model reasons on this request.
    fn reasons(&self) -> bool {
        let asked = self.raw("reasoning_effort").and_then(as_str);
        match (self.active.reasons(), asked.as_deref()) {
            (None | Some(Reasons::Never), _) => false,
            (Some(Reasons::Always), _) => true,
            (Some(_), Some("none")) => false,
            (Some(_), Some(_)) => true,
            (Some(Reasons::ByDefault), None) => true,
            (Some(Reasons::OnRequest), None) => false,
        }
    }

    /// Renames, drops, clamps.
    fn parameters(
        &self,
        reasoning: bool,
        splice: &mut ObjectSplice<'_>,
        dropped: &mut Vec<String>,
    ) -> Result<(), EncodeError> {
        for (index, member) in self.members.list.iter().enumerate() {
            // A key with escapes is none that has a rule.
            let Ok(name) = std::str::from_utf8(key_bytes(self.body, member)) else { continue };
            if matches!(name, "model" | "messages" | "stream" | "stream_options") {
                continue;
            }
            let written = &self.body[member.value.clone()];
            let lowered = self.lowered(name, written);
            let value = lowered.as_deref().unwrap_or(written);
            let fate = match self.foreign && !self.active.rules.known.contains(name) {
                true => Fate::Drop,
                false => fate(self.active, name, value, reasoning)?,
            };
            match fate {
                Fate::Keep => {
                    if let Some(lowered) = lowered {
                        splice.replace(member.value.clone(), lowered);
                    }
                }
                Fate::Drop => {
                    splice.remove(index);
                    if value != b"null" {
                        dropped.push(name.to_owned());
                    }
                }
                Fate::Change(change) => {
                    if change.reported {
                        dropped.push(name.to_owned());
                    }
                    if change.name.is_some_and(|new| self.raw(new).is_some()) {
                        // Both spellings stand there: the other one, which the provider knows, counts.
                        splice.remove(index);
                        continue;
                    }
                    let unchanged = change.value.is_none();
                    self.change(index, change, splice);
                    if let Some(lowered) = lowered.filter(|_| unchanged) {
                        splice.replace(member.value.clone(), lowered);
                    }
                }
            }
        }
        Ok(())
    }

    /// The value of a limit that is higher than what is paid for.
    fn lowered(&self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let cap = self.options.output_cap?;
        let limit =
            matches!(name, "max_tokens" | "max_completion_tokens").then(|| as_u64(value)).flatten()?;
        (limit > cap).then(|| cap.to_string().into_bytes())
    }

    fn change(&self, index: usize, change: Change<'_>, splice: &mut ObjectSplice<'_>) {
        let member = &self.members.list[index];
        if let Some(name) = change.name {
            splice.replace(member.key.clone(), serde_json::to_vec(name).expect("a string is JSON"));
        }
        if let Some(value) = change.value {
            splice.replace(member.value.clone(), value.into_owned());
        }
    }

    /// Takes out an empty list of tools, which some providers refuse, and what is about tools then.
    fn tools(&self, splice: &mut ObjectSplice<'_>) {
        let tools = self.raw("tools");
        let empty = tools.is_some_and(is_empty_list);
        if tools.is_some() && !empty {
            return;
        }
        let idle = self
            .raw("tool_choice")
            .and_then(as_str)
            .is_some_and(|choice| matches!(&*choice, "auto" | "none"));
        for (index, member) in self.members.list.iter().enumerate() {
            match key_bytes(self.body, member) {
                b"tools" | b"parallel_tool_calls" if empty => splice.remove(index),
                b"tool_choice" if empty || idle => splice.remove(index),
                _ => {}
            }
        }
    }

    /// Opens the messages, where a rule is about something in them.
    fn messages(&self, splice: &mut ObjectSplice<'_>) -> Result<(), EncodeError> {
        let Some(member) = self.members.get(self.body, "messages") else { return Ok(()) };
        let raw = &self.body[member.value.clone()];
        if let Some(rewritten) = messages::rewrite(raw, self.active.messages(), self.active.reasoning())? {
            splice.replace(member.value.clone(), rewritten);
        }
        Ok(())
    }

    /// Asks a stream for its usage.
    fn stream(&self, splice: &mut ObjectSplice<'_>) {
        if self.peek.stream && self.raw("stream").and_then(as_bool) != Some(true) {
            splice.set(self.body, "stream", &b"true"[..]);
        }
        let position =
            self.members.list.iter().position(|member| key_bytes(self.body, member) == b"stream_options");
        if self.active.rules.stream_usage == StreamUsage::Always {
            if let Some(index) = position {
                splice.remove(index);
            }
            return;
        }
        if !self.peek.stream || !self.options.include_usage {
            return;
        }
        match self.raw("stream_options") {
            Some(raw) => {
                if let Some(edited) = with_usage(raw) {
                    splice.set(self.body, "stream_options", edited);
                }
            }
            None => splice.set(self.body, "stream_options", &br#"{"include_usage":true}"#[..]),
        }
    }

    /// Sets the limit that weir decided on where the client set none.
    fn output_limit(&self, reasoning: bool, splice: &mut ObjectSplice<'_>) -> Result<(), EncodeError> {
        let (Some(limit), None) = (self.options.output_limit, self.peek.output_limit) else { return Ok(()) };
        let limit = limit.to_string();
        for name in ["max_tokens", "max_completion_tokens"] {
            let name = match fate(self.active, name, limit.as_bytes(), reasoning)? {
                Fate::Drop => continue,
                Fate::Keep => name,
                Fate::Change(change) => change.name.unwrap_or(name),
            };
            splice.set(self.body, name, limit.into_bytes());
            break;
        }
        Ok(())
    }

    /// Sets the route's defaults where the client sent nothing. What the provider can't honour is not the client's.
    fn defaults(&self, reasoning: bool, splice: &mut ObjectSplice<'_>) -> Result<(), EncodeError> {
        for (name, value) in self.options.defaults.into_iter().flatten() {
            let limit = matches!(name.as_str(), "max_tokens" | "max_completion_tokens");
            let limited = self.peek.output_limit.is_some() || self.options.output_limit.is_some();
            if self.raw(name).is_some() || (limit && limited) {
                continue;
            }
            let json = serde_json::to_vec(value).expect("a value is JSON");
            let (name, json) = match fate(self.active, name, &json, reasoning)? {
                Fate::Drop => continue,
                Fate::Keep => (name.as_str(), json),
                Fate::Change(change) => {
                    (change.name.unwrap_or(name), change.value.map_or(json, Cow::into_owned))
                }
            };
            if self.raw(name).is_none() {
                splice.set(self.body, name, json);
            }
        }
        Ok(())
    }
}

fn is_empty_list(raw: &[u8]) -> bool {
    raw.strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .is_some_and(|inner| inner.iter().all(u8::is_ascii_whitespace))
}

/// `stream_options` with `include_usage: true`; `None` where it has that already, or is no object.
fn with_usage(raw: &[u8]) -> Option<Vec<u8>> {
    let members = Members::read(raw).ok()?;
    match members.get(raw, "include_usage") {
        Some(member) if &raw[member.value.clone()] == b"true" => None,
        Some(member) => {
            let mut splice = Splice::new();
            splice.replace(member.value.clone(), &b"true"[..]);
            Some(splice.apply(&Bytes::copy_from_slice(raw)).to_vec())
        }
        None => {
            let mut splice = ObjectSplice::new(&members);
            splice.set(raw, "include_usage", &b"true"[..]);
            Some(splice.apply(&Bytes::copy_from_slice(raw)).to_vec())
        }
    }
}
