//! How long a file of sound plays, from its first bytes and its size.

use weir_adapter::upload::FileHead;

/// Bytes a second of MP3, at least: 8 kbit.
const LEAST_MP3: u64 = 1_000;
/// Bytes a second that compressed sound has as a rule: 64 kbit.
const USUAL: u64 = 8_000;

/// Milliseconds that it plays, at most; `None` where its form says nothing of that (silence takes no bytes in others).
pub(super) fn at_most(file: &FileHead) -> Option<u64> {
    match wav(&file.bytes) {
        Some((pace, start)) => Some(millis(file.at_most.saturating_sub(start), pace)),
        None => is_mp3(&file.bytes).then(|| millis(file.at_most, LEAST_MP3)),
    }
}

/// About how long it plays, in milliseconds.
pub(super) fn likely(file: &FileHead) -> u64 {
    match wav(&file.bytes) {
        Some((pace, start)) => millis(file.at_most.saturating_sub(start), pace),
        None if is_mp3(&file.bytes) => millis(file.at_most, 2 * USUAL),
        None => millis(file.at_most, USUAL),
    }
}

/// Seconds are charged whole.
pub(super) fn whole_seconds(millis: u64) -> u64 {
    millis.div_ceil(1000).saturating_mul(1000)
}

fn millis(bytes: u64, pace: u64) -> u64 {
    bytes.saturating_mul(1000).div_ceil(pace)
}

/// Bytes a second of a WAV file without compression, and where its sound begins, as far as that shows.
fn wav(head: &[u8]) -> Option<(u64, u64)> {
    if !head.starts_with(b"RIFF") || head.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut at, mut pace) = (12, None);
    loop {
        let Some(name) = head.get(at..at + 4) else { return pace.map(|pace| (pace, 0)) };
        let Some(size) = head.get(at + 4..at + 8) else { return pace.map(|pace| (pace, 0)) };
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        if name == b"data" {
            return pace.map(|pace| (pace, at as u64 + 8));
        }
        if name == b"fmt " {
            let format = head.get(at + 8..at + 24)?;
            let kind = match u16::from_le_bytes([format[0], format[1]]) {
                // The longer form says further on what it holds.
                0xfffe => u16::from_le_bytes(head.get(at + 32..at + 34)?.try_into().ok()?),
                kind => kind,
            };
            let rate = u32::from_le_bytes(format[4..8].try_into().ok()?);
            let block = u16::from_le_bytes([format[12], format[13]]);
            // PCM, floats, A-law, mu-law.
            let plain = matches!(kind, 1 | 3 | 6 | 7);
            if !plain || rate == 0 || block == 0 || pace.is_some() {
                return None;
            }
            pace = Some(u64::from(rate) * u64::from(block));
        }
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size % 2)?;
    }
}

fn is_mp3(head: &[u8]) -> bool {
    // A tag, or a frame of layer III.
    head.starts_with(b"ID3") || matches!(head, [0xff, second, ..] if second & 0xe6 == 0xe2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: Vec<u8>, at_most: u64) -> FileHead {
        FileHead { bytes: bytes.into(), at_most }
    }

    /// 16 kHz, mono, 16 bit.
    fn header() -> Vec<u8> {
        let mut head = b"RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt \x10\x00\x00\x00".to_vec();
        head.extend([1, 0, 1, 0]);
        head.extend(16_000u32.to_le_bytes());
        head.extend(32_000u32.to_le_bytes());
        head.extend([2, 0, 16, 0]);
        head
    }

    #[test]
    fn wav_plays_as_long_as_its_header_says() {
        assert_eq!(at_most(&file(header(), 64_000)), Some(2_000), "its sound is not in sight");
        let mut whole = header();
        whole.extend(b"data\x00\xfa\x00\x00");
        let size = whole.len() as u64 + 64_000;
        assert_eq!((at_most(&file(whole.clone(), size)), likely(&file(whole, size))), (Some(2_000), 2_000));
        assert_eq!(whole_seconds(2_001), 3_000);
        let mut compressed = header();
        let at = compressed.windows(4).position(|part| part == b"fmt ").unwrap() + 8;
        compressed[at] = 2;
        assert_eq!(at_most(&file(compressed, 64_000)), None);
        for cut in 0..header().len() {
            // No beginning of it panics, or promises too little.
            assert_eq!(at_most(&file(header()[..cut].to_vec(), 64_000)), None, "{cut}");
        }
    }

    #[test]
    fn mp3_has_a_least_pace_and_other_forms_have_none() {
        assert_eq!(at_most(&file(b"ID3\x04".to_vec(), 5_000)), Some(5_000));
        assert_eq!(at_most(&file(vec![0xff, 0xfb, 0x90], 5_000)), Some(5_000));
        assert_eq!(at_most(&file(b"fLaC".to_vec(), 5_000)), None);
        assert_eq!(at_most(&file(b"OggS".to_vec(), 5_000)), None);
        assert_eq!(likely(&file(b"OggS".to_vec(), 8_000)), 1_000);
    }
}
