//! Google's own description of the API, which every body that a test encodes must fit.

use std::path::Path;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// What newer recordings have and the description of 2025-12 does not, each with where it was seen.
const NEWER: &[(&str, &str)] = &[
    // gemini/pai-google-test-structured-output-test-native-output-with-function-and-builtin-tools-2
    ("ToolConfig", "includeServerSideToolInvocations"),
    ("Part", "toolCall"),
    ("Part", "toolResponse"),
    // gemini/pai-google-test-code-execution-test-code-execution-stream
    ("ExecutableCode", "id"),
    ("CodeExecutionResult", "id"),
    // vertexai/pai-test-multimodal-tool-returns-…-url-force-dow-e00f6e03-2
    ("FunctionResponsePart", "fileData"),
    // vertexai/pai-test-google-test-google-model-armor-prompt-template-text-gets-blocked-2
    ("GenerateContentRequest", "modelArmorConfig"),
];

/// Fails where `body` is no valid `GenerateContentRequest`, `EmbedContentRequest` or `BatchEmbedContentsRequest`. `path` tells
/// which. Where the description is not there, nothing is checked.
#[track_caller]
pub(crate) fn check(path: &str, body: &Value) {
    let problems = problems(path, body);
    assert!(problems.is_empty(), "{path}: {problems:#?}\n{body:#}");
}

/// What is wrong with a body.
pub(crate) fn problems(path: &str, body: &Value) -> Vec<String> {
    static VALIDATORS: OnceLock<Option<[Validator; 3]>> = OnceLock::new();
    let build = || {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs/gemini.openapi.json");
        let spec: Value =
            serde_json::from_slice(&std::fs::read(file).ok()?).expect("the description is JSON");
        let names = ["GenerateContentRequest", "EmbedContentRequest", "BatchEmbedContentsRequest"];
        Some(names.map(|name| validator(spec.clone(), name)))
    };
    let Some([generate, embed, batch]) = VALIDATORS.get_or_init(build) else { return Vec::new() };
    let validator = match path {
        path if path.contains(":embedContent") => embed,
        path if path.contains(":batchEmbedContents") => batch,
        _ => generate,
    };
    validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn validator(spec: Value, name: &str) -> Validator {
    let mut components = spec["components"].clone();
    let schemas = components["schemas"].as_object_mut().expect("schemas");
    for (schema, member) in NEWER {
        schemas[*schema]["properties"][*member] = json!({});
    }
    // The model stands in the path.
    schemas["GenerateContentRequest"]["required"] = json!(["contents"]);
    // A schema with alternatives has no type of its own (gemini/llmgem-test-gemini-test-nested-model-optional).
    schemas["Schema"]["required"] = json!([]);
    // What is not described is a mistake.
    for schema in schemas.values_mut() {
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = false.into();
        }
    }
    let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
    jsonschema::validator_for(&schema).expect("the description is a schema")
}
