//! What stands in Anthropic's replies and events. Members that weir does not act on are left out.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use weir_wire::Class;

/// A whole reply, with its blocks unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message<'b> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'b, str>,
    pub(crate) id: String,
    pub(crate) model: String,
    #[serde(borrow)]
    pub(crate) content: Vec<&'b RawValue>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) stop_sequence: Option<String>,
    pub(crate) stop_details: Option<Value>,
    pub(crate) container: Option<Value>,
    pub(crate) usage: Option<Usage>,
}

/// One block of a reply, of any type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Block<'b> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'b, str>,
    pub(crate) text: Option<String>,
    pub(crate) citations: Option<Vec<Value>>,
    pub(crate) thinking: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(borrow)]
    pub(crate) input: Option<&'b RawValue>,
    #[serde(borrow)]
    pub(crate) caller: Option<Caller<'b>>,
}

/// Who called a tool.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Caller<'b> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'b, str>,
}

/// One event of a stream, of any type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event<'b> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'b, str>,
    pub(crate) index: u32,
    #[serde(borrow)]
    pub(crate) message: Option<Message<'b>>,
    #[serde(borrow)]
    pub(crate) content_block: Option<&'b RawValue>,
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'b>>,
    pub(crate) usage: Option<Usage>,
}

/// What is new in a block, or in the message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Delta<'b> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'b, str>,
    pub(crate) text: Option<String>,
    pub(crate) thinking: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) partial_json: Option<String>,
    pub(crate) citation: Option<Value>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) stop_sequence: Option<String>,
    pub(crate) stop_details: Option<Value>,
    pub(crate) container: Option<Value>,
}

/// An error, whole or as an event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorBody {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorDetail {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
}

// === Usage ===

/// Token counts. `input_tokens` leaves the cached ones out; what is absent was not said.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerToolUse>,
    iterations: Option<Vec<Iteration>>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
}

/// One round of sampling. The counts of the message contain all rounds but those that compacted the context.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Iteration {
    #[serde(rename = "type")]
    kind: String,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
}

impl Usage {
    /// Takes a later report over: each count that it has replaces the earlier one. Counts are totals, never added.
    pub(crate) fn update(&mut self, later: Usage) {
        fn take<T>(old: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *old = new;
            }
        }
        take(&mut self.input_tokens, later.input_tokens);
        take(&mut self.output_tokens, later.output_tokens);
        take(&mut self.cache_read_input_tokens, later.cache_read_input_tokens);
        take(&mut self.cache_creation_input_tokens, later.cache_creation_input_tokens);
        take(&mut self.cache_creation, later.cache_creation);
        take(&mut self.output_tokens_details, later.output_tokens_details);
        take(&mut self.server_tool_use, later.server_tool_use);
        take(&mut self.iterations, later.iterations);
    }

    /// In disjoint classes.
    pub(crate) fn classes(&self) -> weir_wire::Usage {
        let output = self.output_tokens.unwrap_or(0);
        let thinking = self.output_tokens_details.as_ref().and_then(|details| details.thinking_tokens);
        let thinking = thinking.unwrap_or(0).min(output);
        let searches = self.server_tool_use.as_ref().and_then(|used| used.web_search_requests);
        let (short, long) = written(self.cache_creation_input_tokens, self.cache_creation.as_ref());
        let mut usage = weir_wire::Usage::new()
            .with(Class::Input, self.input_tokens.unwrap_or(0))
            .with(Class::CacheRead, self.cache_read_input_tokens.unwrap_or(0))
            .with(Class::CacheWrite5m, short)
            .with(Class::CacheWrite1h, long)
            .with(Class::Output, output - thinking)
            .with(Class::Reasoning, thinking);
        if let Some(searches) = searches.filter(|count| *count > 0) {
            usage.set(Class::Search, searches);
        }
        let rounds = self.iterations.iter().flatten();
        rounds.filter(|round| round.kind == "compaction").for_each(|round| usage.add(&round.classes()));
        usage
    }
}

impl Iteration {
    fn classes(&self) -> weir_wire::Usage {
        let (short, long) = written(self.cache_creation_input_tokens, self.cache_creation.as_ref());
        weir_wire::Usage::new()
            .with(Class::Input, self.input_tokens.unwrap_or(0))
            .with(Class::CacheRead, self.cache_read_input_tokens.unwrap_or(0))
            .with(Class::CacheWrite5m, short)
            .with(Class::CacheWrite1h, long)
            .with(Class::Output, self.output_tokens.unwrap_or(0))
    }
}

/// Tokens written to the cache for five minutes and for an hour. The total rules: a stream's last report repeats it
/// without the split.
fn written(total: Option<u64>, split: Option<&CacheCreation>) -> (u64, u64) {
    let part = |count: Option<u64>| count.unwrap_or(0);
    let long = split.map_or(0, |split| part(split.ephemeral_1h_input_tokens));
    let short = split.map_or(0, |split| part(split.ephemeral_5m_input_tokens));
    let total = total.unwrap_or(short.saturating_add(long));
    let long = long.min(total);
    (total - long, long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reports: &[&str], expected: &str) {
        let mut usage = Usage::default();
        reports.iter().for_each(|report| usage.update(serde_json::from_str(report).unwrap()));
        assert_eq!(format!("{:?}", usage.classes()), expected);
    }

    #[test]
    fn classes_are_disjoint() {
        check(
            &[
                r#"{"input_tokens":10,"cache_creation_input_tokens":500,"cache_read_input_tokens":300,"output_tokens":40,
            "cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":300},
            "server_tool_use":{"web_search_requests":2,"web_fetch_requests":1},"service_tier":"standard"}"#,
            ],
            r#"{"input": 10, "cache_read": 300, "cache_write_5m": 200, "cache_write_1h": 300, "output": 40, "search": 2}"#,
        );
    }

    #[test]
    fn later_reports_overwrite() {
        check(
            &[
                r#"{"input_tokens":9,"cache_creation_input_tokens":500,"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":500}}"#,
                r#"{"input_tokens":9,"cache_creation_input_tokens":500,"cache_read_input_tokens":0,"output_tokens":77}"#,
            ],
            r#"{"input": 9, "cache_write_1h": 500, "output": 77}"#,
        );
        check(
            &[r#"{"input_tokens":9,"output_tokens":1}"#, r#"{"output_tokens":5}"#],
            r#"{"input": 9, "output": 5}"#,
        );
    }

    #[test]
    fn thinking_is_apart_where_it_is_told() {
        check(
            &[r#"{"input_tokens":1,"output_tokens":50,"output_tokens_details":{"thinking_tokens":20}}"#],
            r#"{"input": 1, "output": 30, "reasoning": 20}"#,
        );
    }

    #[test]
    fn compaction_comes_on_top() {
        check(
            &[
                r#"{"input_tokens":100,"output_tokens":10,"iterations":[{"type":"compaction","input_tokens":1000,"output_tokens":50},
            {"type":"message","input_tokens":100,"output_tokens":10}]}"#,
            ],
            r#"{"input": 1100, "output": 60}"#,
        );
    }
}
