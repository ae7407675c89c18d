//! Rerank: clients send Cohere's own form, so it passes.

use bytes::Bytes;
use serde_json::Value;
use weir_adapter::{EncodeError, EncodeOptions, Glance, ProviderError, Reader, Request, WireRequest};
use weir_wire::Usage;
use weir_wire::framing::Framing;
use weir_wire::peek::as_str;
use weir_wire::splice::ObjectSplice;

use crate::usage;

/// Members that only the first version of the API has.
const FIRST: [&str; 3] = ["return_documents", "rank_fields", "max_chunks_per_doc"];

pub(crate) fn encode(request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    let (raw, members) = (request.raw(), &request.peek().members);
    let said = |name: &&str| members.value(raw, name).is_some_and(|value| value != b"null");
    // Documents that are objects, too.
    let objects = members
        .value(raw, "documents")
        .is_some_and(|list| list.iter().skip(1).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'));
    let path = if objects || FIRST.iter().any(said) { "/v1/rerank" } else { "/v2/rerank" };
    let mut splice = ObjectSplice::new(members);
    if members.value(raw, "model").and_then(as_str).is_none_or(|model| model != options.model) {
        splice.set(raw, "model", serde_json::to_vec(options.model).expect("a string is JSON"));
    }
    for (name, value) in options.defaults.into_iter().flatten() {
        if members.get(raw, name).is_none() {
            splice.set(raw, name, serde_json::to_vec(value).expect("a value is JSON"));
        }
    }
    Ok(WireRequest::json(path, splice.apply(raw)))
}

/// Reads the reply as it passes.
#[derive(Default)]
pub(crate) struct RerankReader {
    usage: Option<Usage>,
}

impl Reader for RerankReader {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&mut self, body: &[u8]) -> Result<Glance, ProviderError> {
        let reply: Value = serde_json::from_slice(body)
            .map_err(|_| ProviderError::nonsense("the provider's answer is no JSON"))?;
        if !reply["results"].is_array() {
            return Err(ProviderError::nonsense("the provider's answer has no `results`"));
        }
        self.usage = usage::classes(&reply["meta"]);
        Ok(Glance { semantic: true, ..Glance::default() })
    }

    fn frame(&mut self, _frame: &[u8]) -> Result<Glance, ProviderError> {
        Err(ProviderError::nonsense("rerank does not stream"))
    }

    fn done(&self) -> bool {
        false
    }

    fn end(&mut self) -> Result<Bytes, ProviderError> {
        Ok(Bytes::new())
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_units_are_read_as_recorded() {
        let mut reader = RerankReader::default();
        let body = br#"{"id":"d5a5c46f","results":[{"index":0,"relevance_score":0.54594},{"index":1,"relevance_score":0.028374104}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}}"#;
        assert!(reader.whole(body).unwrap().semantic);
        assert_eq!(format!("{:?}", reader.usage().unwrap()), r#"{"search": 1}"#);
        assert!(reader.whole(br#"{"message":"no"}"#).is_err());
        assert!(reader.whole(b"<html>").is_err());
    }
}
