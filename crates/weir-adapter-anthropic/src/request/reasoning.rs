//! Whether and how the model thinks.

use serde_json::{Value, json};
use weir_wire::openai::chat;

use super::draft::Draft;
use super::messages::Conversation;
use super::tools::is_forced;
use crate::rules::Thinking;

/// The least budget that Anthropic takes, in tokens.
const LEAST: u64 = 1024;

/// Budgets for OpenAI's words, in tokens.
const BUDGETS: [(&str, u64); 6] = [
    ("minimal", LEAST),
    ("low", 4096),
    ("medium", 12_288),
    ("high", 24_576),
    ("xhigh", 49_152),
    ("max", 49_152),
];

/// Efforts from least to most.
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// What is sent.
#[derive(Debug, Default)]
pub(super) struct Plan {
    config: Option<Value>,
    effort: Option<&'static str>,
    /// The client's parameter that asked for it.
    asked_by: &'static str,
    /// The client wrote Anthropic's own parameter: nothing is changed about it.
    verbatim: bool,
}

/// What the client asks for.
struct Wish {
    by: &'static str,
    effort: Option<String>,
    budget: Option<u64>,
    off: bool,
}

impl Plan {
    /// By the request, the most tokens to make, and what the model can do.
    pub(super) fn of(
        chat: &chat::Request,
        limit: u64,
        conversation: &Conversation,
        draft: &mut Draft<'_>,
    ) -> Plan {
        if let Some(thinking) = chat.extra.get("thinking").filter(|thinking| thinking.is_object()) {
            return Plan { config: Some(thinking.clone()), verbatim: true, ..Plan::default() };
        }
        let own_effort = chat.extra.get("output_config").is_some_and(|config| config.get("effort").is_some());
        let Some(wish) = wish(chat, draft).filter(|_| !own_effort) else { return Plan::default() };
        let mut plan = Plan { asked_by: wish.by, ..Plan::default() };
        let possible = match draft.rules.thinking() {
            _ if wish.off => plan.turn_off(draft),
            Thinking::None => false,
            Thinking::Budget => plan.budget(&wish, limit, conversation),
            Thinking::Adaptive => plan.adaptive(&wish, draft),
        };
        if !possible {
            draft.drop(wish.by);
        }
        plan
    }

    /// Whether the model will think because it was asked to.
    pub(super) fn on(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config["type"] != "disabled")
    }

    /// The `thinking` member.
    pub(super) fn config(&self) -> Option<Value> {
        self.config.clone()
    }

    /// The `output_config.effort` member.
    pub(super) fn effort(&self) -> Option<&'static str> {
        self.effort
    }

    /// A budget and a forced call exclude each other: the call rules.
    pub(super) fn yield_to(&mut self, choice: Option<&Value>, draft: &mut Draft<'_>) {
        let budget = self.config.as_ref().is_some_and(|config| config["type"] == "enabled");
        if budget && !self.verbatim && choice.is_some_and(is_forced) {
            self.config = None;
            draft.drop(self.asked_by);
        }
    }

    fn turn_off(&mut self, draft: &Draft<'_>) -> bool {
        match draft.rules.fact("thinking_default") {
            Some("always") => false,
            Some("on") => {
                self.config = Some(json!({"type": "disabled"}));
                true
            }
            _ => true,
        }
    }

    fn budget(&mut self, wish: &Wish, limit: u64, conversation: &Conversation) -> bool {
        let word = wish.effort.as_deref().unwrap_or("medium");
        let named = BUDGETS.iter().find(|(name, _)| *name == word).map(|(_, budget)| *budget);
        let Some(budget) = wish.budget.or(named) else { return false };
        // The answer needs room too: a fifth of the limit stays for it.
        let budget = budget.max(LEAST).min(limit - limit / 5);
        if budget < LEAST || budget >= limit || conversation.goes_on_without_thinking() {
            return false;
        }
        self.config = Some(json!({"type": "enabled", "budget_tokens": budget}));
        true
    }

    fn adaptive(&mut self, wish: &Wish, draft: &Draft<'_>) -> bool {
        let mut config = json!({"type": "adaptive"});
        if let Some(display) = draft.rules.fact("display") {
            config["display"] = display.into();
        }
        self.config = Some(config);
        let word = match (wish.effort.as_deref(), wish.budget) {
            (Some("minimal"), _) => "low",
            (Some(word), _) => word,
            (None, Some(budget)) => {
                let fits = BUDGETS[1..].iter().find(|(_, most)| budget <= *most);
                fits.map_or("high", |(word, _)| word)
            }
            (None, None) => return true,
        };
        let Some(at) = EFFORTS.iter().position(|effort| *effort == word) else { return false };
        let able = |effort: &&&'static str| draft.rules.has("efforts", effort);
        self.effort = EFFORTS[..=at].iter().rev().find(able).copied();
        // A budget is not an effort, and less than asked is not what was asked.
        wish.budget.is_none() && self.effort == Some(EFFORTS[at])
    }
}

/// What the client asks for: OpenRouter's `reasoning` first, then OpenAI's `reasoning_effort`.
fn wish(chat: &chat::Request, draft: &mut Draft<'_>) -> Option<Wish> {
    let object = chat.extra.get("reasoning").and_then(Value::as_object);
    let Some(object) = object else {
        let effort = chat.reasoning_effort.clone()?;
        return Some(Wish {
            by: "reasoning_effort",
            off: effort == "none",
            effort: Some(effort),
            budget: None,
        });
    };
    for name in object.keys().filter(|name| !matches!(name.as_str(), "effort" | "max_tokens" | "enabled")) {
        draft.drop(format!("reasoning.{name}"));
    }
    let effort = object.get("effort").and_then(Value::as_str).map(str::to_owned);
    let effort = effort.or_else(|| chat.reasoning_effort.clone());
    let budget = object.get("max_tokens").and_then(Value::as_u64);
    let enabled = object.get("enabled").and_then(Value::as_bool);
    let off = enabled == Some(false) || effort.as_deref() == Some("none") || budget == Some(0);
    let asked = effort.is_some() || budget.is_some() || enabled.is_some();
    asked.then_some(Wish { by: "reasoning", effort, budget, off })
}
