//! Transcriptions and translations: two words for each second of sound.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{event, is_on, known, model};
use crate::openai::error;
use crate::reply::{Outcome, Payload, Pieces, Reply};
use crate::service::Call;
use crate::tokens::{self, Tokens};

const WORDS: [&str; 8] = ["the", "river", "flows", "north", "under", "an", "old", "bridge"];

/// Answers a transcription (or translation) request.
pub(in crate::openai) fn answer(call: &Call<'_>, english: bool) -> Outcome {
    let body = call.body;
    model(
        call,
        &["whisper-", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "voxtral-", "transcribe", "sim-"],
    )?;
    known(
        call,
        &[
            "file",
            "language",
            "prompt",
            "response_format",
            "temperature",
            "timestamp_granularities",
            "stream",
            "include",
            "chunking_strategy",
        ],
    )?;
    let millis = body["file"]["millis"].as_u64().ok_or_else(|| error::missing("file"))?;
    if body["file"]["bytes"].as_u64().unwrap_or(0) > 25 << 20 {
        return Err(error::invalid("Maximum content size limit (26214400) exceeded.", None, None));
    }
    let seconds = millis.div_ceil(1000).max(1);
    let words = usize::try_from(seconds * 2).unwrap_or(usize::MAX).min(2000);
    let text: Vec<&str> = WORDS.iter().cycle().take(words).copied().collect();
    let text = text.join(" ");
    let by_token = call.model.starts_with("gpt-4o");
    let billed = match by_token {
        true => Tokens { audio_in: seconds * 10, output: tokens::count(&text), ..Tokens::default() },
        false => Tokens { duration: seconds * 1000, ..Tokens::default() },
    };
    let usage = match by_token {
        true => {
            json!({"type": "tokens", "total_tokens": billed.audio_in + billed.output, "input_tokens": billed.audio_in,
            "input_token_details": {"text_tokens": 0, "audio_tokens": billed.audio_in}, "output_tokens": billed.output})
        }
        false => json!({"type": "duration", "seconds": seconds}),
    };
    let form = body["response_format"].as_str().unwrap_or("json");
    if by_token && form != "json" {
        return Err(error::unsupported_value("response_format", &format!("'{form}'")));
    }
    if is_on(&body["stream"]) && by_token {
        return Ok(stream(&text, &usage, billed));
    }
    let stamp = |millis: u64, point: char| {
        format!(
            "{:02}:{:02}:{:02}{point}{:03}",
            millis / 3_600_000,
            millis / 60_000 % 60,
            millis / 1000 % 60,
            millis % 1000
        )
    };
    let segment = json!({"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text, "tokens": [1], "temperature": 0.0,
        "avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01});
    let whole: Value = match form {
        "json" => json!({"text": text, "usage": usage}),
        "verbose_json" => {
            json!({"task": if english { "translate" } else { "transcribe" }, "language": "english",
            "duration": seconds, "text": text, "segments": [segment], "usage": usage})
        }
        "text" => return Ok(plain("text/plain; charset=utf-8", format!("{text}\n"), billed)),
        "srt" => {
            let body = format!("1\n{} --> {}\n{text}\n\n", stamp(0, ','), stamp(seconds * 1000, ','));
            return Ok(plain("application/x-subrip; charset=utf-8", body, billed));
        }
        "vtt" => {
            let body = format!("WEBVTT\n\n{} --> {}\n{text}\n\n", stamp(0, '.'), stamp(seconds * 1000, '.'));
            return Ok(plain("text/vtt; charset=utf-8", body, billed));
        }
        other => return Err(error::bad_value("response_format", &format!("'{other}' is not supported."))),
    };
    Ok(Reply::json(&whole).costing(Some(billed), billed))
}

fn plain(content_type: &'static str, text: String, billed: Tokens) -> Reply {
    let payload = Payload::Whole(Bytes::from(text));
    Reply { content_type, payload, ..Reply::json(&Value::Null) }.costing(None, billed)
}

fn stream(text: &str, usage: &Value, billed: Tokens) -> Reply {
    let mut pieces = Pieces::default();
    for piece in tokens::pieces(text) {
        let data = json!({"type": "transcript.text.delta", "delta": piece});
        pieces.add(event("transcript.text.delta", &data), 1);
    }
    let data = json!({"type": "transcript.text.done", "text": text, "usage": usage});
    pieces.add_final(event("transcript.text.done", &data), 0);
    pieces.add("data: [DONE]\n\n", 0);
    Reply::stream("text/event-stream; charset=utf-8", pieces.finish()).costing(Some(billed), billed)
}
