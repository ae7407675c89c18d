//! Streams cut anywhere.

use std::collections::BTreeSet;

use bytes::Bytes;
use weir_wire::framing::{Framing, Splitter, Verdict};
use weir_wire::openai;

use crate::adapter::{Decoder, Glance, Reader};
use crate::error::ProviderError;

/// The frames of a stream that is cut at these offsets (ascending, within the stream), the last perhaps without its end.
pub fn frames(framing: Framing, stream: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut splitter = Splitter::new(framing);
    let mut frames = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        let chunk = Bytes::copy_from_slice(&stream[start..end]);
        let seen = splitter.push(chunk, |frame| {
            frames.push(frame.clone());
            Verdict::Keep
        });
        seen.expect("recorded frames are small");
        start = end;
    }
    let rest = splitter.finish();
    if !rest.is_empty() {
        frames.push(rest);
    }
    frames
}

/// All chunks of a stream that is cut at these offsets, as the gateway reads it.
///
/// # Errors
/// What the decoder reports.
pub fn decode(
    decoder: &mut dyn Decoder,
    stream: &[u8],
    cuts: &[usize],
) -> Result<Vec<openai::Chunk>, ProviderError> {
    let mut out = Vec::new();
    for frame in frames(decoder.framing(), stream, cuts) {
        decoder.frame(&frame, &mut out)?;
    }
    decoder.end(&mut out)?;
    Ok(out)
}

/// All glances at a native stream that is cut at these offsets, and what is added at its end.
///
/// # Errors
/// What the reader reports.
pub fn glance(
    reader: &mut dyn Reader,
    stream: &[u8],
    cuts: &[usize],
) -> Result<(Vec<Glance>, Bytes), ProviderError> {
    let mut out = Vec::new();
    for frame in frames(reader.framing(), stream, cuts) {
        out.push(reader.frame(&frame)?);
    }
    Ok((out, reader.end()?))
}

/// Ways to cut a stream of `length` bytes: as it was recorded, one byte a read, and in two at every byte; of a stream
/// longer than `all` bytes in two at each of its first `all` bytes, at each recorded read's end, and at
/// evenly spaced bytes behind, about as many again.
pub fn ways(length: usize, chunk_lengths: &[usize], all: usize) -> Vec<Vec<usize>> {
    let mut at = 0;
    let recorded: Vec<usize> = chunk_lengths
        .iter()
        .map(|length| {
            at += length;
            at
        })
        .filter(|end| *end < length)
        .collect();
    let step = (length.saturating_sub(all) / all.max(1)).max(1);
    let singles: BTreeSet<usize> = (1..length.min(all + 1))
        .chain((all.max(1)..length).step_by(step))
        .chain(recorded.iter().copied())
        .filter(|cut| *cut < length)
        .collect();
    let mut ways = vec![recorded, (1..length).collect()];
    ways.extend(singles.into_iter().map(|cut| vec![cut]));
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_gives_the_same_frames() {
        let stream = "data: é\n\ndata: b\r\n\r\ndata: rest".as_bytes();
        let ways = ways(stream.len(), &[4, 7], 1000);
        assert_eq!(ways.len(), 2 + stream.len() - 1);
        let text = |cuts: &[usize]| -> Vec<String> {
            let frames = frames(Framing::Sse, stream, cuts);
            frames
                .iter()
                .map(|frame| String::from_utf8_lossy(frame).trim().to_owned())
                .filter(|frame| !frame.is_empty())
                .collect()
        };
        for cuts in &ways {
            assert_eq!(text(cuts), ["data: é", "data: b", "data: rest"], "{cuts:?}");
        }
    }

    #[test]
    fn long_streams_are_sampled() {
        let ways = ways(100_000, &[70_000, 30_000], 100);
        assert!(ways.len() < 310, "{}", ways.len());
        assert!(ways.contains(&vec![70_000]) && ways.contains(&vec![99]));
    }
}
