//! How long to think: `thinkingConfig`.

use serde_json::{Map, Value};
use weir_wire::openai::chat::Request;

use crate::facts::{Facts, Thinking};
use crate::wire::GenerateContent;

/// What the client asks for, in whichever form.
#[derive(Default)]
struct Asked<'s> {
    /// Where it stands in the client's body.
    path: &'static str,
    effort: Option<&'s str>,
    /// Tokens to think with.
    budget: Option<u64>,
    /// Whether thoughts shall stay out of the answer.
    exclude: bool,
}

/// Writes `thinkingConfig` from `reasoning_effort`, from OpenRouter's `reasoning`, or from Anthropic's `thinking` and
/// `output_config.effort`.
/// Where one is sent, summaries of the thoughts come with the answer.
pub(super) fn write(
    settings: &Request,
    facts: Facts<'_>,
    body: &mut GenerateContent,
    dropped: &mut Vec<String>,
) {
    let Some(asked) = asked(settings) else { return };
    let mut config = Map::new();
    let off = asked.effort == Some("none");
    match (facts.thinking(), asked.effort, asked.budget) {
        (Thinking::None, Some("none"), _) => return,
        (Thinking::None, ..) => return dropped.push(asked.path.to_owned()),
        (Thinking::Budget, _, Some(budget)) => {
            drop(config.insert("thinkingBudget".to_owned(), budget.into()))
        }
        (_, Some(effort), _) => match facts.effort(effort) {
            Some((value, exact)) => {
                config.extend(setting(facts.thinking(), value));
                if !exact {
                    dropped.push(asked.path.to_owned());
                }
            }
            None => dropped.push(asked.path.to_owned()),
        },
        (Thinking::Level, None, Some(_)) => dropped.push(format!("{}.budget", asked.path)),
        (_, None, None) => {}
    }
    if !off && !asked.exclude {
        config.insert("includeThoughts".to_owned(), true.into());
    }
    if !config.is_empty() {
        body.generation_config.insert("thinkingConfig".to_owned(), Value::Object(config));
    }
}

fn setting(thinking: Thinking, value: &str) -> Option<(String, Value)> {
    match thinking {
        Thinking::Budget => Some(("thinkingBudget".to_owned(), value.parse::<i64>().ok()?.into())),
        Thinking::Level => Some(("thinkingLevel".to_owned(), value.into())),
        Thinking::None => None,
    }
}

fn asked(settings: &Request) -> Option<Asked<'_>> {
    if let Some(effort) = settings.reasoning_effort.as_deref() {
        return Some(Asked { path: "reasoning_effort", effort: Some(effort), ..Asked::default() });
    }
    if let Some(reasoning) = settings.extra.get("reasoning").and_then(Value::as_object) {
        let enabled = reasoning.get("enabled").and_then(Value::as_bool);
        let effort = reasoning.get("effort").and_then(Value::as_str);
        return Some(Asked {
            path: "reasoning",
            effort: if enabled == Some(false) { Some("none") } else { effort },
            budget: reasoning.get("max_tokens").and_then(Value::as_u64),
            exclude: reasoning.get("exclude") == Some(&Value::Bool(true)),
        });
    }
    let output = settings.extra.get("output_config").and_then(|output| output.get("effort"));
    let effort = output.and_then(Value::as_str);
    let Some(thinking) = settings.extra.get("thinking").and_then(Value::as_object) else {
        return effort.map(|effort| Asked {
            path: "output_config",
            effort: Some(effort),
            ..Asked::default()
        });
    };
    let disabled = thinking.get("type").is_some_and(|kind| kind == "disabled");
    let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
    let exclude = thinking.get("display").is_some_and(|display| display == "omitted");
    Some(Asked { path: "thinking", effort: if disabled { Some("none") } else { effort }, budget, exclude })
}
