//! Rules about messages. The list is opened only where a word in it says that a rule may apply.

use memchr::memmem;
use serde_json::{Map, Value};
use weir_adapter::InvalidRequest;
use weir_adapter::descriptor::{Messages, Reasoning, Replay, SystemRole, ToolIds};

use crate::ids::Shortener;

/// The names that reasoning has in messages.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// The raw list of messages as the provider wants it; `None` where nothing changes.
///
/// # Errors
/// A list that holds something else than objects.
pub(crate) fn rewrite(
    raw: &[u8],
    wanted: &Messages,
    reasoning: &Reasoning,
) -> Result<Option<Vec<u8>>, InvalidRequest> {
    if !may_apply(raw, wanted, reasoning) {
        return Ok(None);
    }
    let mut messages: Vec<Map<String, Value>> = serde_json::from_slice(raw)
        .map_err(|_| InvalidRequest::value("messages", "messages must be objects"))?;
    let mut ids = Shortener::default();
    let mut changed = false;
    for message in &mut messages {
        changed |= role(message, wanted.system);
        changed |= replay(message, reasoning);
        if wanted.tool_ids == ToolIds::Nine {
            changed |= tool_ids(message, &mut ids);
        }
    }
    Ok(changed.then(|| serde_json::to_vec(&messages).expect("values are JSON")))
}

/// A cheap look: false where no rule can apply.
fn may_apply(raw: &[u8], wanted: &Messages, reasoning: &Reasoning) -> bool {
    let has = |needle: &str| memmem::find(raw, needle.as_bytes()).is_some();
    let role = match wanted.system {
        SystemRole::Keep => false,
        SystemRole::System => has("\"developer\""),
        SystemRole::Developer => has("\"system\""),
        SystemRole::User => has("\"system\"") || has("\"developer\""),
    };
    role || (wanted.tool_ids == ToolIds::Nine && has("\"tool_call"))
        || (reasoning.replay == Replay::Verbatim && has("\"tool_calls\""))
        || ((reasoning.replay == Replay::Forbid || reasoning.field.is_some()) && has("\"reasoning"))
}

fn role(message: &mut Map<String, Value>, wanted: SystemRole) -> bool {
    let name = match wanted {
        SystemRole::Keep => return false,
        SystemRole::System => "system",
        SystemRole::Developer => "developer",
        SystemRole::User => "user",
    };
    match message.get_mut("role") {
        Some(Value::String(role)) if matches!(role.as_str(), "system" | "developer") && role != name => {
            name.clone_into(role);
            true
        }
        _ => false,
    }
}

/// Earlier reasoning: taken out, or put under the name that the provider knows, or made where it must not be absent.
fn replay(message: &mut Map<String, Value>, wanted: &Reasoning) -> bool {
    if message.get("role").and_then(Value::as_str) != Some("assistant") {
        return false;
    }
    if wanted.replay == Replay::Forbid {
        let before = message.len();
        message.retain(|name, _| !REASONING.contains(&name.as_str()));
        return message.len() != before;
    }
    let Some(field) = wanted.field.as_deref() else { return false };
    let mut changed = false;
    if let Some(other) = REASONING.into_iter().find(|name| *name != field)
        && !message.contains_key(field)
        && let Some(text) = message.shift_remove(other)
    {
        message.insert(field.to_owned(), text);
        changed = true;
    }
    if wanted.replay == Replay::Verbatim && message.contains_key("tool_calls") && !message.contains_key(field)
    {
        message.insert(field.to_owned(), Value::String(String::new()));
        changed = true;
    }
    changed
}

fn tool_ids(message: &mut Map<String, Value>, ids: &mut Shortener) -> bool {
    let mut changed = false;
    let mut shorten = |value: Option<&mut Value>| {
        if let Some(Value::String(id)) = value {
            let short = ids.shorten(id);
            changed |= short != *id;
            *id = short;
        }
    };
    shorten(message.get_mut("tool_call_id"));
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        shorten(call.get_mut("id"));
    }
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(wanted: &Messages, reasoning: &Reasoning, messages: Value, expected: Option<Value>) {
        let raw = serde_json::to_vec(&messages).unwrap();
        let found = rewrite(&raw, wanted, reasoning).unwrap();
        assert_eq!(found.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap()), expected);
    }

    fn system(system: SystemRole) -> Messages {
        Messages { system, ..Messages::default() }
    }

    #[test]
    fn names_the_developer_as_the_provider_does() {
        let plain = Reasoning::default();
        let messages = json!([{"role": "developer", "content": "a"}, {"role": "user", "content": "system"}]);
        check(&system(SystemRole::Keep), &plain, messages.clone(), None);
        let expected = json!([{"role": "system", "content": "a"}, {"role": "user", "content": "system"}]);
        check(&system(SystemRole::System), &plain, messages.clone(), Some(expected.clone()));
        check(&system(SystemRole::System), &plain, expected.clone(), None);
        check(&system(SystemRole::Developer), &plain, expected, Some(messages.clone()));
        let expected = json!([{"role": "user", "content": "a"}, {"role": "user", "content": "system"}]);
        check(&system(SystemRole::User), &plain, messages, Some(expected));
        assert!(rewrite(br#"["developer"]"#, &system(SystemRole::System), &plain).is_err());
    }

    #[test]
    fn earlier_reasoning_follows_the_policy() {
        let wanted = Messages::default();
        let messages = json!([{"role": "assistant", "content": "a", "reasoning": "r"}]);
        let with = |field: Option<&str>, replay| Reasoning {
            field: field.map(str::to_owned),
            replay,
            ..Reasoning::default()
        };
        check(&wanted, &with(None, Replay::Optional), messages.clone(), None);
        let moved = json!([{"role": "assistant", "content": "a", "reasoning_content": "r"}]);
        check(
            &wanted,
            &with(Some("reasoning_content"), Replay::Optional),
            messages.clone(),
            Some(moved.clone()),
        );
        check(&wanted, &with(Some("reasoning_content"), Replay::Optional), moved, None);
        let without = json!([{"role": "assistant", "content": "a"}]);
        check(&wanted, &with(None, Replay::Forbid), messages, Some(without));
        let call = json!([{"role": "assistant", "tool_calls": []}, {"role": "user", "content": "x"}]);
        let filled = json!([{"role": "assistant", "tool_calls": [], "reasoning_content": ""}, {"role": "user", "content": "x"}]);
        check(&wanted, &with(Some("reasoning_content"), Replay::Verbatim), call, Some(filled));
    }

    #[test]
    fn long_tool_ids_become_short() {
        let wanted = Messages { tool_ids: ToolIds::Nine, ..Messages::default() };
        let call = |id: &str| json!([{"role": "assistant", "tool_calls": [{"id": id}]}, {"role": "tool", "tool_call_id": id}]);
        check(&wanted, &Reasoning::default(), call("abcdefgh1"), None);
        let short = Shortener::default().shorten("call_1");
        check(&wanted, &Reasoning::default(), call("call_1"), Some(call(&short)));
    }
}
