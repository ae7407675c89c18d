//! What the simulated model says: the same for the same request, and nothing to do with any dialect.

use serde_json::Value;

use crate::ask::{Ask, Choice};
use crate::behaviour::Behaviour;
use crate::plan::Plan;
use crate::schema;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Words that answers are made of; some are not ASCII, so that split characters are noticed.
const WORDS: [&str; 32] = [
    "river", "weir", "water", "naïve", "stone", "bridge", "lantern", "café", "measure", "quiet", "雨",
    "gate", "flows", "Ω", "market", "north", "copper", "letter", "über", "mill", "paper", "steady", "night",
    "🚣", "harbour", "count", "silver", "path", "signal", "garden", "winter", "again",
];

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// At this stop sequence.
    StopSequence(String),
    Length,
    ToolCalls,
    Refusal,
    Filtered,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// The arguments as JSON text; cut short when the token limit fell into them.
    pub(crate) arguments: String,
}

impl ToolCall {
    /// The arguments as an object; empty if they are cut.
    pub(crate) fn object(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| Value::Object(serde_json::Map::new()))
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) reasoning: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
    /// Output tokens; `output` and `reasoning` only.
    pub(crate) tokens: Tokens,
}

/// The answer with that index (of several to one request).
pub(crate) fn answer(ask: &Ask, model: &str, behaviour: &Behaviour, index: u64) -> Answer {
    let seed = hash((ask.seed, index));
    let limit = if behaviour.has("ignore_max_tokens") { None } else { ask.max_tokens };
    let mut left = limit.unwrap_or(u64::MAX);
    let reasoning = sentence(seed ^ 1, behaviour.reasoning_tokens.unwrap_or(ask.reasoning));
    let (reasoning, reasoning_whole) = take(&reasoning, &mut left);
    let mut finish = if reasoning_whole { Finish::Stop } else { Finish::Length };
    let wants_calls = finish == Finish::Stop && calls_tools(ask, model, behaviour);
    let mut text = String::new();
    if finish == Finish::Stop && (!wants_calls || behaviour.has("text_tool")) {
        let full =
            if wants_calls { "Let me look that up.".to_owned() } else { say(ask, model, behaviour, seed) };
        let full = rest(full, &ask.start, behaviour.has("echo_start"));
        (text, finish) = cut(full, &ask.stop, &mut left);
    }
    let mut calls = Vec::new();
    if wants_calls && finish == Finish::Stop {
        finish = Finish::ToolCalls;
        for mut call in make_calls(ask, behaviour, seed) {
            left = left.saturating_sub(tokens::count(&call.name));
            let (arguments, whole) = take(&call.arguments, &mut left);
            call.arguments = arguments;
            calls.push(call);
            if !whole {
                finish = Finish::Length;
                break;
            }
        }
    }
    if behaviour.has("refusal") || behaviour.has("filtered") {
        finish = if behaviour.has("refusal") { Finish::Refusal } else { Finish::Filtered };
        text = "I can't help with that.".to_owned();
        calls.clear();
    }
    let call_tokens: u64 =
        calls.iter().map(|call| tokens::count(&call.name) + tokens::count(&call.arguments)).sum();
    let tokens = Tokens {
        output: tokens::count(&text) + call_tokens,
        reasoning: tokens::count(&reasoning),
        ..Tokens::default()
    };
    Answer { reasoning, text, calls, finish, tokens }
}

/// Whether the model calls tools rather than answer.
fn calls_tools(ask: &Ask, model: &str, behaviour: &Behaviour) -> bool {
    if ask.callable().is_empty() || behaviour.tool_calls == Some(0) {
        return false;
    }
    match ask.choice {
        Choice::Required | Choice::Among(_) => true,
        Choice::None => false,
        Choice::Auto if behaviour.plan != Plan::Free => planned(ask, behaviour).is_some(),
        Choice::Auto => {
            let asked = ask.schema.is_none() || behaviour.tool_calls.is_some() || model == "tools";
            ask.tool_results.is_empty() && asked
        }
    }
}

/// The call that the prompt dictates for this turn, if its tool is offered.
fn planned<'a>(ask: &Ask, behaviour: &'a Behaviour) -> Option<&'a ToolCall> {
    match &behaviour.plan {
        Plan::Call(call) if ask.callable().iter().any(|tool| tool.name == call.name) => Some(call),
        _ => None,
    }
}

fn make_calls(ask: &Ask, behaviour: &Behaviour, seed: u64) -> Vec<ToolCall> {
    let tools = ask.callable();
    if let Some(call) = planned(ask, behaviour) {
        return vec![call.clone()];
    }
    let wanted = if ask.parallel { behaviour.tool_calls.unwrap_or(1).max(1) } else { 1 };
    (0..wanted)
        .map(|index| {
            let tool = tools[index % tools.len()];
            let filler = schema::Filler { seed: hash((seed, index)), hard: behaviour.has("hard_args") };
            let arguments = schema::instance(&tool.schema, &filler);
            let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
            let arguments = if behaviour.has("bad_args") { format!("{arguments},,oops") } else { arguments };
            ToolCall { name: tool.name.clone(), arguments }
        })
        .collect()
}

/// The answer's text before any limit.
fn say(ask: &Ask, model: &str, behaviour: &Behaviour, seed: u64) -> String {
    let ten_times =
        behaviour.has("ignore_max_tokens").then_some(ask.max_tokens).flatten().map(|limit| limit * 10);
    if let Some(length) = behaviour.len.map(|len| len as u64).or(ten_times) {
        return sentence(seed, length);
    }
    if let Some(schema) = &ask.schema {
        let filler = schema::Filler { seed, hard: behaviour.has("hard_args") };
        return schema::instance(schema, &filler).to_string();
    }
    if ask.json || behaviour.has("json") {
        return format!("{{\"answer\": \"{}\", \"number\": {}}}", sentence(seed, 4), seed % 100);
    }
    if !ask.tool_results.is_empty() {
        return format!("The tools say: {}", ask.tool_results.join("; "));
    }
    match model {
        "echo" => ask.user_text.clone(),
        "tools" => "Send me a `tools` list and I will call the first one.".to_owned(),
        _ => format!("You said: {} {}.", tokens::truncate(&ask.user_text, 24), sentence(seed, 8 + seed % 24)),
    }
}

/// What comes after the start that was given; all of it for who repeats that.
fn rest(full: String, start: &str, echoes: bool) -> String {
    match full.strip_prefix(start) {
        Some(_) if echoes => full,
        Some(rest) => rest.to_owned(),
        None if echoes => format!("{start} {full}"),
        None => format!(" {full}"),
    }
}

/// `length` tokens of words, each one token.
fn sentence(seed: u64, length: u64) -> String {
    let mut state = seed | 1;
    let mut text = String::new();
    for index in 0..length {
        // A xorshift: the words need to differ, not to be random.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if index > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[usize::try_from(state % WORDS.len() as u64).unwrap_or(0)]);
    }
    text
}

/// The text up to the first stop sequence and within the tokens left.
fn cut(text: String, stop: &[String], left: &mut u64) -> (String, Finish) {
    let hit = stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop)))
        .min();
    let (text, finish) = match hit {
        Some((at, stop)) => (text[..at].to_owned(), Finish::StopSequence(stop.clone())),
        None => (text, Finish::Stop),
    };
    let (kept, whole) = take(&text, left);
    if whole { (kept, finish) } else { (kept, Finish::Length) }
}

/// What fits into the tokens left, and whether that is all.
fn take(text: &str, left: &mut u64) -> (String, bool) {
    let kept = tokens::truncate(text, *left);
    *left = left.saturating_sub(tokens::count(kept));
    (kept.to_owned(), kept.len() == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Tool;
    use serde_json::json;

    fn plain() -> Ask {
        Ask { user_text: "how deep is it".into(), seed: 7, parallel: true, ..Ask::default() }
    }

    #[test]
    fn limits_and_stops_hold() {
        let none = Behaviour::default();
        let full = answer(&plain(), "gpt-4o", &none, 0);
        assert_eq!(full.finish, Finish::Stop);
        assert!(full.text.starts_with("You said: how deep is it "), "{}", full.text);
        let short = answer(&Ask { max_tokens: Some(3), ..plain() }, "gpt-4o", &none, 0);
        assert_eq!((short.finish.clone(), short.tokens.output), (Finish::Length, 3));
        assert!(full.text.starts_with(&short.text));
        let stopped = answer(&Ask { stop: vec!["deep".into(), "how".into()], ..plain() }, "gpt-4o", &none, 0);
        assert_eq!(
            (stopped.text.as_str(), stopped.finish),
            ("You said: ", Finish::StopSequence("how".into()))
        );
        let thinking = Ask { reasoning: 10, max_tokens: Some(4), ..plain() };
        let thinking = answer(&thinking, "gpt-4o", &none, 0);
        assert_eq!(
            (thinking.finish, thinking.tokens.reasoning, thinking.text.as_str()),
            (Finish::Length, 4, "")
        );
        let long = answer(&plain(), "gpt-4o", &Behaviour::parse("len=50").unwrap(), 0);
        assert_eq!(long.tokens.output, 50);
    }

    #[test]
    fn tools_are_called_until_their_results_stand() {
        let schema =
            json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let tools = vec![Tool { name: "weather".into(), schema }];
        let ask = Ask { tools, ..plain() };
        let none = Behaviour::default();
        let called = answer(&ask, "gpt-4o", &none, 0);
        assert_eq!((called.finish, called.calls.len()), (Finish::ToolCalls, 1));
        assert!(called.calls[0].object()["city"].is_string());
        assert_eq!(answer(&ask, "gpt-4o", &Behaviour::parse("tool_calls=3").unwrap(), 0).calls.len(), 3);
        let done = Ask { tool_results: vec!["sunny".into()], ..ask.clone() };
        assert_eq!(answer(&done, "gpt-4o", &none, 0).text, "The tools say: sunny");
        let never = Ask { choice: Choice::None, ..ask.clone() };
        assert!(answer(&never, "gpt-4o", &none, 0).calls.is_empty());
        let cut = answer(&Ask { max_tokens: Some(3), ..ask }, "gpt-4o", &none, 0);
        assert_eq!(cut.finish, Finish::Length);
        assert!(serde_json::from_str::<Value>(&cut.calls[0].arguments).is_err());
    }
}
