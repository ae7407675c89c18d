//! Calls of tools that a prompt dictates: `[[call NAME {ARGUMENTS}]]`. The model makes one a turn, in their order, and then
//! answers in text. So an agent's whole task can be played: what it does next depends on its conversation alone.

use serde_json::Value;

use crate::answer::ToolCall;

const OPENS: &str = "[[call ";

/// What the prompt wants of this turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It dictates nothing.
    #[default]
    Free,
    /// This call, if its tool is among those offered.
    Call(ToolCall),
    /// All its calls have been made.
    Done,
}

impl Plan {
    /// The plan of a request's body, whatever the dialect: the first text that dictates calls, and the calls already made.
    pub(crate) fn of(body: &Value) -> Self {
        let turns = ["messages", "input", "contents"].iter().map(|name| &body[*name]);
        let Some(turns) = turns.into_iter().find(|turns| !turns.is_null()) else { return Self::Free };
        let Some(text) = dictating(turns) else { return Self::Free };
        let calls = calls(text);
        match calls.into_iter().nth(made(turns)) {
            Some(call) => Self::Call(call),
            None => Self::Done,
        }
    }
}

/// The first text that dictates calls.
fn dictating(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => text.contains(OPENS).then_some(text),
        Value::Array(values) => values.iter().find_map(dictating),
        Value::Object(fields) => fields.values().find_map(dictating),
        _ => None,
    }
}

/// The calls in a text; what can't be read is none.
fn calls(text: &str) -> Vec<ToolCall> {
    let marked = text.split(OPENS).skip(1);
    marked.filter_map(|rest| call(rest.split_once(' ')?)).collect()
}

/// A call, from its name and what stands after it: one JSON object, then `]]`.
fn call((name, rest): (&str, &str)) -> Option<ToolCall> {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let arguments = values.next()?.ok().filter(Value::is_object)?;
    let closed = rest[values.byte_offset()..].starts_with("]]");
    closed.then(|| ToolCall { name: name.to_owned(), arguments: arguments.to_string() })
}

/// How many calls stand in the conversation.
fn made(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(made).sum(),
        Value::Object(fields) => {
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or("");
            let block = matches!(kind, "tool_use" | "function_call" | "custom_tool_call");
            let listed = fields.get("tool_calls").and_then(Value::as_array).map_or(0, Vec::len);
            let part = fields.contains_key("functionCall");
            let inside = ["content", "parts"].iter().filter_map(|name| fields.get(*name)).map(made);
            usize::from(block || part) + listed + inside.sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PROMPT: &str =
        r#"Do it. [[call write {"lines": [["x"]]}]] and [[call read {"path": "a"}]] then [[call bad]]"#;

    fn check(body: Value, wanted: Option<(&str, &str)>) {
        match (Plan::of(&body), wanted) {
            (Plan::Call(call), Some(wanted)) => assert_eq!((&*call.name, &*call.arguments), wanted),
            (Plan::Done, None) => {}
            (plan, wanted) => panic!("{plan:?}, not {wanted:?}"),
        }
    }

    #[test]
    fn calls_are_made_one_after_another_in_all_dialects() {
        let first = Some(("write", r#"{"lines":[["x"]]}"#));
        let second = Some(("read", r#"{"path":"a"}"#));
        let user = json!({"role": "user", "content": [{"type": "text", "text": PROMPT}]});
        check(json!({"messages": [user]}), first);
        check(json!({"input": PROMPT}), first);
        let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]});
        check(json!({"messages": [user, call]}), second);
        check(json!({"messages": [user, call, call]}), None);
        let block = json!({"role": "assistant", "content": [{"type": "tool_use", "input": {}}]});
        check(json!({"messages": [user, block]}), second);
        check(json!({"input": [user, {"type": "function_call"}, {"type": "function_call_output"}]}), second);
        let asked = json!({"role": "user", "parts": [{"text": PROMPT}]});
        let part = json!({"role": "model", "parts": [{"functionCall": {"name": "write", "args": {}}}]});
        check(json!({"contents": [asked, part]}), second);
    }

    #[test]
    fn a_text_without_calls_plans_nothing() {
        assert_eq!(Plan::of(&json!({"messages": [{"role": "user", "content": "[[sim:json]]"}]})), Plan::Free);
        assert_eq!(Plan::of(&json!({"model": "gpt-4o"})), Plan::Free);
    }
}
