//! A provider as data: `config/providers/NAME.yaml`.
//!
//! What varies between providers of one dialect stands here, so that a provider needs no Rust.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_wire::openai::usage::Convention;

use crate::request::Operation;

/// One provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// The kind, as configurations name it.
    pub name: String,
    /// The adapter: `openai`, `anthropic`, `gemini`.
    pub dialect: String,
    /// What people call it.
    pub title: String,
    /// Whether recordings or an API description back this file.
    pub evidence: Evidence,
    /// Where the facts are from.
    pub source: String,
    /// Their date, `YYYY-MM-DD`.
    pub date: String,
    /// Where it is reached, `{region}` standing for the operator's region; none for servers that everybody runs at an
    /// address of their own. In an adapter's hands: the address that the gateway calls.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Environment variables that hold its key, the usual one first.
    #[serde(default)]
    pub environment: Vec<String>,
    /// The version of the provider's API that the operator chose (`providers.NAME.api_version`): the gateway fills it
    /// in, files leave it out. Read for Azure: `v1` (also where absent) or a date, each with URLs of its own.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Where it is reached in some regions, instead of `base_url` with its `{region}`.
    #[serde(default)]
    pub regional_urls: BTreeMap<String, String>,
    /// Environment variables that hold its region, the usual one first.
    #[serde(default)]
    pub region_environment: Vec<String>,
    /// Environment variables that hold its project, likewise.
    #[serde(default)]
    pub project_environment: Vec<String>,
    /// The region that the operator chose (`providers.NAME.region`, else a variable): the process fills it in, files leave
    /// it out.
    #[serde(default)]
    pub region: Option<String>,
    /// The project that the operator chose, likewise.
    #[serde(default)]
    pub project: Option<String>,
    /// How the key is sent.
    pub auth: Auth,
    /// Whose chain of credentials finds one where no key is configured.
    #[serde(default)]
    pub chain: Option<ChainKind>,
    /// Whether it runs on the user's own machine: needs no key, costs nothing, is looked for at its address.
    #[serde(default)]
    pub local: bool,
    /// What it can do.
    pub operations: Vec<Operation>,
    /// Paths behind the base URL, where they are not the dialect's.
    #[serde(default)]
    pub paths: BTreeMap<Operation, String>,
    /// Headers that go with each request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What its token counts contain.
    #[serde(default)]
    pub usage: Convention,
    /// What it does with parameters.
    #[serde(default)]
    pub parameters: Parameters,
    /// How it takes and gives reasoning.
    #[serde(default)]
    pub reasoning: Reasoning,
    /// What it wants of messages.
    #[serde(default)]
    pub messages: Messages,
    /// Whether its streams report usage by themselves.
    #[serde(default)]
    pub stream_usage: StreamUsage,
    /// The most inputs of one call of embeddings: more are refused before they are sent.
    #[serde(default)]
    pub max_inputs: Option<usize>,
    /// What differs in calls that are neither chats nor embeddings.
    #[serde(default)]
    pub calls: BTreeMap<Operation, CallRules>,
    /// Kinds whose rules hold here, too, for these models: they are the same models there. Their rules go first.
    #[serde(default)]
    pub inherits: BTreeMap<String, Vec<String>>,
    /// Rules for some of its models: each that matches applies, in order.
    #[serde(default)]
    pub model_rules: Vec<ModelRule>,
    /// Pages of its documentation.
    #[serde(default)]
    pub documentation: Vec<String>,
}

/// What differs in one kind of calls beyond chats and embeddings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallRules {
    /// What it does with parameters, by their names in OpenAI's form (rerank: in Cohere's).
    pub parameters: Parameters,
    /// Members of a whole reply that have another name there: `{data: results}`.
    pub reply: BTreeMap<String, String>,
    /// The member of a JSON reply that holds the sound, in base64; unset: the reply is the sound.
    pub audio: Option<String>,
}

/// What backs a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Recordings or an API description.
    Verified,
    /// Dated documentation.
    Declared,
}

/// How a key is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// In a header of this name.
    Header(String),
    /// Not at all.
    None,
}

/// Whose credentials are found, and renewed ahead of their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainKind {
    /// AWS's: keys that sign requests, version 4.
    Aws,
    /// Google's: tokens.
    Google,
    /// Microsoft Entra's: tokens.
    Entra,
}

/// What a provider does with parameters, by their names in OpenAI's form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Sent under another name.
    pub rename: BTreeMap<String, String>,
    /// All that it takes: anything else is left out, and reported. Empty: it takes what the client sends.
    pub only: Vec<String>,
    /// Left out, and reported.
    pub drop: Vec<String>,
    /// Refused with 400: leaving them out would change what the answer means.
    pub forbid: Vec<String>,
    /// Brought into a range, and reported.
    pub clamp: BTreeMap<String, Clamp>,
    /// Texts that it knows under other names: `{tool_choice: {required: any}}`.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// Values that it takes although the parameter is dropped or forbidden, as JSON text: its own default, as a rule.
    pub accept: BTreeMap<String, Vec<String>>,
    /// Parameters of its own: what a client of another dialect may send beyond OpenAI's.
    pub extra: Vec<String>,
}

/// What a provider wants of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Messages {
    /// What instructions of the developer are called.
    pub system: SystemRole,
    /// Which ids of tool calls it takes.
    pub tool_ids: ToolIds,
    /// Types of content parts that it takes beyond OpenAI's.
    pub parts: Vec<String>,
    /// Types of tools that it takes beyond `function` and `custom`; `*` for any text.
    pub tools: Vec<String>,
    /// Members of messages and of tool calls that it takes beyond OpenAI's.
    pub members: Vec<String>,
    /// Whether it takes `cache_control` markers.
    pub cache_control: bool,
    /// How a model that can is asked to go on from a given start of its answer.
    pub prefill: Prefill,
    /// Where such a request goes, if not where chats do.
    pub prefill_path: Option<String>,
}

/// How a model is asked to go on from a given start of its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefill {
    /// Not at all.
    #[default]
    None,
    /// By a last message of the assistant's.
    Message,
    /// By such a message with `prefix: true`.
    Prefix,
    /// By such a message with `prefix: true`, and the answer begins with that text again.
    Echo,
}

/// What instructions of the developer are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemRole {
    /// As the client says: `system` or `developer`.
    #[default]
    Keep,
    /// `system`.
    System,
    /// `developer`.
    Developer,
    /// `user`: it knows neither.
    User,
}

/// Which ids of tool calls a provider takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolIds {
    /// Any.
    #[default]
    Any,
    /// Nine ASCII letters and digits.
    Nine,
}

/// Whether streams report usage by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// Only where `stream_options.include_usage` asks.
    #[default]
    Ask,
    /// Always, and `stream_options` is not a parameter.
    Always,
}

/// A range, as decimal text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clamp {
    /// The least.
    pub min: Option<String>,
    /// The most.
    pub max: Option<String>,
}

/// How reasoning is given and taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reasoning {
    /// The member of messages and deltas that has it: `reasoning_content` or `reasoning`.
    pub field: Option<String>,
    /// Whether earlier reasoning goes back.
    pub replay: Replay,
    /// Whether it takes `reasoning_details`, OpenRouter's list of blocks with their signatures.
    pub details: bool,
}

/// Whether earlier reasoning goes back to the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// As the client sends it.
    #[default]
    Optional,
    /// It must not.
    Forbid,
    /// It must, unchanged.
    Verbatim,
}

/// A rule for some models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRule {
    /// Ids, `*` for any text.
    pub models: Vec<String>,
    /// What else happens with parameters.
    #[serde(default)]
    pub parameters: Parameters,
    /// How reasoning is given and taken.
    #[serde(default)]
    pub reasoning: Option<Reasoning>,
    /// What they want of messages.
    #[serde(default)]
    pub messages: Option<Messages>,
    /// Whether they reason where the request does not say.
    #[serde(default)]
    pub reasons: Option<Reasons>,
    /// What else happens with parameters while they reason.
    #[serde(default)]
    pub while_reasoning: Parameters,
    /// The most tokens that these models make, where the catalog does not know.
    #[serde(default)]
    pub output_limit: Option<u64>,
    /// Facts that one dialect's adapter reads, by names of its own. Those that begin with `bound.` are the gateway's, for
    /// the most that a call can cost: `image` (tokens of a picture), `wider` (`header=part:tokens`, a header that
    /// widens the context window), `searches` (`any`: the model searches unasked).
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// Whether a model reasons where the request does not say (`reasoning_effort: none` says that it shall not).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasons {
    /// It does, and can't be told not to.
    Always,
    /// It does.
    ByDefault,
    /// It does not.
    OnRequest,
    /// It can't.
    Never,
}

impl Descriptor {
    /// Puts the rules of the kinds that it inherits from before its own: what holds there for any model, here for the models
    /// that it names.
    pub fn inherit<'d>(&mut self, kind: impl Fn(&str) -> Option<&'d Descriptor>) {
        let mut rules = Vec::new();
        for (name, models) in std::mem::take(&mut self.inherits) {
            let Some(kind) = kind(&name) else { continue };
            rules.push(ModelRule {
                models: models.clone(),
                parameters: kind.parameters.clone(),
                reasoning: Some(kind.reasoning.clone()),
                messages: Some(kind.messages.clone()),
                reasons: None,
                while_reasoning: Parameters::default(),
                output_limit: None,
                facts: BTreeMap::new(),
            });
            rules.extend(kind.model_rules.iter().cloned().map(|mut rule| {
                if rule.models.iter().any(|pattern| pattern == "*") {
                    rule.models.clone_from(&models);
                }
                rule
            }));
        }
        rules.append(&mut self.model_rules);
        self.model_rules = rules;
    }

    /// Takes region and project from variables, where these are set.
    pub fn place_by(&mut self, variable: impl Fn(&str) -> Option<String>) {
        self.region = self.region_environment.iter().find_map(|name| variable(name));
        self.project = self.project_environment.iter().find_map(|name| variable(name));
    }

    /// What it needs to be reached and nothing says: `region`, `project`.
    pub fn lacks(&self) -> Option<&'static str> {
        let texts = || self.base_url.iter().chain(self.paths.values());
        let lacks =
            |slot: &str, value: &Option<String>| value.is_none() && texts().any(|text| text.contains(slot));
        match (lacks("{region}", &self.region), lacks("{project}", &self.project)) {
            (true, _) => Some("region"),
            (false, true) => Some("project"),
            (false, false) => None,
        }
    }

    /// Whether the operator's region says where it is reached, or what is signed.
    pub fn has_regions(&self) -> bool {
        let slots = self.base_url.iter().chain(self.paths.values()).any(|text| text.contains("{region}"));
        slots || !self.regional_urls.is_empty() || self.chain == Some(ChainKind::Aws)
    }

    /// The rules for `model`, in order.
    pub fn rules<'d>(&'d self, model: &str) -> impl Iterator<Item = &'d ModelRule> + use<'d> {
        let model = model.to_owned();
        self.model_rules.iter().filter(move |rule| rule.models.iter().any(|pattern| matches(pattern, &model)))
    }

    /// The value of the last rule that states this fact about `model`.
    pub fn fact(&self, model: &str, name: &str) -> Option<&str> {
        self.rules(model).filter_map(|rule| rule.facts.get(name)).last().map(String::as_str)
    }
}

/// Whether `pattern`, in which `*` stands for any text, matches all of `text`.
pub fn matches(pattern: &str, text: &str) -> bool {
    // Most patterns begin with other letters than the text: no more is looked at then.
    if let (Some(wanted), Some(found)) = (pattern.as_bytes().first(), text.as_bytes().first())
        && wanted != found
        && *wanted != b'*'
    {
        return false;
    }
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-5*", "gpt-5-mini", true),
            ("*-chat*", "gpt-5-chat-latest", true),
            ("gpt-5*", "gpt-4", false),
            ("a*b", "ac", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
