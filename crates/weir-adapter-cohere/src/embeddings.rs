//! Embeddings: OpenAI's requests in Cohere's form, and back.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use weir_adapter::{EncodeError, EncodeOptions, ProviderError, WireRequest};
use weir_wire::openai::Extra;
use weir_wire::openai::embeddings::{Embedding, Input, Request, Response, Vector};

use crate::{reply::unreadable, usage};

/// What Cohere has beyond OpenAI's members.
const OWN: &[&str] = &["truncate", "max_tokens", "priority"];

pub(crate) fn encode(request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    let mut body = Map::new();
    let mut dropped = Vec::new();
    body.insert("model".to_owned(), options.model.into());
    // Cohere wants to know what the vectors are for; a search's stock is the usual case.
    let purpose = request.extra.get("input_type").cloned().unwrap_or_else(|| "search_document".into());
    body.insert("input_type".to_owned(), purpose);
    match &request.input {
        Input::Text(text) => body.insert("texts".to_owned(), json!([text])),
        Input::Texts(texts) => body.insert("texts".to_owned(), json!(texts)),
        Input::Other(parts @ Value::Array(_)) => body.insert("inputs".to_owned(), parts.clone()),
        Input::Tokens(_) | Input::TokenLists(_) | Input::Other(_) => {
            return Err(EncodeError::unsupported("input", "this provider takes texts, not tokens"));
        }
    };
    let form = if request.encoding_format.as_deref() == Some("base64") { "base64" } else { "float" };
    let forms = request.extra.get("embedding_types").cloned().unwrap_or_else(|| json!([form]));
    body.insert("embedding_types".to_owned(), forms);
    if let Some(dimensions) = request.dimensions {
        body.insert("output_dimension".to_owned(), dimensions.into());
    }
    for (name, value) in &request.extra {
        if OWN.contains(&name.as_str()) {
            body.insert(name.clone(), value.clone());
        } else if !["input_type", "embedding_types"].contains(&name.as_str()) && !value.is_null() {
            dropped.push(name.clone());
        }
    }
    let bytes = serde_json::to_vec(&body).expect("string keys and numbers that JSON has");
    let mut wire = WireRequest::json("/v2/embed", Bytes::from(bytes));
    wire.dropped = dropped;
    Ok(wire)
}

#[derive(Deserialize)]
struct Reply {
    embeddings: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    meta: Value,
}

/// A whole reply, with its usage as Cohere wrote it.
pub(crate) fn whole(body: &[u8], model: &str) -> Result<(Response, Value), ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
    // One form was asked for, as a rule; else the richest counts.
    let order = ["float", "base64", "int8", "uint8", "binary", "ubinary"];
    let vectors =
        order.iter().find_map(|form| reply.embeddings.get(*form)).ok_or_else(ProviderError::empty)?;
    let data = vectors.iter().zip(0..).map(|(vector, index)| {
        let embedding = match vector {
            Value::String(text) => Vector::Base64(text.clone()),
            Value::Array(values) => Vector::Float(values.iter().filter_map(number).collect()),
            _ => return Err(ProviderError::nonsense("a vector is neither a list nor a text")),
        };
        Ok(Embedding { object: "embedding".to_owned(), index, embedding, extra: Extra::new() })
    });
    let response = Response {
        object: "list".to_owned(),
        data: data.collect::<Result<_, _>>()?,
        model: model.to_owned(),
        usage: usage::report(&reply.meta),
        extra: Extra::new(),
    };
    Ok((response, reply.meta))
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use weir_adapter::WireBody;

    use super::*;

    #[test]
    fn there_and_back() {
        let request: Request = serde_json::from_value(
            json!({"model": "m", "input": "a", "dimensions": 256, "encoding_format": "base64", "input_type": "search_query", "x": 1}),
        )
        .unwrap();
        let wire = encode(&request, &EncodeOptions::new("embed-v4.0")).unwrap();
        let WireBody::Bytes(body) = &wire.body else { panic!("bytes") };
        let sent: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            sent,
            json!({"model": "embed-v4.0", "input_type": "search_query", "texts": ["a"], "embedding_types": ["base64"], "output_dimension": 256})
        );
        assert_eq!(wire.dropped, ["x"]);
        let (response, meta) =
            whole(br#"{"embeddings":{"float":[[0.5,-1]]},"meta":{"billed_units":{"input_tokens":3}}}"#, "m")
                .unwrap();
        assert_eq!(serde_json::to_value(&response.data[0].embedding).unwrap(), json!([0.5, -1]));
        assert_eq!(
            (response.usage.unwrap().prompt_tokens, &meta["billed_units"]["input_tokens"]),
            (3, &json!(3))
        );
        assert!(whole(br#"{"embeddings":{}}"#, "m").is_err());
    }

    #[test]
    fn tokens_are_refused() {
        let request = Request { input: Input::Tokens(vec![1]), ..Request::default() };
        assert!(encode(&request, &EncodeOptions::new("m")).is_err());
    }
}
