//! Token counts in disjoint classes.

use weir_wire::Usage;
use weir_wire::usage::Class;

use crate::wire::{ModalityCount, UsageMetadata, Word};

/// The counts of one report; `None` where it counts nothing (`{"trafficType": …}` alone).
///
/// The prompt's count holds the cached tokens, so these are taken out, modality by modality. What tools of Google's read
/// for the model (`toolUsePromptTokenCount`) is input beside the prompt. Pictures that the model makes stay in the output:
/// Google prices such models by their output.
pub(crate) fn classes(metadata: &UsageMetadata) -> Option<Usage> {
    let counts = [
        metadata.prompt_token_count,
        metadata.candidates_token_count,
        metadata.thoughts_token_count,
        metadata.tool_use_prompt_token_count,
        metadata.total_token_count,
    ];
    if counts.iter().all(Option::is_none) {
        return None;
    }
    let prompt = metadata.prompt_token_count.unwrap_or(0);
    let cached = metadata.cached_content_token_count.unwrap_or(0).min(prompt);
    let fresh = prompt - cached;
    let of = |modality: Modality| {
        let cached = tokens(&metadata.cache_tokens_details, modality);
        tokens(&metadata.prompt_tokens_details, modality).saturating_sub(cached)
    };
    let audio = of(Modality::Audio).min(fresh);
    let image = of(Modality::Image).min(fresh - audio);
    let output = metadata.candidates_token_count.unwrap_or(0);
    let spoken = tokens(&metadata.candidates_tokens_details, Modality::Audio).min(output);
    let tools = metadata.tool_use_prompt_token_count.unwrap_or(0);
    let usage = Usage::new()
        .with(Class::Input, (fresh - audio - image).saturating_add(tools))
        .with(Class::CacheRead, cached)
        .with(Class::AudioIn, audio)
        .with(Class::ImageIn, image)
        .with(Class::Output, output - spoken)
        .with(Class::Reasoning, metadata.thoughts_token_count.unwrap_or(0))
        .with(Class::AudioOut, spoken);
    Some(usage)
}

#[derive(Clone, Copy, PartialEq)]
enum Modality {
    Image,
    Audio,
}

fn tokens(details: &[ModalityCount], modality: Modality) -> u64 {
    let is = |word: &Word| match word {
        Word::Name(name) if modality == Modality::Image => name == "IMAGE",
        Word::Name(name) => name == "AUDIO",
        Word::Number(number) => *number == if modality == Modality::Image { 2 } else { 4 },
    };
    let counted = details.iter().filter(|count| count.modality.as_ref().is_some_and(is));
    counted.fold(0, |sum, count| sum.saturating_add(count.token_count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let metadata: UsageMetadata = serde_json::from_str(json).unwrap();
        assert_eq!(format!("{:?}", classes(&metadata)), expected);
    }

    #[test]
    fn classes_are_disjoint() {
        check(r#"{"trafficType":"ON_DEMAND"}"#, "None");
        check(r#"{"promptTokenCount":9,"totalTokenCount":9}"#, r#"Some({"input": 9})"#);
        check(
            r#"{"promptTokenCount":147,"candidatesTokenCount":108,"totalTokenCount":783,"toolUsePromptTokenCount":360,"thoughtsTokenCount":168}"#,
            r#"Some({"input": 507, "output": 108, "reasoning": 168})"#,
        );
        check(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":5,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":40},{"modality":"AUDIO","tokenCount":50},{"modality":"IMAGE","tokenCount":10}],
                "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":45},{"modality":"TEXT","tokenCount":15}],
                "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":4}]}"#,
            r#"Some({"input": 25, "cache_read": 60, "audio_in": 5, "image_in": 10, "output": 1, "audio_out": 4})"#,
        );
        // Counts that contradict each other never wrap around.
        check(
            r#"{"promptTokenCount":5,"cachedContentTokenCount":50,"promptTokensDetails":[{"modality":4,"tokenCount":99}]}"#,
            r#"Some({"cache_read": 5})"#,
        );
    }
}
