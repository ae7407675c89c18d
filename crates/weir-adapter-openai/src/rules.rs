//! A descriptor's rules, laid out so that a request finds those for its model quickly.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;
use weir_adapter::Descriptor;
use weir_adapter::descriptor::{
    Clamp, Messages, ModelRule, Parameters, Reasoning, Reasons, StreamUsage, matches,
};

/// All rules of one provider.
pub(crate) struct Rules {
    base: RuleSet,
    models: Vec<(Vec<String>, RuleSet)>,
    pub(crate) stream_usage: StreamUsage,
    /// What a client of another dialect may have sent: OpenAI's parameters and the provider's own.
    pub(crate) known: BTreeSet<String>,
}

/// What one part of a descriptor says.
struct RuleSet {
    parameters: ParameterRules,
    while_reasoning: ParameterRules,
    reasons: Option<Reasons>,
    reasoning: Option<Reasoning>,
    messages: Option<Messages>,
}

#[derive(Default)]
struct ParameterRules {
    by_name: BTreeMap<String, ParameterRule>,
    /// Where it is not empty, nothing else is sent.
    only: BTreeSet<String>,
}

/// What happens with one parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ParameterRule {
    pub(crate) rename: Option<String>,
    pub(crate) drop: bool,
    pub(crate) forbid: bool,
    pub(crate) clamp: Option<Clamp>,
    pub(crate) values: BTreeMap<String, String>,
    /// JSON texts that pass although the parameter is dropped or forbidden.
    pub(crate) accept: Vec<String>,
}

/// The rules for one model.
pub(crate) struct Active<'r> {
    sets: SmallVec<[&'r RuleSet; 4]>,
    pub(crate) rules: &'r Rules,
}

/// OpenAI's own parameters of the three operations.
const OPENAI: [&str; 47] = [
    "audio",
    "best_of",
    "dimensions",
    "echo",
    "encoding_format",
    "frequency_penalty",
    "function_call",
    "functions",
    "input",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
    // Not chat parameters at OpenAI, but what its list calls by these names in other operations.
    "instructions",
    "background",
    "include",
];

impl Rules {
    pub(crate) fn new(descriptor: &Descriptor) -> Rules {
        let base = RuleSet {
            parameters: ParameterRules::new(&descriptor.parameters),
            while_reasoning: ParameterRules::default(),
            reasons: None,
            reasoning: Some(descriptor.reasoning.clone()),
            messages: Some(descriptor.messages.clone()),
        };
        let models = descriptor.model_rules.iter().map(|rule| (rule.models.clone(), RuleSet::new(rule)));
        let own = descriptor.model_rules.iter().flat_map(|rule| &rule.parameters.extra);
        let known = OPENAI.iter().map(|name| (*name).to_owned());
        Rules {
            base,
            models: models.collect(),
            stream_usage: descriptor.stream_usage,
            known: known.chain(descriptor.parameters.extra.iter().chain(own).cloned()).collect(),
        }
    }

    /// The rules for `model`, in order.
    pub(crate) fn of(&self, model: &str) -> Active<'_> {
        let mut sets = SmallVec::new();
        sets.push(&self.base);
        for (patterns, set) in &self.models {
            if patterns.iter().any(|pattern| matches(pattern, model)) {
                sets.push(set);
            }
        }
        Active { sets, rules: self }
    }
}

impl RuleSet {
    fn new(rule: &ModelRule) -> RuleSet {
        RuleSet {
            parameters: ParameterRules::new(&rule.parameters),
            while_reasoning: ParameterRules::new(&rule.while_reasoning),
            reasons: rule.reasons,
            reasoning: rule.reasoning.clone(),
            messages: rule.messages.clone(),
        }
    }
}

impl ParameterRules {
    fn new(parameters: &Parameters) -> ParameterRules {
        let mut by_name: BTreeMap<String, ParameterRule> = BTreeMap::new();
        for (name, new) in &parameters.rename {
            by_name.entry(name.clone()).or_default().rename = Some(new.clone());
        }
        parameters.drop.iter().for_each(|name| by_name.entry(name.clone()).or_default().drop = true);
        parameters.forbid.iter().for_each(|name| by_name.entry(name.clone()).or_default().forbid = true);
        for (name, clamp) in &parameters.clamp {
            by_name.entry(name.clone()).or_default().clamp = Some(clamp.clone());
        }
        for (name, values) in &parameters.values {
            by_name.entry(name.clone()).or_default().values = values.clone();
        }
        for (name, values) in &parameters.accept {
            by_name.entry(name.clone()).or_default().accept = values.clone();
        }
        ParameterRules { by_name, only: parameters.only.iter().cloned().collect() }
    }

    fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.only.is_empty()
    }

    fn get(&self, name: &str) -> Option<&ParameterRule> {
        if self.by_name.is_empty() { None } else { self.by_name.get(name) }
    }
}

impl<'r> Active<'r> {
    /// Whether no parameter has a rule.
    pub(crate) fn no_parameters(&self) -> bool {
        self.sets.iter().all(|set| set.parameters.is_empty() && set.while_reasoning.is_empty())
    }

    /// Whether something depends on the model's reasoning.
    pub(crate) fn asks_for_reasoning(&self) -> bool {
        self.sets.iter().any(|set| !set.while_reasoning.is_empty())
    }

    /// Whether the model reasons where the request does not say.
    pub(crate) fn reasons(&self) -> Option<Reasons> {
        self.sets.iter().rev().find_map(|set| set.reasons)
    }

    /// Whether the provider takes a parameter of this name at all.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.sets.iter().all(|set| set.parameters.only.is_empty() || set.parameters.only.contains(name))
    }

    /// The rules about one parameter, in order.
    pub(crate) fn parameter<'a>(
        &'a self,
        name: &'a str,
        reasoning: bool,
    ) -> impl Iterator<Item = &'r ParameterRule> + use<'r, 'a> {
        self.sets.iter().flat_map(move |set| {
            let more = if reasoning { set.while_reasoning.get(name) } else { None };
            set.parameters.get(name).into_iter().chain(more)
        })
    }

    /// How reasoning is given and taken.
    pub(crate) fn reasoning(&self) -> &'r Reasoning {
        let last = self.sets.iter().rev().find_map(|set| set.reasoning.as_ref());
        last.expect("the base has it")
    }

    /// What the provider wants of messages.
    pub(crate) fn messages(&self) -> &'r Messages {
        let last = self.sets.iter().rev().find_map(|set| set.messages.as_ref());
        last.expect("the base has it")
    }
}
