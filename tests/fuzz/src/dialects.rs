//! Every dialect of clients and of providers, made once.

use std::sync::{Arc, LazyLock};

use weir_adapter::{Adapter, Descriptor, Front};

/// A provider's dialect.
pub(crate) struct Provider {
    pub(crate) dialect: &'static str,
    pub(crate) adapter: Arc<dyn Adapter>,
}

macro_rules! provider {
    ($dialect:literal, $adapter:path, $file:literal) => {{
        let yaml = include_str!(concat!("../../../config/providers/", $file, ".yaml"));
        let descriptor: Descriptor = serde_saphyr::from_str(yaml).expect("the descriptor reads");
        Provider { dialect: $dialect, adapter: $adapter(descriptor) }
    }};
}

pub(crate) static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    vec![
        provider!("openai", weir_adapter_openai::adapter, "openai"),
        provider!("openai", weir_adapter_openai::adapter, "mistral"),
        provider!("anthropic", weir_adapter_anthropic::adapter, "anthropic"),
        provider!("gemini", weir_adapter_gemini::adapter, "gemini"),
        provider!("cohere", weir_adapter_cohere::adapter, "cohere"),
        provider!("ollama", weir_adapter_ollama::adapter, "ollama"),
        provider!("bedrock", weir_adapter_bedrock::adapter, "bedrock"),
        // Its models speak Gemini's, but for Claude.
        provider!("gemini", weir_adapter_vertex::adapter, "vertex"),
    ]
});

pub(crate) static FRONTS: LazyLock<[Arc<dyn Front>; 4]> = LazyLock::new(|| {
    [
        weir_adapter_openai::front(),
        weir_adapter_openai::responses_front(),
        weir_adapter_anthropic::front(),
        weir_adapter_gemini::front(),
    ]
});

/// The first byte, which says how the rest is meant, and the rest.
pub(crate) fn chosen(input: &[u8]) -> (usize, &[u8]) {
    input.split_first().map_or((0, input), |(choice, rest)| (usize::from(*choice), rest))
}

/// Some places to cut `length` bytes, by `seed`.
pub(crate) fn cuts(length: usize, seed: usize) -> Vec<usize> {
    let step = 1 + seed % 97;
    (1..length).step_by(step).collect()
}

pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}
