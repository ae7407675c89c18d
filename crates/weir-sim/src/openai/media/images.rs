//! Images: made from a text, from images and a text, or like an image.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{bytes, event, is_on, known, model, number};
use crate::openai::error;
use crate::reply::{Outcome, Pieces, Refusal, Reply};
use crate::service::Call;
use crate::tokens::{self, Tokens};
use crate::truth::now_us;

/// Tokens of an image that goes in.
const IMAGE_IN: u64 = 323;
/// Tokens that a partial image adds.
const PARTIAL: u64 = 100;

/// Answers a request for images.
pub(in crate::openai) fn answer(call: &Call<'_>, kind: &str) -> Outcome {
    let body = call.body;
    model(call, &["gpt-image-", "dall-e-", "sim-image", "image"])?;
    known(
        call,
        &[
            "prompt",
            "n",
            "size",
            "quality",
            "response_format",
            "user",
            "style",
            "background",
            "moderation",
            "output_format",
            "output_compression",
            "stream",
            "partial_images",
            "image",
            "mask",
            "input_fidelity",
        ],
    )?;
    let prompt = body["prompt"].as_str().unwrap_or("");
    if kind != "image_variations" && prompt.is_empty() {
        return Err(error::missing("prompt"));
    }
    let inputs = inputs(body);
    if kind != "images" && inputs == 0 {
        return Err(error::missing("image"));
    }
    let count = number(&body["n"]).unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(error::bad_value("n", "must be from 1 to 10."));
    }
    let new = !call.model.starts_with("dall-e-");
    let (text, image_in) = (tokens::count(prompt), IMAGE_IN * inputs);
    let streams = is_on(&body["stream"]);
    if streams && !new {
        return Err(error::unsupported_parameter("stream", ""));
    }
    let partial = if streams { number(&body["partial_images"]).unwrap_or(0).min(3) } else { 0 };
    let each = size(body)? + partial * PARTIAL;
    let one = Tokens { input: text, image_in, output: each, image: 1, ..Tokens::default() };
    let billed = match new {
        true => Tokens { output: each * count, image: count, ..one },
        false => Tokens { image: count, ..Tokens::default() },
    };
    if streams {
        return Ok(stream(call, kind, partial, one, billed));
    }
    let as_url = !new && body["response_format"] != "b64_json";
    let data: Vec<Value> = (0..count)
        .map(|index| match as_url {
            true => json!({"url": format!("http://images.invalid/{index}.png"), "revised_prompt": prompt}),
            false => json!({"b64_json": picture((prompt, index))}),
        })
        .collect();
    let mut whole = json!({"created": now_us() / 1_000_000, "data": data});
    let shows = new && !call.behaviour.has("no_usage");
    if shows {
        whole["usage"] = usage(&billed);
    }
    Ok(Reply::json(&whole).costing(shows.then_some(billed), billed))
}

fn stream(call: &Call<'_>, kind: &str, partial: u64, one: Tokens, billed: Tokens) -> Reply {
    let name = if kind == "images" { "image_generation" } else { "image_edit" };
    let prompt = call.body["prompt"].as_str().unwrap_or("");
    let mut pieces = Pieces::default();
    for index in 0..partial {
        let kind = format!("{name}.partial_image");
        let data = json!({"type": kind, "b64_json": picture((prompt, index)), "created_at": now_us() / 1_000_000,
            "size": "1024x1024", "quality": "medium", "background": "opaque", "output_format": "png", "partial_image_index": index});
        pieces.add(event(&kind, &data), PARTIAL);
    }
    let kind = format!("{name}.completed");
    let data = json!({"type": kind, "b64_json": picture((prompt, 9)), "created_at": now_us() / 1_000_000,
        "size": "1024x1024", "quality": "medium", "background": "opaque", "output_format": "png", "usage": usage(&one)});
    pieces.add_final(event(&kind, &data), one.output - partial * PARTIAL);
    Reply::stream("text/event-stream; charset=utf-8", pieces.finish()).costing(Some(billed), billed)
}

fn usage(tokens: &Tokens) -> Value {
    let input = tokens.input + tokens.image_in;
    json!({"total_tokens": input + tokens.output, "input_tokens": input, "output_tokens": tokens.output,
        "input_tokens_details": {"text_tokens": tokens.input, "image_tokens": tokens.image_in}})
}

fn picture(seed: impl std::hash::Hash) -> String {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(bytes(seed, 400));
    base64::engine::general_purpose::STANDARD.encode(png)
}

/// How many images go in.
fn inputs(body: &Value) -> u64 {
    let of = |value: &Value| match value {
        Value::Array(list) => list.len() as u64,
        Value::Object(_) => 1,
        _ => 0,
    };
    of(&body["image"]) + of(&body["image[]"])
}

/// Tokens of an image, by quality and size.
fn size(body: &Value) -> Result<u64, Refusal> {
    let at = match body["size"].as_str().unwrap_or("auto") {
        "auto" | "1024x1024" | "256x256" | "512x512" => 0,
        "1024x1536" | "1024x1792" => 1,
        "1536x1024" | "1792x1024" => 2,
        other => return Err(error::bad_value("size", &format!("'{other}' is not supported."))),
    };
    Ok(match body["quality"].as_str().unwrap_or("auto") {
        "low" => [272, 408, 400],
        "high" | "hd" => [4160, 6240, 6208],
        _ => [1056, 1584, 1568],
    }[at])
}
