//! Reading one segment: its frames in order, past damage where there is some, and what its end looked like.

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{FRAME, Frame, HEADER, Identity, Kind, MAX_PAYLOAD, Parsed};

/// How much is read at once, in bytes. More than the longest frame.
const CHUNK: usize = 4 * (MAX_PAYLOAD + FRAME);

/// Reads a segment from its beginning on, as far as it is written.
#[derive(Debug)]
pub(crate) struct Reader {
    file: Arc<dyn DiskFile>,
    identity: Identity,
    at: u64,
    frames: u64,
    verdict: Verdict,
}

/// What was found out about a segment so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Its closing frame was read.
    pub(crate) sealed: bool,
    /// Bytes that were written once can't be read any more.
    pub(crate) damaged: bool,
    /// It ends in the middle of a frame, as after a crash.
    pub(crate) torn: bool,
    /// No more frames follow.
    pub(crate) finished: bool,
}

impl Reader {
    /// Opens a segment. `expected` is used where its header is damaged.
    pub(crate) fn open(file: Arc<dyn DiskFile>, expected: Identity) -> io::Result<Reader> {
        let mut header = [0; HEADER];
        let read = file.read_at(&mut header, 0)?;
        let found = Identity::of_header(&header[..read]);
        let mut verdict = Verdict::default();
        if found.is_none() {
            // A crash while the segment was made leaves it empty or all zero; anything else is damage.
            verdict.damaged = read == HEADER && header != [0; HEADER];
            verdict.torn = !verdict.damaged;
        }
        Ok(Reader { file, identity: found.unwrap_or(expected), at: HEADER as u64, frames: 0, verdict })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Says that a frame, though whole, could not be understood.
    pub(crate) fn mark_damaged(&mut self) {
        self.verdict.damaged = true;
    }

    /// How far it is read.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Reads one chunk of frames before `end`, of a segment whose writer lives. There every byte before `end` was
    /// written whole.
    pub(crate) fn follow(&mut self, end: u64, each: &mut dyn FnMut(&Frame<'_>)) -> io::Result<()> {
        // What is unreadable at the end so far says nothing about what is appended later.
        self.verdict.finished = self.verdict.sealed;
        if self.at < end { self.chunk(end, true, each) } else { Ok(()) }
    }

    /// Reads one chunk of a segment whose writer is gone. Only the `last` segment may end in the middle of a frame.
    pub(crate) fn finish(&mut self, last: bool, each: &mut dyn FnMut(&Frame<'_>)) -> io::Result<()> {
        let end = self.file.len()?;
        if self.at < end {
            self.chunk(end, !last, each)?;
        } else {
            self.verdict.finished = true;
        }
        if self.verdict.finished && !last && !self.verdict.sealed && !self.verdict.damaged {
            self.verdict.torn = true;
        }
        Ok(())
    }

    fn chunk(&mut self, end: u64, whole: bool, each: &mut dyn FnMut(&Frame<'_>)) -> io::Result<()> {
        let bytes = self.read(end.min(self.at + CHUNK as u64))?;
        let to_the_end = self.at + bytes.len() as u64 >= end;
        let mut at = 0;
        while at < bytes.len() && !self.verdict.finished {
            match self.identity.parse(&bytes[at..], self.at + at as u64) {
                Parsed::Frame(frame) => {
                    at += frame.len() as usize;
                    self.take(&frame, each);
                }
                Parsed::Short if !to_the_end => break,
                Parsed::Nothing if !to_the_end && bytes.len() - at < FRAME => break,
                Parsed::Nothing | Parsed::Short | Parsed::Bad => {
                    self.at += at as u64;
                    return self.pass_damage(end, whole);
                }
            }
        }
        self.at += at as u64;
        if self.verdict.sealed {
            self.check_nothing_follows(end)?;
        } else if to_the_end && self.at >= end && !whole {
            self.verdict.finished = true;
        }
        Ok(())
    }

    fn take(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(&Frame<'_>)) {
        if frame.kind != Kind::Seal as u8 {
            self.frames += 1;
            return each(frame);
        }
        self.verdict.damaged |= frame.payload != self.frames.to_le_bytes();
        self.verdict.sealed = true;
        self.verdict.finished = true;
    }

    /// At `self.at` stands no frame: the end, zeros after the end, a torn frame, or damage with frames behind it.
    fn pass_damage(&mut self, end: u64, whole: bool) -> io::Result<()> {
        let rest = self.read(end)?;
        let blank = rest.iter().all(|byte| *byte == 0);
        if let Some(next) = self.identity.resume(&rest, self.at, 1) {
            self.verdict.damaged = true;
            self.at += next as u64;
            return Ok(());
        }
        self.at = end;
        self.verdict.finished = true;
        self.verdict.torn |= !blank && !whole;
        self.verdict.damaged |= !blank && whole;
        Ok(())
    }

    fn check_nothing_follows(&mut self, end: u64) -> io::Result<()> {
        let rest = self.read(end)?;
        self.verdict.damaged |= rest.iter().any(|byte| *byte != 0);
        Ok(())
    }

    fn read(&self, end: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; end.saturating_sub(self.at) as usize];
        let read = self.file.read_at(&mut bytes, self.at)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
