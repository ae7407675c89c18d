//! Messages as contents: who speaks in turns, results of functions by themselves.

use std::collections::HashMap;

use weir_adapter::{EncodeError, InvalidRequest};
use weir_wire::openai::chat::{Content as Said, KnownPart, Message, Part as OpenAiPart};

use super::results::Results;
use super::{media, model_turn};
use crate::facts::Facts;
use crate::wire::{Content, GenerateContent, Part};

/// What stands in for a signature where the history came from elsewhere, as Google documents it.
pub(crate) const NO_SIGNATURE: &str = "skip_thought_signature_validator";
/// The text of a turn that has to be there and has nothing to say.
const FILLER: &str = " ";

/// The calls of the conversation so far, by id: their names and their order.
pub(super) type Calls = HashMap<String, (String, usize)>;

/// Who speaks. Results are the user's, but share a content with nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    User,
    Model,
    Function,
}

struct Conversation<'f> {
    facts: Facts<'f>,
    system: Vec<Part>,
    turns: Vec<(Speaker, Vec<Part>)>,
    calls: Calls,
    /// Results since the last other message.
    results: Results,
}

/// Writes `contents` and `systemInstruction`.
pub(super) fn write(
    messages: &[Message],
    facts: Facts<'_>,
    body: &mut GenerateContent,
    dropped: &mut Vec<String>,
) -> Result<(), EncodeError> {
    let mut conversation = Conversation {
        facts,
        system: Vec::new(),
        turns: Vec::new(),
        calls: Calls::new(),
        results: Results::default(),
    };
    for (at, message) in messages.iter().enumerate() {
        conversation.message(message, &format!("messages[{at}]"), dropped)?;
    }
    conversation.finish(body);
    Ok(())
}

impl Conversation<'_> {
    fn message(
        &mut self,
        message: &Message,
        path: &str,
        dropped: &mut Vec<String>,
    ) -> Result<(), EncodeError> {
        let role = message.role.as_str();
        if message.cache_control.is_some() {
            dropped.push(format!("{path}.cache_control"));
        }
        if message.name.is_some() && role != "tool" && role != "function" {
            dropped.push(format!("{path}.name"));
        }
        if role == "tool" || role == "function" {
            return self.results.add(message, path, &self.calls, self.facts, dropped);
        }
        self.close_results();
        match role {
            "system" | "developer" => self.system.extend(texts(message, path, dropped)),
            "user" => {
                let parts = user_parts(message, path, self.facts, dropped)?;
                self.say(Speaker::User, parts);
            }
            "assistant" => {
                let parts = model_turn::parts(message, path, self.facts, &mut self.calls, dropped)?;
                self.say(Speaker::Model, parts);
            }
            other => {
                let message = format!("`{other}` is none of system, developer, user, assistant and tool");
                return Err(InvalidRequest::value(&format!("{path}.role"), message).into());
            }
        }
        Ok(())
    }

    fn close_results(&mut self) {
        let (results, media) = std::mem::take(&mut self.results).close();
        self.say(Speaker::Function, results);
        self.say(Speaker::User, media);
    }

    fn say(&mut self, speaker: Speaker, parts: Vec<Part>) {
        if parts.is_empty() {
            return;
        }
        // A conversation begins with the user.
        if self.turns.is_empty() && speaker == Speaker::Model {
            self.turns.push((Speaker::User, vec![Part::text(FILLER)]));
        }
        match self.turns.last_mut() {
            Some((last, said)) if *last == speaker => said.extend(parts),
            _ => self.turns.push((speaker, parts)),
        }
    }

    fn finish(mut self, body: &mut GenerateContent) {
        self.close_results();
        if self.turns.is_empty() || !self.facts.holds("system") {
            // Nobody but the system spoke, or the model knows no system: the user says it.
            let said = std::mem::take(&mut self.system);
            match self.turns.first_mut() {
                Some((Speaker::User, parts)) => drop(parts.splice(0..0, said)),
                _ if said.is_empty() => {}
                _ => self.turns.insert(0, (Speaker::User, said)),
            }
        }
        if self.turns.is_empty() {
            self.turns.push((Speaker::User, vec![Part::text(FILLER)]));
        }
        if self.facts.signatures_required() {
            self.turns
                .iter_mut()
                .filter(|(speaker, _)| *speaker == Speaker::Model)
                .for_each(|(_, parts)| vouch(parts));
        }
        if !self.system.is_empty() {
            body.system_instruction = Some(Content { role: None, parts: self.system });
        }
        let content = |(speaker, parts)| {
            let role = if speaker == Speaker::Model { "model" } else { "user" };
            Content { role: Some(role), parts }
        };
        body.contents = self.turns.into_iter().map(content).collect();
    }
}

/// The first call of a group carries the signature of all; where there is none, the word that stands in for it.
fn vouch(parts: &mut [Part]) {
    if let Some(first) = parts.iter_mut().find(|part| part.function_call.is_some()) {
        first.thought_signature.get_or_insert_with(|| NO_SIGNATURE.to_owned());
    }
}

/// The texts of a system message; anything else in it is reported.
fn texts(message: &Message, path: &str, dropped: &mut Vec<String>) -> Vec<Part> {
    let parts = match &message.content {
        None => return Vec::new(),
        Some(Said::Text(text)) => return text_part(text).into_iter().collect(),
        Some(Said::Parts(parts)) => parts,
    };
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match part {
            OpenAiPart::Known(KnownPart::Text(text)) => {
                if text.cache_control.is_some() {
                    dropped.push(format!("{path}.content[{at}].cache_control"));
                }
                out.extend(text_part(&text.text));
            }
            _ => dropped.push(format!("{path}.content[{at}]")),
        }
    }
    out
}

fn user_parts(
    message: &Message,
    path: &str,
    facts: Facts<'_>,
    dropped: &mut Vec<String>,
) -> Result<Vec<Part>, EncodeError> {
    match &message.content {
        None => Ok(Vec::new()),
        Some(Said::Text(text)) => Ok(text_part(text).into_iter().collect()),
        Some(Said::Parts(parts)) => {
            let mut out = Vec::new();
            for (at, part) in parts.iter().enumerate() {
                out.extend(media::part(part, &format!("{path}.content[{at}]"), facts, dropped)?);
            }
            Ok(out)
        }
    }
}

/// Gemini refuses empty texts.
fn text_part(text: &str) -> Option<Part> {
    (!text.is_empty()).then(|| Part::text(text))
}
