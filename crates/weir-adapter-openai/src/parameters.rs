//! What becomes of one parameter on its way to the provider.

use std::borrow::Cow;

use weir_adapter::EncodeError;
use weir_adapter::descriptor::Clamp;
use weir_wire::peek;

use crate::rules::Active;

/// What becomes of one parameter.
#[derive(Debug, PartialEq)]
pub(crate) enum Fate<'r> {
    /// It goes as it is.
    Keep,
    /// It goes, otherwise.
    Change(Change<'r>),
    /// It is left out, and named where it said something (`null` says nothing).
    Drop,
}

/// What is otherwise.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change<'r> {
    /// Its name.
    pub(crate) name: Option<&'r str>,
    /// Its value, as JSON.
    pub(crate) value: Option<Cow<'r, [u8]>>,
    /// Whether it is less than what was asked.
    pub(crate) reported: bool,
}

/// Applies the rules about `name` to its JSON `value`.
///
/// # Errors
/// A parameter that the provider can't go without honouring.
pub(crate) fn fate<'r>(
    active: &Active<'r>,
    name: &str,
    value: &[u8],
    reasoning: bool,
) -> Result<Fate<'r>, EncodeError> {
    if !active.takes(name) && active.parameter(name, reasoning).all(|rule| rule.rename.is_none()) {
        return Ok(Fate::Drop);
    }
    let mut change = Change::default();
    for rule in active.parameter(name, reasoning) {
        let accepted = rule.accept.iter().any(|accepted| accepted.as_bytes() == value);
        if rule.drop && !accepted {
            return Ok(Fate::Drop);
        }
        if rule.forbid && !accepted && value != b"null" {
            let message = format!("this provider does not take `{name}`; leave it out or use another model");
            return Err(EncodeError::unsupported(name, message));
        }
        if let Some(new) = &rule.rename {
            change.name = Some(new);
        }
        if let Some(other) = peek::as_str(value).and_then(|text| rule.values.get(text.as_ref())) {
            change.value = Some(Cow::Owned(serde_json::to_vec(other).expect("a string is JSON")));
        }
        if let Some(bound) = rule.clamp.as_ref().and_then(|clamp| outside(clamp, value)) {
            change.value = Some(Cow::Borrowed(bound.as_bytes()));
            change.reported = true;
        }
    }
    Ok(if change == Change::default() { Fate::Keep } else { Fate::Change(change) })
}

/// The bound that `value` is brought to, if it is a number outside of the range.
fn outside<'c>(clamp: &'c Clamp, value: &[u8]) -> Option<&'c str> {
    let number = |text: &str| text.parse::<f64>().ok();
    let value = std::str::from_utf8(value).ok().and_then(number)?;
    let least = clamp.min.as_deref().filter(|bound| number(bound).is_some_and(|bound| value < bound));
    let most = clamp.max.as_deref().filter(|bound| number(bound).is_some_and(|bound| value > bound));
    least.or(most)
}

#[cfg(test)]
mod tests {
    use weir_adapter::Descriptor;

    use super::*;
    use crate::rules::Rules;

    fn rules() -> Rules {
        let yaml = r#"
name: x
dialect: openai
title: X
evidence: declared
source: test
date: 2026-01-01
auth: bearer
operations: [chat]
parameters:
  rename: { max_completion_tokens: max_tokens }
  drop: [seed]
  forbid: [n]
  accept: { n: ["1"] }
  clamp: { temperature: { min: "0", max: "1.5" } }
  values: { tool_choice: { required: any } }
model_rules:
  - models: ["r*"]
    while_reasoning: { drop: [top_p], accept: { top_p: ["1"] } }
  - models: ["strict"]
    parameters: { only: [model, messages, top_p] }
"#;
        Rules::new(&serde_saphyr::from_str::<Descriptor>(yaml).unwrap())
    }

    #[track_caller]
    fn check(model: &str, name: &str, value: &str, expected: &str) {
        let rules = rules();
        let active = rules.of(model);
        let found = match fate(&active, name, value.as_bytes(), true) {
            Ok(Fate::Keep) => "keep".to_owned(),
            Ok(Fate::Drop) => "drop".to_owned(),
            Ok(Fate::Change(change)) => format!(
                "{}={}{}",
                change.name.unwrap_or(name),
                change.value.map_or(value.to_owned(), |new| String::from_utf8(new.into_owned()).unwrap()),
                if change.reported { " reported" } else { "" }
            ),
            Err(error) => format!("{error}"),
        };
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn follows_the_rules() {
        check("m", "top_p", "0.5", "keep");
        check("m", "seed", "1", "drop");
        check("m", "n", "1", "keep");
        check("m", "n", "null", "keep");
        check("m", "n", "2", "this provider does not take `n`; leave it out or use another model");
        check("m", "max_completion_tokens", "5", "max_tokens=5");
        check("m", "temperature", "1", "keep");
        check("m", "temperature", "2", "temperature=1.5 reported");
        check("m", "temperature", "-1", "temperature=0 reported");
        check("m", "temperature", "\"x\"", "keep");
        check("m", "tool_choice", "\"required\"", "tool_choice=\"any\"");
        check("m", "tool_choice", "\"auto\"", "keep");
        check("r1", "top_p", "0.5", "drop");
        check("r1", "top_p", "1", "keep");
        check("strict", "user", "\"u\"", "drop");
        check("strict", "top_p", "0.5", "keep");
    }
}
