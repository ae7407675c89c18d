//! Whether and how long the model thinks: each family has words of its own for it, which the model's rules name.

use serde_json::{Value, json};
use weir_wire::openai::chat;

use super::Draft;

/// The least budget that Claude takes, in tokens.
const LEAST: u64 = 1024;
/// Budgets for OpenAI's words, in tokens.
const BUDGETS: &[(&str, u64)] = &[
    ("minimal", LEAST),
    ("low", 4096),
    ("medium", 12_288),
    ("high", 24_576),
    ("xhigh", 49_152),
    ("max", 49_152),
];

/// Writes what asks for reasoning, and says whether the model then thinks. `limit` is the most tokens that it makes.
pub(super) fn write(
    draft: &mut Draft<'_>,
    request: &chat::Request,
    limit: Option<u64>,
    forced: bool,
) -> bool {
    // Claude's own parameters, as they are.
    if let Some(config) = request.extra.get("output_config").filter(|config| config.is_object()) {
        draft.fields.insert("output_config".to_owned(), config.clone());
    }
    if let Some(thinking) = request.extra.get("thinking").filter(|thinking| thinking.is_object()) {
        draft.fields.insert("thinking".to_owned(), thinking.clone());
        return thinking["type"] != "disabled";
    }
    if let Some(thinking) = draft.fields.get("thinking") {
        return thinking["type"] != "disabled";
    }
    let asked = request.extra.get("reasoning").filter(|reasoning| reasoning.is_object());
    let effort = request.reasoning_effort.as_deref().or_else(|| asked?["effort"].as_str());
    let budget = asked.and_then(|asked| asked["max_tokens"].as_u64());
    let Some(effort) = effort.or(budget.map(|_| "medium")) else { return false };
    let way = draft.descriptor.fact(draft.model, "reasoning").unwrap_or_default().to_owned();
    let done = match way.as_str() {
        "budget" => thinks_within(draft, effort, budget, limit, forced),
        "adaptive" => thinks_adaptively(draft, effort),
        "effort" => {
            let word = if effort == "none" { None } else { Some(of_three(effort)) };
            word.map(|word| draft.fields.insert("reasoning_effort".to_owned(), word.into())).is_some()
        }
        "nova" => {
            let config = match effort {
                "none" => json!({"type": "disabled"}),
                effort => json!({"type": "enabled", "maxReasoningEffort": of_three(effort)}),
            };
            draft.fields.insert("reasoningConfig".to_owned(), config);
            true
        }
        // What does not think has nothing to turn off.
        _ => effort == "none",
    };
    if !done {
        draft.dropped.push("reasoning_effort".to_owned());
    }
    done && effort != "none"
}

/// The nearest of three levels.
fn of_three(effort: &str) -> &'static str {
    match effort {
        "minimal" | "low" => "low",
        "medium" => "medium",
        _ => "high",
    }
}

/// A budget must leave room for the answer, and excludes a call that must be made.
fn thinks_within(
    draft: &mut Draft<'_>,
    effort: &str,
    budget: Option<u64>,
    limit: Option<u64>,
    forced: bool,
) -> bool {
    if effort == "none" {
        return true;
    }
    let named = BUDGETS.iter().find(|(name, _)| *name == effort).map(|(_, budget)| *budget);
    let Some(budget) = budget.or(named).filter(|_| !forced) else { return false };
    let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(1));
    if room < LEAST {
        return false;
    }
    let budget = budget.max(LEAST).min(room);
    draft.fields.insert("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": budget}));
    true
}

fn thinks_adaptively(draft: &mut Draft<'_>, effort: &str) -> bool {
    let kind = if effort == "none" { "disabled" } else { "adaptive" };
    draft.fields.insert("thinking".to_owned(), json!({"type": kind}));
    if effort != "none" {
        let word = if effort == "minimal" { "low" } else { effort };
        draft.output("effort", Value::from(word));
    }
    true
}
