//! The one list of dialects: adapters for providers, fronts for clients.

use std::sync::Arc;

use weir_adapter::Front;
use weir_gateway::snapshot::MakeAdapter;

/// Makes a front.
pub type MakeFront = fn() -> Arc<dyn Front>;

/// Adapters by dialect.
pub const ADAPTERS: &[(&str, MakeAdapter)] = &[
    ("openai", weir_adapter_openai::adapter),
    ("anthropic", weir_adapter_anthropic::adapter),
    ("bedrock", weir_adapter_bedrock::adapter),
    ("cohere", weir_adapter_cohere::adapter),
    ("gemini", weir_adapter_gemini::adapter),
    ("ollama", weir_adapter_ollama::adapter),
    ("vertex", weir_adapter_vertex::adapter),
];

/// Fronts by dialect.
pub const FRONTS: &[(&str, MakeFront)] = &[
    ("openai", weir_adapter_openai::front),
    ("openai-responses", weir_adapter_openai::responses_front),
    ("anthropic", weir_adapter_anthropic::front),
    ("gemini", weir_adapter_gemini::front),
];
