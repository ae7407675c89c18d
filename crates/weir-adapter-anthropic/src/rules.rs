//! What a descriptor says about one model.

use serde_json::{Number, Value};
use weir_adapter::Descriptor;
use weir_adapter::descriptor::{Clamp, ModelRule, Parameters};

/// The rules that apply to one model, in order.
pub(crate) struct Rules<'d> {
    descriptor: &'d Descriptor,
    rules: Vec<&'d ModelRule>,
}

/// What becomes of a parameter.
#[derive(Debug, PartialEq)]
pub(crate) enum Treatment {
    /// It goes on.
    Keep,
    /// It is left out.
    Drop,
    /// It is refused.
    Forbid,
    /// This goes instead.
    Clamp(Number),
}

/// How a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// It does not.
    None,
    /// With a budget in tokens.
    Budget,
    /// As much as it sees fit, by effort.
    Adaptive,
}

impl<'d> Rules<'d> {
    pub(crate) fn of(descriptor: &'d Descriptor, model: &str) -> Rules<'d> {
        Rules { descriptor, rules: descriptor.rules(model).collect() }
    }

    /// The value of the last rule that states this fact.
    pub(crate) fn fact(&self, name: &str) -> Option<&'d str> {
        self.rules.iter().rev().find_map(|rule| rule.facts.get(name)).map(String::as_str)
    }

    /// Whether a fact is `yes`.
    pub(crate) fn yes(&self, name: &str) -> bool {
        self.fact(name) == Some("yes")
    }

    /// Whether a fact, a list with commas, has this word.
    pub(crate) fn has(&self, name: &str, word: &str) -> bool {
        self.fact(name).is_some_and(|list| list.split(',').any(|item| item.trim() == word))
    }

    /// How the model thinks.
    pub(crate) fn thinking(&self) -> Thinking {
        match self.fact("thinking") {
            Some("budget") => Thinking::Budget,
            Some("adaptive") => Thinking::Adaptive,
            _ => Thinking::None,
        }
    }

    /// The most tokens that the model makes.
    pub(crate) fn output_limit(&self) -> Option<u64> {
        self.rules.iter().rev().find_map(|rule| rule.output_limit)
    }

    /// Whether the provider has a parameter of this name beyond OpenAI's.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.parameters(false).any(|parameters| parameters.extra.iter().any(|extra| extra == name))
    }

    /// What becomes of a parameter; `reasoning` says whether the model will think.
    pub(crate) fn treat(&self, name: &str, value: &Value, reasoning: bool) -> Treatment {
        let text = value.to_string();
        let accepted = |parameters: &Parameters| {
            parameters.accept.get(name).is_some_and(|values| values.contains(&text))
        };
        for parameters in self.parameters(reasoning) {
            let named = |list: &[String]| list.iter().any(|item| item == name);
            if named(&parameters.forbid) && !accepted(parameters) {
                return Treatment::Forbid;
            }
            if named(&parameters.drop) && !accepted(parameters) {
                return Treatment::Drop;
            }
        }
        let clamps = self.parameters(reasoning).filter_map(|parameters| parameters.clamp.get(name));
        clamps.filter_map(|range| clamp(range, value)).last().map_or(Treatment::Keep, Treatment::Clamp)
    }

    fn parameters(&self, reasoning: bool) -> impl Iterator<Item = &'d Parameters> + use<'d, '_> {
        let rules = self.rules.iter().flat_map(move |rule| {
            std::iter::once(&rule.parameters).chain(reasoning.then_some(&rule.while_reasoning))
        });
        std::iter::once(&self.descriptor.parameters).chain(rules)
    }
}

/// The nearest value in the range, where `value` lies outside.
fn clamp(range: &Clamp, value: &Value) -> Option<Number> {
    let number = value.as_f64()?;
    let bound = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Number>().ok());
    let (min, max) = (bound(&range.min), bound(&range.max));
    let below = min.filter(|min| min.as_f64().is_some_and(|min| number < min));
    below.or(max.filter(|max| max.as_f64().is_some_and(|max| number > max)))
}
