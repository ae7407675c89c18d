//! In which window a moment lies: a pure function of time, so that no job has to reset anything.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, civil::Date};

use crate::row::Micros;

/// How long money is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
    /// For ever.
    Total,
    /// So long before now. Counted in buckets of a sixtieth of it, at least a second; a bucket counts until all of it
    /// lies further back than that.
    Rolling(Duration),
}

/// The window that a moment lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where it begins; what is spent now is charged to it.
    pub start: Micros,
    /// When the next one begins; `None`: never.
    pub end: Option<Micros>,
    /// The beginning of the oldest window that counts now. Later than `start` never; earlier only where it rolls.
    pub counts_from: Micros,
    /// Which leases pay for it: those of one calendar window belong together, those of a rolling one always do.
    pub lease: Micros,
}

impl Period {
    /// The window that `at` lies in, days beginning where `zone` says.
    pub fn window(self, zone: &TimeZone, at: Micros) -> Window {
        let first = match self {
            Period::Total => return Window { start: 0, end: None, counts_from: 0, lease: 0 },
            Period::Rolling(length) => return rolling(length, at),
            Period::Day | Period::Week | Period::Month => self.first_day(date(zone, at)),
        };
        let next = match self {
            Period::Day => first.saturating_add(1.day()),
            Period::Week => first.saturating_add(1.week()),
            _ => first.saturating_add(1.month()),
        };
        let start = midnight(zone, first).unwrap_or(Micros::MIN);
        Window { start, end: midnight(zone, next).filter(|end| *end > at), counts_from: start, lease: start }
    }

    fn first_day(self, date: Date) -> Date {
        match self {
            Period::Week => date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days()),
            Period::Month => date.first_of_month(),
            _ => date,
        }
    }

    /// The last window start that counts in `window`: in a calendar there is one, where it rolls there is no last.
    pub(crate) fn counts_until(self, window: Window) -> Micros {
        if matches!(self, Period::Rolling(_)) { Micros::MAX } else { window.start }
    }
}

fn rolling(length: Duration, at: Micros) -> Window {
    let length = Micros::try_from(length.as_micros()).unwrap_or(Micros::MAX);
    let bucket = (length / 60).max(1_000_000);
    let begin = |at: Micros| at.div_euclid(bucket).saturating_mul(bucket);
    let start = begin(at);
    let counts_from = begin(at.saturating_sub(length));
    Window { start, end: start.checked_add(bucket), counts_from, lease: 0 }
}

fn date(zone: &TimeZone, at: Micros) -> Date {
    let at = Timestamp::from_microsecond(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX });
    zone.to_datetime(at).date()
}

/// The first moment of a day. Where clocks skip midnight, the first that they show.
fn midnight(zone: &TimeZone, date: Date) -> Option<Micros> {
    Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn calendar_windows_follow_the_clocks_of_their_place() {
        for (period, zone, moment, start, end) in [
            (Period::Day, "UTC", "2026-11-22T10:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Period::Week, "UTC", "2026-11-22T10:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Period::Month, "UTC", "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            // 25 hours in autumn, 23 in spring.
            (
                Period::Day,
                "Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                Period::Day,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            // Midnight is skipped: the day begins at one o'clock.
            (
                Period::Day,
                "America/Sao_Paulo",
                "2018-11-04T12:00:00Z",
                "2018-11-04T03:00:00Z",
                "2018-11-05T02:00:00Z",
            ),
            // Clocks went from midnight back to 23 o'clock: the day before had it twice.
            (
                Period::Day,
                "America/Sao_Paulo",
                "2018-02-18T02:30:00Z",
                "2018-02-17T02:00:00Z",
                "2018-02-18T03:00:00Z",
            ),
            // Midnight comes twice; the day begins with the first.
            (
                Period::Day,
                "America/Havana",
                "2026-11-01T05:30:00Z",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            // A day that never was.
            (
                Period::Day,
                "Pacific/Apia",
                "2011-12-30T09:59:00Z",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
            (
                Period::Day,
                "Asia/Kathmandu",
                "2026-11-22T18:14:59Z",
                "2026-11-21T18:15:00Z",
                "2026-11-22T18:15:00Z",
            ),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            let window = period.window(&zone, at(moment));
            assert_eq!((window.start, window.end), (at(start), Some(at(end))), "{period:?} {moment}");
            assert_eq!((window.counts_from, window.lease), (window.start, window.start));
        }
    }

    #[test]
    fn windows_follow_each_other_without_gap_or_overlap() {
        let zones = [
            "UTC",
            "Europe/Berlin",
            "America/Havana",
            "America/Sao_Paulo",
            "Pacific/Apia",
            "Australia/Lord_Howe",
        ];
        let rolling = [Period::Rolling(Duration::from_secs(1)), Period::Rolling(Duration::from_secs(86_400))];
        for zone in zones.map(|zone| TimeZone::get(zone).unwrap()) {
            for period in [Period::Day, Period::Week, Period::Month].into_iter().chain(rolling) {
                let mut moment = at("2009-12-25T10:17:03Z");
                for _ in 0..3_000 {
                    let window = period.window(&zone, moment);
                    let end = window.end.unwrap();
                    assert!(window.start <= moment && moment < end, "{period:?} {moment}");
                    assert_eq!(period.window(&zone, window.start).start, window.start);
                    assert_eq!(period.window(&zone, end - 1).start, window.start);
                    assert_eq!(period.window(&zone, end).start, end, "{period:?} {moment}");
                    moment = end + (moment % 7_919_000);
                }
            }
        }
    }

    #[test]
    fn a_rolling_window_counts_a_bucket_until_all_of_it_is_past() {
        let hour = Period::Rolling(Duration::from_secs(3_600));
        let minute = 60_000_000;
        let window = hour.window(&TimeZone::UTC, 100 * minute + 5);
        assert_eq!((window.start, window.end, window.lease), (100 * minute, Some(101 * minute), 0));
        assert_eq!(window.counts_from, 40 * minute);
        assert_eq!(hour.window(&TimeZone::UTC, 101 * minute).counts_from, 41 * minute);
    }

    #[test]
    fn odd_moments_have_windows_too() {
        for period in
            [Period::Day, Period::Week, Period::Month, Period::Total, Period::Rolling(Duration::MAX)]
        {
            for moment in [Micros::MIN, Micros::MAX, 0, -1] {
                let window = period.window(&TimeZone::UTC, moment);
                assert!(window.counts_from <= window.start, "{period:?} {moment}");
            }
        }
    }
}
