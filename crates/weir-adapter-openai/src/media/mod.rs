//! Calls that are neither chats nor embeddings: rerank, moderations, images, speech, transcriptions.
//!
//! None is translated: providers that have them speak OpenAI's form (rerank: Cohere's), give or take the names of some
//! members, which their descriptors say. Forms with files go on as they come.

mod read;
mod usage;

use std::collections::BTreeMap;

use weir_adapter::descriptor::CallRules;
use weir_adapter::{Descriptor, EncodeError, EncodeOptions, Operation, Request, WireBody};
use weir_wire::peek::{as_str, key_bytes};
use weir_wire::splice::ObjectSplice;

use crate::parameters::{Fate, fate};
use crate::rules::Rules;

pub(crate) use read::MediaReader;

/// All calls of this kind, with the paths that OpenAI has them at.
pub(crate) const PATHS: [(Operation, &str); 8] = [
    (Operation::Rerank, "/rerank"),
    (Operation::Moderations, "/moderations"),
    (Operation::Images, "/images/generations"),
    (Operation::ImageEdits, "/images/edits"),
    (Operation::ImageVariations, "/images/variations"),
    (Operation::Speech, "/audio/speech"),
    (Operation::Transcriptions, "/audio/transcriptions"),
    (Operation::Translations, "/audio/translations"),
];

/// What a provider wants differently, by call.
pub(crate) struct Media(BTreeMap<Operation, (CallRules, Rules)>);

impl Media {
    pub(crate) fn new(descriptor: &Descriptor) -> Media {
        let rules = |calls: &CallRules| {
            Rules::new(&Descriptor {
                parameters: calls.parameters.clone(),
                model_rules: Vec::new(),
                ..descriptor.clone()
            })
        };
        let own =
            descriptor.calls.iter().map(|(operation, calls)| (*operation, (calls.clone(), rules(calls))));
        Media(own.collect())
    }

    /// What differs in this call.
    pub(crate) fn calls(&self, operation: Operation) -> Option<&CallRules> {
        self.0.get(&operation).map(|(calls, _)| calls)
    }

    /// The body for the provider.
    ///
    /// # Errors
    /// A form that was sent before, a parameter that the provider can't go without honouring.
    pub(crate) fn body(
        &self,
        request: &Request,
        options: &EncodeOptions<'_>,
        dropped: &mut Vec<String>,
    ) -> Result<WireBody, EncodeError> {
        if let Some(upload) = &request.upload {
            let body = upload.body(options.model);
            return body.ok_or_else(|| {
                EncodeError::unsupported("file", "the file went to another target already, and is not kept")
            });
        }
        let (raw, members) = (request.raw(), &request.peek().members);
        let mut splice = ObjectSplice::new(members);
        let named = members.value(raw, "model").and_then(as_str);
        if named.is_none_or(|model| model != options.model) {
            splice.set(raw, "model", serde_json::to_vec(options.model).expect("a string is JSON"));
        }
        if let Some((_, rules)) = self.0.get(&request.operation) {
            let active = rules.of("");
            for (index, member) in members.list.iter().enumerate() {
                let Ok(name) = std::str::from_utf8(key_bytes(raw, member)) else { continue };
                if name == "model" {
                    continue;
                }
                let value = &raw[member.value.clone()];
                match fate(&active, name, value, false)? {
                    Fate::Keep => {}
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
                        if change.name.is_some_and(|new| members.get(raw, new).is_some()) {
                            splice.remove(index);
                            continue;
                        }
                        if let Some(name) = change.name {
                            splice.replace(
                                member.key.clone(),
                                serde_json::to_vec(name).expect("a string is JSON"),
                            );
                        }
                        if let Some(value) = change.value {
                            splice.replace(member.value.clone(), value.into_owned());
                        }
                    }
                }
            }
        }
        for (name, value) in options.defaults.into_iter().flatten() {
            if members.get(raw, name).is_none() {
                splice.set(raw, name, serde_json::to_vec(value).expect("a value is JSON"));
            }
        }
        Ok(WireBody::Bytes(splice.apply(raw)))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
