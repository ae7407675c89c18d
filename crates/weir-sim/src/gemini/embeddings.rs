//! `embedContent` and `batchEmbedContents`.

use serde_json::{Value, json};

use super::{error, models, normal};
use crate::openai::vector;
use crate::reply::{Outcome, Refusal, Reply};
use crate::service::Call;
use crate::state::hash;
use crate::tokens::{self, Tokens};

/// Most requests of one batch.
const MOST_REQUESTS: usize = 100;

/// One content.
pub(super) fn one(call: &Call<'_>) -> Outcome {
    models::check(call, "embedContent")?;
    let body = normal::request(call.body);
    let (values, tokens) = embed(call, &body)?;
    let billed = Tokens { input: tokens, ..Tokens::default() };
    Ok(Reply::json(&json!({"embedding": {"values": values}})).costing(None, billed))
}

/// Several contents, each as a request of its own.
pub(super) fn batch(call: &Call<'_>) -> Outcome {
    models::check(call, "embedContent")?;
    let body = normal::request(call.body);
    let requests = body["requests"].as_array().map_or(&[][..], Vec::as_slice);
    if requests.is_empty() {
        return Err(error::invalid("* BatchEmbedContentsRequest.requests: requests is not specified"));
    }
    if requests.len() > MOST_REQUESTS {
        return Err(error::invalid(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch",
        ));
    }
    let mut billed = Tokens::default();
    let mut embeddings = Vec::new();
    for request in requests {
        if request["model"].as_str().and_then(|name| name.strip_prefix("models/")).is_none() {
            return Err(error::invalid(
                "* BatchEmbedContentsRequest.requests[].model: unexpected model name format",
            ));
        }
        let (values, tokens) = embed(call, request)?;
        billed.input += tokens;
        embeddings.push(json!({"values": values}));
    }
    Ok(Reply::json(&json!({"embeddings": embeddings})).costing(None, billed))
}

fn embed(call: &Call<'_>, request: &Value) -> Result<(Vec<f32>, u64), Refusal> {
    if call.state.config.strict_fields {
        let known = ["model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"];
        super::check::fields(request, &known, "")?;
    }
    let parts = request["content"]["parts"].as_array().map_or(&[][..], Vec::as_slice);
    if parts.is_empty() {
        return Err(error::invalid("* EmbedContentRequest.content: contents is not specified"));
    }
    let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    let full = if call.model == "text-embedding-004" { 768 } else { 3072 };
    let dimensions = match &request["outputDimensionality"] {
        Value::Null => full,
        value => match value.as_u64().and_then(|wanted| usize::try_from(wanted).ok()) {
            Some(wanted) if (1..=full).contains(&wanted) => wanted,
            _ => return Err(error::invalid("* EmbedContentRequest.output_dimensionality: out of range")),
        },
    };
    let seed = hash((call.model, request["content"].to_string()));
    Ok((vector(seed, dimensions), tokens::count(&text)))
}
