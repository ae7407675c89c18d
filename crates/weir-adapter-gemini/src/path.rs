//! Where a request goes.

use weir_adapter::{Descriptor, Operation};

/// What is called on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Generate,
    Stream,
    Embed,
    EmbedBatch,
    Count,
}

/// The path of a call. A descriptor may state another for an operation, with `{model}` in the id's place and
/// without the method: `/v1/publishers/google/models/{model}`.
pub(crate) fn path(descriptor: &Descriptor, method: Method, model: &str) -> String {
    let (operation, call) = match method {
        Method::Generate => (Operation::Chat, ":generateContent"),
        Method::Stream => (Operation::Chat, ":streamGenerateContent?alt=sse"),
        Method::Embed => (Operation::Embeddings, ":embedContent"),
        Method::Count => (Operation::Chat, ":countTokens"),
        Method::EmbedBatch => (Operation::Embeddings, ":batchEmbedContents"),
    };
    let (collection, id) = split(model);
    // One segment of a path, whatever the id.
    let segment = weir_wire::percent::encoded(id, weir_wire::percent::UNRESERVED);
    let resource = match descriptor.paths.get(&operation) {
        Some(template) => template.replace("{model}", &segment),
        None => format!("/v1beta/{collection}/{segment}"),
    };
    format!("{resource}{call}")
}

/// A model's resource name, as bodies have it: `models/ID`.
pub(crate) fn resource(model: &str) -> String {
    let (collection, id) = split(model);
    format!("{collection}/{id}")
}

fn split(model: &str) -> (&'static str, &str) {
    match model.split_once('/') {
        Some(("models", id)) => ("models", id),
        Some(("tunedModels", id)) => ("tunedModels", id),
        _ => ("models", model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leaves_its_segment() {
        let descriptor = crate::tests::descriptor();
        for (model, expected) in [
            ("gemini-3.5-flash", "/v1beta/models/gemini-3.5-flash:generateContent"),
            ("models/gemini-3.5-flash", "/v1beta/models/gemini-3.5-flash:generateContent"),
            ("tunedModels/a", "/v1beta/tunedModels/a:generateContent"),
            ("../../v1/files?x=#", "/v1beta/models/..%2F..%2Fv1%2Ffiles%3Fx%3D%23:generateContent"),
            ("..", "/v1beta/models/..:generateContent"),
            ("a%2fb é\r\n", "/v1beta/models/a%252fb%20%C3%A9%0D%0A:generateContent"),
            ("models/../x", "/v1beta/models/..%2Fx:generateContent"),
            ("x:streamGenerateContent", "/v1beta/models/x%3AstreamGenerateContent:generateContent"),
        ] {
            assert_eq!(path(&descriptor, Method::Generate, model), expected);
        }
        assert_eq!(path(&descriptor, Method::Stream, "m"), "/v1beta/models/m:streamGenerateContent?alt=sse");
        assert_eq!(path(&descriptor, Method::EmbedBatch, "m"), "/v1beta/models/m:batchEmbedContents");
    }

    #[test]
    fn a_descriptor_may_say_where() {
        let mut descriptor = crate::tests::descriptor();
        let template = "/v1/projects/p/locations/l/publishers/google/models/{model}".to_owned();
        descriptor.paths.insert(Operation::Chat, template);
        let expected = "/v1/projects/p/locations/l/publishers/google/models/a%2Fb:generateContent";
        assert_eq!(path(&descriptor, Method::Generate, "a/b"), expected);
    }
}
