//! Rerank, in the shapes of three vendors: Cohere's (`/v2/rerank`, and models by Cohere's names), Voyage's and Jina's.

use serde_json::{Value, json};

use crate::openai::error;
use crate::reply::{Outcome, Refusal, Reply};
use crate::service::Call;
use crate::tokens::{self, Tokens};

/// Whose shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Cohere,
    Voyage,
    Jina,
}

/// Answers a rerank request.
pub(in crate::openai) fn answer(call: &Call<'_>) -> Outcome {
    let body = call.body;
    let shape = match call.model {
        _ if call.head.uri.path().contains("/v2/") => Shape::Cohere,
        model if model.starts_with("rerank-2") || model.starts_with("rerank-lite") => Shape::Voyage,
        model if model.starts_with("rerank") => Shape::Cohere,
        _ => Shape::Jina,
    };
    let refuse = |message: &str| match shape {
        Shape::Cohere => {
            Refusal { status: 400, headers: Vec::new(), body: json!({"id": "e", "message": message}) }
        }
        _ => error::invalid(message, None, None),
    };
    let query = body["query"].as_str().filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| refuse("invalid request: query must be a non-empty string"))?;
    let documents = body["documents"].as_array().filter(|list| !list.is_empty());
    let documents = documents.ok_or_else(|| refuse("invalid request: documents must be a non-empty list"))?;
    let limit = if shape == Shape::Voyage { "top_k" } else { "top_n" };
    let wrong = if shape == Shape::Voyage { "top_n" } else { "top_k" };
    if !body[wrong].is_null() {
        return Err(refuse(&format!("invalid request: {wrong} is not known")));
    }
    let texts: Vec<String> = documents
        .iter()
        .map(|document| document.as_str().or(document["text"].as_str()).unwrap_or_default().to_owned())
        .collect();
    let mut scored: Vec<(usize, f64)> =
        texts.iter().enumerate().map(|(index, text)| (index, score(query, text))).collect();
    scored.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    scored.truncate(
        body[limit].as_u64().map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    );
    let with_text = body["return_documents"] == true;
    let results: Vec<Value> = scored
        .iter()
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if with_text {
                result["document"] = json!({"text": texts[*index]});
            }
            result
        })
        .collect();
    Ok(match shape {
        Shape::Cohere => {
            // A document longer than 500 tokens, query included, counts as several.
            let room = 500u64.saturating_sub(tokens::count(query)).max(1);
            let parts: u64 = texts.iter().map(|text| tokens::count(text).div_ceil(room).max(1)).sum();
            let billed = Tokens { search: parts.div_ceil(100), ..Tokens::default() };
            let version = if call.head.uri.path().contains("/v2/") { "2" } else { "1" };
            let whole = json!({"id": format!("r-{}", call.number), "results": results,
                "meta": {"api_version": {"version": version}, "billed_units": {"search_units": billed.search}}});
            Reply::json(&whole).costing(Some(billed), billed)
        }
        _ => {
            let read = texts.iter().map(|text| tokens::count(query) + tokens::count(text)).sum();
            let billed = Tokens { input: read, ..Tokens::default() };
            let usage = json!({"total_tokens": read});
            let whole = match shape {
                Shape::Voyage => {
                    json!({"object": "list", "data": results, "model": call.model, "usage": usage})
                }
                _ => json!({"model": call.model, "object": "list", "usage": usage, "results": results}),
            };
            Reply::json(&whole).costing(Some(billed), billed)
        }
    })
}

/// How many of the query's words stand in the text.
fn score(query: &str, text: &str) -> f64 {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let found = words.iter().filter(|word| text.to_lowercase().contains(word.as_str())).count();
    let found = u32::try_from(found).unwrap_or(0);
    let all = u32::try_from(words.len()).unwrap_or(1).max(1);
    f64::from(found) / f64::from(all)
}
