//! How records stand in a segment: a header that says whose segment it is, then frames, each with its checksum.
//!
//! A frame's checksum covers the segment's identity and the frame's offset as well as its bytes. So a frame cannot
//! be taken for valid anywhere else, and a client that writes frames into its labels cannot forge a row, even where
//! damage makes the reader search for the next frame.

use uuid::Uuid;

use super::codec;

/// What a segment begins with.
pub(crate) const HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"weirspl1";

/// What a frame begins with: length of the payload, checksum, version, kind.
pub(crate) const FRAME: usize = 10;
/// The longest payload.
pub(crate) const MAX_PAYLOAD: usize = 64 * 1024;
/// The length of the frame that closes a segment.
pub(crate) const SEAL: u64 = (FRAME + 8) as u64;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An attempt is about to be dispatched.
    Open = 1,
    /// An attempt ended.
    Settle = 2,
    /// A call ended.
    Call = 3,
    /// The segment is complete; the payload is the number of frames before.
    Seal = 4,
    /// An `Open` of a call that takes so long that its segment would otherwise have to stay.
    CarriedOpen = 5,
    /// A `Settle` of such a call.
    CarriedSettle = 6,
}

/// Whose segment it is: the instance that wrote it, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) instance: Uuid,
    pub(crate) number: u32,
}

impl Identity {
    /// The bytes that open a segment.
    pub(crate) fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..24].copy_from_slice(self.instance.as_bytes());
        header[24..28].copy_from_slice(&self.number.to_le_bytes());
        let check = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&check.to_le_bytes());
        header
    }

    /// Who wrote the segment that begins with these bytes; `None` where they are damaged.
    pub(crate) fn of_header(header: &[u8]) -> Option<Identity> {
        let header = header.get(..HEADER)?;
        if &header[..8] != MAGIC || crc32fast::hash(&header[..28]) != u32_at(header, 28) {
            return None;
        }
        let instance = Uuid::from_slice(&header[8..24]).ok()?;
        Some(Identity { instance, number: u32_at(header, 24) })
    }

    fn checksum(self, offset: u64, len: u32, rest: &[u8]) -> u32 {
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(self.instance.as_bytes());
        salt[16..20].copy_from_slice(&self.number.to_le_bytes());
        salt[20..28].copy_from_slice(&offset.to_le_bytes());
        salt[28..].copy_from_slice(&len.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&salt);
        hasher.update(rest);
        hasher.finalize()
    }

    /// Fills in the checksums of `frames`, which will stand at `offset`; how many there are.
    pub(crate) fn sign(self, frames: &mut [u8], mut offset: u64) -> u64 {
        let mut at = 0;
        let mut count = 0;
        while at < frames.len() {
            let len = u32_at(frames, at);
            let end = at + FRAME + len as usize;
            let check = self.checksum(offset, len, &frames[at + 8..end]);
            frames[at + 4..at + 8].copy_from_slice(&check.to_le_bytes());
            offset += (end - at) as u64;
            at = end;
            count += 1;
        }
        count
    }

    /// The frame at the start of `bytes`, which stand at `offset` of the segment.
    pub(crate) fn parse(self, bytes: &[u8], offset: u64) -> Parsed<'_> {
        if bytes.len() < FRAME {
            return if bytes.iter().all(|byte| *byte == 0) { Parsed::Nothing } else { Parsed::Short };
        }
        let len = u32_at(bytes, 0);
        if len == 0 {
            return if bytes[..FRAME].iter().all(|byte| *byte == 0) { Parsed::Nothing } else { Parsed::Bad };
        }
        if len as usize > MAX_PAYLOAD {
            return Parsed::Bad;
        }
        let Some(rest) = bytes.get(8..FRAME + len as usize) else { return Parsed::Short };
        if self.checksum(offset, len, rest) != u32_at(bytes, 4) {
            return Parsed::Bad;
        }
        Parsed::Frame(Frame { version: rest[0], kind: rest[1], payload: &rest[2..] })
    }

    /// The offset of the next valid frame in `bytes`, which stand at `offset`, searching from byte `from`.
    pub(crate) fn resume(self, bytes: &[u8], offset: u64, from: usize) -> Option<usize> {
        (from..bytes.len().saturating_sub(FRAME)).find(|at| {
            let candidate = &bytes[*at..];
            // The cheap tests first; the checksum decides.
            matches!(candidate[8], 1..=codec::VERSION)
                && matches!(candidate[9], 1..=6)
                && matches!(self.parse(candidate, offset + *at as u64), Parsed::Frame(_))
        })
    }
}

/// What stands at one place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A frame whose checksum is right.
    Frame(Frame<'a>),
    /// Zeros: nothing was written here.
    Nothing,
    /// The bytes end before the frame does.
    Short,
    /// Not a frame.
    Bad,
}

/// A frame whose checksum is right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    pub(crate) fn len(&self) -> u64 {
        (FRAME + self.payload.len()) as u64
    }
}

/// Appends one unsigned frame to `out`; `write` appends its payload.
pub(crate) fn push(out: &mut Vec<u8>, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, codec::VERSION, kind as u8]);
    write(out);
    let len = (out.len() - at - FRAME) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// How many frames there are in `frames`, one after another.
pub(crate) fn count(frames: &[u8]) -> u64 {
    let (mut at, mut count) = (0, 0);
    while at < frames.len() {
        at += FRAME + u32_at(frames, at) as usize;
        count += 1;
    }
    count
}

/// The unsigned frame that closes a segment of `count` frames.
pub(crate) fn seal(count: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEAL as usize);
    push(&mut out, Kind::Seal, |out| out.extend_from_slice(&count.to_le_bytes()));
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELF: Identity = Identity { instance: Uuid::from_u128(77), number: 3 };

    fn two() -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, Kind::Open, |out| out.extend_from_slice(b"first"));
        push(&mut bytes, Kind::Call, |out| out.extend_from_slice(b"second"));
        assert_eq!((SELF.sign(&mut bytes, 100), count(&bytes)), (2, 2));
        bytes
    }

    #[test]
    fn frames_are_read_where_they_stand_and_nowhere_else() {
        let bytes = two();
        let Parsed::Frame(frame) = SELF.parse(&bytes, 100) else { panic!("no frame") };
        assert_eq!((frame.kind, frame.payload, frame.len()), (1, &b"first"[..], 15));
        assert_eq!(SELF.parse(&bytes, 101), Parsed::Bad);
        assert_eq!(Identity { number: 4, ..SELF }.parse(&bytes, 100), Parsed::Bad);
        assert_eq!(Identity { instance: Uuid::from_u128(78), ..SELF }.parse(&bytes, 100), Parsed::Bad);
        assert_eq!(SELF.parse(&bytes[..14], 100), Parsed::Short);
        assert_eq!(SELF.parse(&[0; 40], 100), Parsed::Nothing);
    }

    #[test]
    fn every_bit_is_covered_and_the_next_frame_is_found_again() {
        let bytes = two();
        for bit in 0..15 * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(SELF.parse(&flipped, 100), Parsed::Frame(_)), "bit {bit}");
            assert_eq!(SELF.resume(&flipped, 100, 1), Some(15), "bit {bit}");
        }
    }

    #[test]
    fn headers_tell_their_owner_or_nothing() {
        let header = SELF.header();
        assert_eq!(Identity::of_header(&header), Some(SELF));
        for bit in 0..HEADER * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Identity::of_header(&flipped), None, "bit {bit}");
        }
    }
}
