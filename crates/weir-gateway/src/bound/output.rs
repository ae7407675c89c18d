//! How many tokens a call can make at a target, and which limit has to be sent for that.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use weir_adapter::{Operation, Request};
use weir_wire::peek::as_u64;

use crate::call::Call;
use crate::snapshot::{Route, Target};

/// What admission wants of a call's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A limit must be sent, whether the client set one or not: a hard budget applies.
    pub limit: bool,
    /// No choice may get longer than this, whatever the client set.
    pub cap: Option<u64>,
}

/// How many tokens a call can make at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The limit to send because the client set none.
    pub injected: Option<u64>,
    /// What the client's own limit is lowered to.
    pub lowered: Option<u64>,
    /// Tokens over all choices, at most; `None` where nobody says.
    pub tokens: Option<u64>,
    /// How many choices are made.
    pub choices: u64,
}

/// Tokens that are left for an answer where the prompt's bytes alone would fill the window.
const LEAST: u64 = 1_024;

impl Output {
    /// Of this call at `target`.
    pub fn of(call: &Call, route: &Route, target: &Target, wanted: Wanted) -> Output {
        let request = &call.request;
        if !super::makes_tokens(request.operation) {
            return Output { injected: None, lowered: None, tokens: Some(0), choices: 1 };
        }
        let choices = choices(request);
        let client = request.peek().output_limit.or_else(|| default_limit(call, route));
        let own = || route.max_output_tokens.or(target.output_limit);
        let (injected, lowered, each) = match client {
            Some(limit) => {
                let lowered = wanted.cap.filter(|cap| *cap < limit && request.verbatim.is_none());
                (None, lowered, Some(lowered.unwrap_or(limit)))
            }
            // What goes on as it came has no limit but its own.
            None if request.verbatim.is_some() => (None, None, target.output_limit),
            None if wanted.limit || wanted.cap.is_some() => {
                let left = context_left(request, target);
                let limit = match (own(), left) {
                    (Some(limit), Some(left)) => Some(limit.min(left)),
                    (limit, left) => limit.or(left),
                };
                let limit = match (limit, wanted.cap) {
                    (Some(limit), Some(cap)) => Some(limit.min(cap)),
                    (limit, cap) => limit.or(cap),
                };
                (limit, None, limit)
            }
            None => (None, None, target.output_limit),
        };
        Output { injected, lowered, tokens: each.map(|each| each.saturating_mul(choices)), choices }
    }
}

/// The key's own default, else the route's, which goes as if the client had sent it.
fn default_limit(call: &Call, route: &Route) -> Option<u64> {
    let limit = |defaults: &Map<String, Value>| {
        ["max_completion_tokens", "max_tokens"].iter().find_map(|name| defaults.get(*name)?.as_u64())
    };
    call.caller.defaults.as_ref().and_then(limit).or_else(|| route.defaults.as_ref().and_then(limit))
}

/// What the window leaves for an answer. A prompt's tokens are not known before it is sent: as many as its bytes at
/// most, about a third as a rule.
fn context_left(request: &Request, target: &Target) -> Option<u64> {
    let window = target.limits.window_of(request)?;
    let bytes = request.raw().len() as u64;
    let sure = window.saturating_sub(bytes.saturating_add(super::REQUEST_OVERHEAD));
    let likely = window.saturating_sub(bytes / 3);
    Some(if sure >= LEAST { sure } else { likely.max(LEAST.min(window)) })
}

/// How many answers are made: `n`, or `best_of` where that is more, for each prompt.
fn choices(request: &Request) -> u64 {
    let (raw, peek) = (request.raw(), request.peek());
    let asked = u64::from(peek.choices.max(1));
    if request.operation != Operation::Completions {
        return asked;
    }
    let value = |name| peek.members.value(raw, name);
    let best = value("best_of").and_then(as_u64).unwrap_or(0);
    let prompts = value("prompt").map_or(1, |prompt| {
        let first = prompt.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
        match (prompt.first(), first) {
            (Some(b'['), Some(b'"' | b'[')) => {
                serde_json::from_slice::<Vec<IgnoredAny>>(prompt).map_or(1, |list| list.len().max(1)) as u64
            }
            _ => 1,
        }
    });
    asked.max(best).saturating_mul(prompts)
}
