//! OpenTelemetry's names for what weir knows, in both generations of the GenAI conventions: `v1_41` is the last that was
//! released with the core conventions, `latest` what their own repository says since.

use weir_config::GenaiSemconv;
use weir_wire::{Class, Usage};

use super::proto::Attributes;

/// Whether names of the old and the new generation are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// Those of 1.41.
    pub old: bool,
    /// Those after it.
    pub new: bool,
}

impl From<GenaiSemconv> for Names {
    fn from(asked: GenaiSemconv) -> Names {
        Names { old: asked != GenaiSemconv::Latest, new: asked != GenaiSemconv::V1_41 }
    }
}

/// The conventions' name of an operation.
pub fn operation(own: &str) -> &str {
    match own {
        "chat" | "responses" | "messages" => "chat",
        "completions" => "text_completion",
        "embeddings" => "embeddings",
        other => other,
    }
}

/// The conventions' name of a kind of provider; those that they don't name keep weir's.
pub fn provider(kind: &str) -> &str {
    match kind {
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "mistral" => "mistral_ai",
        "moonshot" | "moonshotai" => "moonshot_ai",
        "watsonx" => "ibm.watsonx.ai",
        "xai" => "x_ai",
        other => other,
    }
}

/// What an attempt used.
pub fn usage(names: Names, usage: &Usage, attributes: &mut Attributes) {
    let cache_write = usage.tokens(Class::CacheWrite5m) + usage.tokens(Class::CacheWrite1h);
    let input = usage.prompt_tokens();
    let output = usage.completion_tokens();
    if input + output == 0 {
        return;
    }
    let mut put = |name: &str, count: u64| attributes.put(&format!("gen_ai.usage.{name}"), count);
    put("input_tokens", input);
    put("output_tokens", output);
    let mut some = |name: &str, count: u64| {
        if count > 0 {
            put(name, count);
        }
    };
    some("cache_read.input_tokens", usage.tokens(Class::CacheRead));
    if names.old {
        some("cache_creation.input_tokens", cache_write);
    }
    if names.new {
        some("cache_write.input_tokens", cache_write);
    }
    some("reasoning.output_tokens", usage.tokens(Class::Reasoning));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::proto::Value;

    fn put(asked: GenaiSemconv) -> Vec<(String, i64)> {
        let used = Usage::new()
            .with(Class::Input, 10)
            .with(Class::CacheRead, 5)
            .with(Class::CacheWrite5m, 2)
            .with(Class::CacheWrite1h, 1)
            .with(Class::Output, 7)
            .with(Class::Reasoning, 3);
        let mut attributes = Attributes::default();
        usage(asked.into(), &used, &mut attributes);
        let number = |value| match value {
            Some(Value::Int(number)) => number,
            other => panic!("{other:?}"),
        };
        attributes
            .0
            .into_iter()
            .map(|one| (one.key, number(one.value.and_then(|value| value.value))))
            .collect()
    }

    #[test]
    fn each_generation_has_its_names() {
        let of = |names: &[(&str, i64)]| {
            names.iter().map(|(name, count)| (format!("gen_ai.usage.{name}"), *count)).collect::<Vec<_>>()
        };
        let both = of(&[
            ("input_tokens", 18),
            ("output_tokens", 10),
            ("cache_read.input_tokens", 5),
            ("cache_creation.input_tokens", 3),
            ("cache_write.input_tokens", 3),
            ("reasoning.output_tokens", 3),
        ]);
        assert_eq!(put(GenaiSemconv::Both), both);
        let without =
            |name: &str| both.iter().filter(|(own, _)| !own.contains(name)).cloned().collect::<Vec<_>>();
        assert_eq!(put(GenaiSemconv::V1_41), without("cache_write"));
        assert_eq!(put(GenaiSemconv::Latest), without("cache_creation"));
    }
}
