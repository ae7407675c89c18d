//! Embeddings: one text with `embedContent`, several with `batchEmbedContents`.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use weir_adapter::{Descriptor, EncodeError, EncodeOptions, WireRequest};
use weir_wire::openai::embeddings::{Input, Request};

use super::media::camel;
use crate::path::{Method, path, resource};

/// Gemini's own settings of an embedding.
const OWN: &[&str] = &["taskType", "title", "autoTruncate"];

pub(super) fn encode(
    descriptor: &Descriptor,
    request: &Request,
    options: &EncodeOptions<'_>,
) -> Result<WireRequest, EncodeError> {
    let mut dropped = Vec::new();
    let mut common = Map::new();
    if let Some(dimensions) = request.dimensions {
        common.insert("outputDimensionality".to_owned(), dimensions.into());
    }
    for (name, value) in &request.extra {
        match camel(name) {
            own if OWN.contains(&own.as_str()) => drop(common.insert(own, value.clone())),
            _ => dropped.push(name.clone()),
        }
    }
    let one = |text: &str| {
        let mut one = Map::new();
        one.insert("model".to_owned(), resource(options.model).into());
        one.insert("content".to_owned(), json!({"parts": [{"text": text}]}));
        one.extend(common.clone());
        Value::Object(one)
    };
    let (method, body) = match &request.input {
        Input::Text(text) => (Method::Embed, one(text)),
        Input::Texts(texts) => {
            let requests: Vec<Value> = texts.iter().map(|text| one(text)).collect();
            (Method::EmbedBatch, json!({ "requests": requests }))
        }
        Input::Tokens(_) | Input::TokenLists(_) => {
            return Err(EncodeError::unsupported("input", "this provider embeds texts, not lists of tokens"));
        }
        Input::Other(_) => {
            return Err(EncodeError::unsupported("input", "must be a text or a list of texts"));
        }
    };
    let bytes = serde_json::to_vec(&body).expect("string keys and numbers that JSON has");
    let mut wire = WireRequest::json(path(descriptor, method, options.model), Bytes::from(bytes));
    wire.dropped = dropped;
    Ok(wire)
}
