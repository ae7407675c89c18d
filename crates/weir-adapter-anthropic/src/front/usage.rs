//! Usage as Anthropic reports it.

use serde_json::{Map, Value, json};
use weir_wire::openai::usage::{Convention, Usage};
use weir_wire::{Class, Unit};

/// The counts of an answer, with the cost where the gateway put it in.
pub(super) fn report(usage: &Usage) -> Map<String, Value> {
    let classes = usage.classes(Convention::default());
    let tokens = |class| classes.tokens(class);
    let (short, long) = (tokens(Class::CacheWrite5m), tokens(Class::CacheWrite1h));
    let input = tokens(Class::Input) + tokens(Class::AudioIn) + tokens(Class::ImageIn);
    let mut out = Map::from_iter([
        ("input_tokens".to_owned(), input.into()),
        ("cache_creation_input_tokens".to_owned(), (short + long).into()),
        ("cache_read_input_tokens".to_owned(), tokens(Class::CacheRead).into()),
        ("output_tokens".to_owned(), classes.completion_tokens().into()),
    ]);
    if short + long > 0 {
        let split = json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long});
        out.insert("cache_creation".to_owned(), split);
    }
    if tokens(Class::Reasoning) > 0 {
        out.insert("output_tokens_details".to_owned(), json!({"thinking_tokens": tokens(Class::Reasoning)}));
    }
    let searches = classes.get(Class::Search, Unit::Search);
    if searches > 0 {
        out.insert("server_tool_use".to_owned(), json!({"web_search_requests": searches}));
    } else if let Some(used) = usage.extra.get("server_tool_use") {
        out.insert("server_tool_use".to_owned(), used.clone());
    }
    if let Some(cost) = &usage.cost {
        out.insert("cost".to_owned(), Value::Number(cost.clone()));
    }
    if let Some(details) = usage.extra.get("cost_details") {
        out.insert("cost_details".to_owned(), details.clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_and_the_cost() {
        let classes = weir_wire::Usage::new()
            .with(Class::Input, 10)
            .with(Class::CacheRead, 20)
            .with(Class::CacheWrite5m, 3)
            .with(Class::CacheWrite1h, 4)
            .with(Class::Output, 5)
            .with(Class::Reasoning, 6);
        let usage = Usage { cost: Some(serde_json::from_str("0.00012").unwrap()), ..Usage::report(&classes) };
        assert_eq!(
            Value::Object(report(&usage)),
            json!({
                "input_tokens": 10, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 20, "output_tokens": 11,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens_details": {"thinking_tokens": 6}, "cost": 0.00012,
            })
        );
    }
}
