//! Speech: bytes that look like sound, 400 for each character.

use base64::Engine as _;
use serde_json::json;

use super::{bytes, event, known, model};
use crate::openai::error;
use crate::reply::{Outcome, Pieces, Reply};
use crate::service::Call;
use crate::tokens::{self, Tokens};

/// Bytes of sound for each character, and of one piece.
const BYTES: usize = 400;
const PIECE: usize = 4096;

/// Answers a speech request.
pub(in crate::openai) fn answer(call: &Call<'_>) -> Outcome {
    let body = call.body;
    model(call, &["tts-", "gpt-4o-mini-tts", "speech", "sim-"])?;
    known(call, &["input", "voice", "response_format", "speed", "instructions", "stream_format"])?;
    let text =
        body["input"].as_str().filter(|text| !text.is_empty()).ok_or_else(|| error::missing("input"))?;
    let characters = text.chars().count();
    if characters > 4096 {
        return Err(error::bad_value(
            "input",
            "string too long. Expected a string with maximum length 4096.",
        ));
    }
    if body["voice"].as_str().is_none() {
        return Err(error::missing("voice"));
    }
    let (kind, start): (_, &[u8]) = match body["response_format"].as_str().unwrap_or("mp3") {
        "mp3" => ("audio/mpeg", b"ID3\x04"),
        "opus" => ("audio/opus", b"OggS"),
        "aac" => ("audio/aac", b"\xff\xf1"),
        "flac" => ("audio/flac", b"fLaC"),
        "wav" => ("audio/wav", b"RIFF"),
        "pcm" => ("audio/pcm", b""),
        other => return Err(error::bad_value("response_format", &format!("'{other}' is not supported."))),
    };
    let by_token = call.model.starts_with("gpt-4o");
    let characters = characters as u64;
    let billed = match by_token {
        true => Tokens {
            input: tokens::count(text) + tokens::count(body["instructions"].as_str().unwrap_or("")),
            audio_out: (characters * 7).div_ceil(5),
            ..Tokens::default()
        },
        false => Tokens { character: characters, ..Tokens::default() },
    };
    let mut sound = start.to_vec();
    sound.extend(bytes(text, usize::try_from(characters).unwrap_or(0) * BYTES));
    if body["stream_format"] == "sse" {
        if !by_token {
            return Err(error::unsupported_value("stream_format", "'sse'"));
        }
        let mut pieces = Pieces::default();
        for piece in sound.chunks(PIECE) {
            let audio = base64::engine::general_purpose::STANDARD.encode(piece);
            let data = json!({"type": "speech.audio.delta", "audio": audio});
            pieces.add(event("speech.audio.delta", &data), 0);
        }
        let usage = json!({"input_tokens": billed.input, "output_tokens": billed.audio_out,
            "total_tokens": billed.input + billed.audio_out});
        let data = json!({"type": "speech.audio.done", "usage": usage});
        pieces.add_final(event("speech.audio.done", &data), billed.audio_out);
        return Ok(
            Reply::stream("text/event-stream; charset=utf-8", pieces.finish()).costing(Some(billed), billed)
        );
    }
    let mut pieces = Pieces::default();
    sound.chunks(PIECE).for_each(|piece| pieces.add(piece.to_vec(), 0));
    Ok(Reply::stream(kind, pieces.finish()).costing(None, billed))
}
