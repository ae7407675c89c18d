//! One instance's segments, read in order: this process's own while it writes them, or those a dead one left.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::live::Live;
use crate::row::{CallId, Micros};
use crate::spool::frame::{Frame, Identity, Kind};
use crate::spool::home::Home;
use crate::spool::segment::{Reader, Verdict};
use crate::spool::{Extent, Position, Spool, codec};
use crate::stats::{self, LedgerStats};
use crate::store::Batch;

/// Where records come from.
pub(crate) struct Source {
    origin: Origin,
    stats: Arc<LedgerStats>,
    live: Live,
    reading: Option<(u32, Reader)>,
    /// Segments read to their end, still there.
    read: BTreeMap<u32, Verdict>,
    carrying: Option<Carrying>,
}

/// Records of long calls that were written again, so that the segment they stood in can go.
struct Carrying {
    segment: u32,
    calls: Vec<CallId>,
    position: Position,
}

/// How many segments may stay for the sake of calls under way before the records of those are carried on.
const PINNED: usize = 3;

enum Origin {
    /// The process itself, still writing.
    Own(Arc<Spool>),
    /// A dead process.
    Dead {
        home: Home,
        /// The segments that are there, and what they take of the disk.
        segments: BTreeMap<u32, u64>,
        /// The segment it wrote to last, which may end in the middle of a record. After it stands at most one that
        /// was made ready and not written to.
        last: u32,
        spool: Arc<Spool>,
    },
}

/// What a frame turned out to be for the reader.
struct Taken<'a> {
    batch: &'a mut Batch,
    live: &'a mut Live,
    segment: u32,
    rows: u64,
    unreadable: bool,
}

impl Source {
    pub(crate) fn own(spool: Arc<Spool>, stats: Arc<LedgerStats>) -> Source {
        Source {
            origin: Origin::Own(spool),
            stats,
            live: Live::default(),
            reading: None,
            read: BTreeMap::new(),
            carrying: None,
        }
    }

    /// What a dead process left in `home`. Its rows count as waiting from now on.
    pub(crate) fn dead(home: Home, spool: Arc<Spool>, stats: Arc<LedgerStats>) -> io::Result<Source> {
        let (numbers, quarantined) = home.segments()?;
        stats::add(&stats.quarantined_before, quarantined);
        let mut rows = 0;
        let mut segments = BTreeMap::new();
        let mut last = 0;
        for number in numbers {
            let file = home.disk.open(&home.segment(number))?;
            segments.insert(number, file.len()?);
            let mut reader = Reader::open(file, Identity { instance: home.instance, number })?;
            while !reader.verdict().finished {
                reader.finish(true, &mut |frame| {
                    rows += u64::from(is_row(frame));
                    last = number;
                })?;
            }
        }
        stats::add(&stats.foreign_waiting, rows);
        spool.foreign_bytes.fetch_add(segments.values().sum(), Ordering::Relaxed);
        if !segments.is_empty() {
            tracing::info!(instance = %home.instance, segments = segments.len(), rows, "taking over the spool of a process that is gone");
        }
        let origin = Origin::Dead { home, segments, last, spool };
        let live = Live::of_the_dead();
        Ok(Source { origin, stats, live, reading: None, read: BTreeMap::new(), carrying: None })
    }

    /// The process that wrote it.
    pub(crate) fn instance(&self) -> Uuid {
        self.home().instance
    }

    pub(crate) fn is_own(&self) -> bool {
        matches!(self.origin, Origin::Own(_))
    }

    /// Adds rows to `batch` until it has `limit` (or somewhat more), or nothing more is there. Counts them in `rows`;
    /// that can be more than the batch has, where rows stand twice.
    pub(crate) fn fill(&mut self, batch: &mut Batch, limit: usize, rows: &mut u64) -> io::Result<()> {
        for extent in self.extents()? {
            if self.read.contains_key(&extent.number) {
                continue;
            }
            while batch.len() < limit {
                let before = self.position();
                if self.read_some(extent, batch, rows)? || self.position() == before {
                    break;
                }
            }
            if batch.len() >= limit || !self.read.contains_key(&extent.number) {
                break;
            }
        }
        batch.sort();
        Ok(())
    }

    /// Tells that `rows` rows, read by [`Source::fill`], are in the store.
    pub(crate) fn stored(&self, rows: u64) {
        match &self.origin {
            Origin::Own(_) => stats::add(&self.stats.own_read, rows),
            Origin::Dead { .. } => stats::sub(&self.stats.foreign_waiting, rows),
        }
    }

    /// The rows that close what a dead process left open, once all it wrote is in the store.
    pub(crate) fn orphans(&mut self, limit: usize, now: Micros) -> Batch {
        match &self.origin {
            Origin::Dead { segments, .. } if segments.keys().all(|number| self.read.contains_key(number)) => {
                self.live.orphans(limit, now)
            }
            _ => Batch::default(),
        }
    }

    /// Tells that these rows, from [`Source::orphans`], are in the store.
    pub(crate) fn closed(&mut self, batch: &Batch) {
        for call in &batch.calls {
            self.live.ended(call.id);
        }
    }

    /// Removes what is not needed any more. To be called only when all rows read so far are in the store. True when
    /// all of a dead process is done with.
    pub(crate) fn clean(&mut self) -> io::Result<bool> {
        self.carry_on();
        let done: Vec<_> = self.read.iter().filter(|(number, _)| !self.live.pins(**number)).collect();
        let done: Vec<_> = done.into_iter().map(|(number, verdict)| (*number, *verdict)).collect();
        for (number, verdict) in done {
            self.discard(number, verdict)?;
            self.read.remove(&number);
        }
        let Origin::Dead { segments, .. } = &self.origin else { return Ok(false) };
        Ok(segments.is_empty() && self.reading.is_none() && self.live.is_empty())
    }

    /// Where too many segments stay only for a few long calls, writes the records of those again, and lets the
    /// segments go once the copies are as safe as the originals.
    fn carry_on(&mut self) {
        let Origin::Own(spool) = &self.origin else { return };
        if let Some(Carrying { segment, calls, .. }) =
            self.carrying.take_if(|carrying| spool.is_kept(carrying.position))
        {
            self.live.carried(&calls, segment);
        }
        if self.carrying.is_some() || self.read.len() <= PINNED {
            return;
        }
        // Crowded segments stay: copying them would gain nothing.
        let most = (spool.segment_bytes() / 4) as usize;
        let found = self.read.keys().find_map(|number| Some((*number, self.live.to_carry(*number, most)?)));
        let Some((segment, (calls, mut frames))) = found else { return };
        let position = spool.carry(&mut frames);
        self.carrying = position.map(|position| Carrying { segment, calls, position });
    }

    /// Removes a dead process's folder, or keeps its lock where quarantined segments stay in it.
    pub(crate) fn leave(self) -> Option<Home> {
        match self.origin {
            Origin::Own(_) => None,
            Origin::Dead { home, .. } => (!home.remove_if_empty().unwrap_or(false)).then_some(home),
        }
    }

    /// Whether calls are under way.
    pub(crate) fn has_live_calls(&self) -> bool {
        !self.live.is_empty()
    }

    fn position(&self) -> Option<(u32, u64)> {
        self.reading.as_ref().map(|(number, reader)| (*number, reader.at()))
    }

    fn extents(&self) -> io::Result<Vec<Extent>> {
        Ok(match &self.origin {
            Origin::Own(spool) => spool.extents(),
            Origin::Dead { segments, .. } => segments
                .keys()
                .map(|number| Extent { number: *number, end: u64::MAX, sealed: true })
                .collect(),
        })
    }

    fn home(&self) -> &Home {
        match &self.origin {
            Origin::Own(spool) => &spool.home,
            Origin::Dead { home, .. } => home,
        }
    }

    /// Reads one chunk; true when the segment is read to its end.
    fn read_some(&mut self, extent: Extent, batch: &mut Batch, rows: &mut u64) -> io::Result<bool> {
        let mut reader = match self.reading.take() {
            Some((number, reader)) if number == extent.number => reader,
            _ => {
                let home = self.home();
                let file = home.disk.open(&home.segment(extent.number))?;
                Reader::open(file, Identity { instance: home.instance, number: extent.number })?
            }
        };
        let segment = extent.number;
        let mut taken = Taken { batch, live: &mut self.live, segment, rows: 0, unreadable: false };
        let mut each = |frame: &Frame<'_>| taken.frame(frame);
        let result = match &self.origin {
            Origin::Own(_) => reader.follow(extent.end, &mut each),
            Origin::Dead { last, .. } => reader.finish(segment >= *last, &mut each),
        };
        *rows += taken.rows;
        if taken.unreadable {
            reader.mark_damaged();
        }
        let verdict = reader.verdict();
        let at_end = verdict.finished || reader.at() >= extent.end;
        if at_end && extent.sealed {
            self.note(extent.number, verdict);
            self.read.insert(extent.number, verdict);
        } else {
            self.reading = Some((extent.number, reader));
        }
        result.map(|()| at_end)
    }

    fn note(&self, number: u32, verdict: Verdict) {
        let dir = self.home().dir.display();
        if verdict.torn && !verdict.damaged {
            stats::add(&self.stats.torn, 1);
            tracing::warn!(spool = %dir, segment = number, "a spool segment ends in the middle of a record, as after a crash; what is before it is kept");
        }
    }

    fn discard(&mut self, number: u32, verdict: Verdict) -> io::Result<()> {
        if verdict.damaged {
            let path = self.home().quarantine(number)?;
            stats::add(&self.stats.quarantined, 1);
            tracing::error!(segment = %path.display(), "a spool segment is damaged and set aside; its readable records are in the store");
        } else {
            self.home().remove(number)?;
        }
        match &mut self.origin {
            Origin::Own(spool) => spool.forget(number),
            Origin::Dead { segments, spool, .. } => {
                let bytes = segments.remove(&number).unwrap_or_default();
                spool.foreign_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl Taken<'_> {
    fn frame(&mut self, frame: &Frame<'_>) {
        if frame.version > codec::VERSION || self.record(frame).is_err() {
            self.unreadable = true;
        }
    }

    fn record(&mut self, frame: &Frame<'_>) -> Result<(), codec::Malformed> {
        if frame.kind == Kind::Open as u8 {
            self.live.opened(frame.payload, self.segment)?;
        } else if frame.kind == Kind::Settle as u8 {
            let row = codec::get_attempt(frame.payload)?;
            self.live.settled(&row, self.segment);
            self.batch.attempts.push(row);
            self.rows += 1;
        } else if frame.kind == Kind::Call as u8 {
            let row = codec::get_call(frame.payload)?;
            self.batch.attempts.extend(self.live.ended_with(&row));
            self.batch.calls.push(row);
            self.rows += 1;
        } else if frame.kind == Kind::CarriedOpen as u8 {
            if self.live.heeds(codec::attempt_id(frame.payload)?.call) {
                self.live.opened(frame.payload, self.segment)?;
            }
        } else if frame.kind == Kind::CarriedSettle as u8 {
            let row = codec::get_attempt(frame.payload)?;
            if self.live.heeds(row.id.call) {
                self.live.settled(&row, self.segment);
            }
        } else {
            return Err(codec::Malformed);
        }
        Ok(())
    }
}

fn is_row(frame: &Frame<'_>) -> bool {
    frame.kind == Kind::Settle as u8 || frame.kind == Kind::Call as u8
}
