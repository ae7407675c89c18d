//! When a failing target is left alone, and how it comes back. Time comes in as an argument.

use std::time::{Duration, Instant};

use super::window::Window;

/// When a failing target is left alone: `models.*.breaker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Failed calls of a million in the window that open it.
    pub millionths: u32,
    /// Fewer calls in the window never open it by ratio.
    pub min_requests: u32,
    /// How far back the ratio looks.
    pub window: Duration,
    /// How long it stays open before one call may try; how long it takes to come back in full.
    pub cooldown: Duration,
}

/// The longest that a target or key rests, whatever its provider asks for and however often it failed.
pub const MAX_REST: Duration = Duration::from_secs(600);
/// How often the rest doubles while probes fail.
const MAX_DOUBLINGS: u32 = 4;
/// The least share of calls that a target gets when it comes back.
const FIRST_SHARE: f64 = 0.1;

/// Why it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Failures in a row, or a probe that failed.
    Failures,
    /// Too large a share of calls failed: it answers now and then.
    Ratio,
    /// The provider asked for a pause.
    Asked,
}

impl Why {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Why::Failures => "it failed several times in a row, or its probe is under way",
            Why::Ratio => "too many of its calls failed",
            Why::Asked => "its provider asked for that",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; `since`: it came back then.
    Closed { since: Option<Instant> },
    /// None do.
    Open { until: Instant, why: Why },
    /// One is on its way to find out.
    HalfOpen,
}

/// Whether a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It may.
    Go,
    /// It may, and its end decides.
    Probe,
    /// Not before so long.
    Rest(Duration),
}

/// The breaker of one target.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    in_row: u32,
    openings: u32,
    window: Window,
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker { state: State::Closed { since: None }, in_row: 0, openings: 0, window: Window::default() }
    }
}

impl Breaker {
    /// Whether a call may go now. `kept`: a target that fails only at times is asked all the same, since too many of
    /// its group rest.
    pub fn admit(&mut self, kept: bool, now: Instant) -> Admit {
        match self.state {
            State::Closed { .. } => Admit::Go,
            State::Open { why: Why::Ratio, .. } if kept => Admit::Go,
            State::Open { until, .. } if now < until => Admit::Rest(until - now),
            State::Open { why: Why::Asked, .. } => {
                self.state = State::Closed { since: None };
                Admit::Go
            }
            State::Open { .. } => {
                self.state = State::HalfOpen;
                Admit::Probe
            }
            State::HalfOpen => Admit::Rest(Duration::from_secs(1)),
        }
    }

    /// How long it still rests, and why; `None` where a call may go.
    pub fn resting(&self, now: Instant) -> Option<(Duration, Why)> {
        match self.state {
            State::Open { until, why } if now < until => Some((until - now, why)),
            State::HalfOpen => Some((Duration::from_secs(1), Why::Failures)),
            _ => None,
        }
    }

    /// An answer came. `alone`: the call went though it was open, having no other target.
    pub fn succeed(&mut self, probe: bool, alone: bool, settings: &BreakerSettings, now: Instant) {
        self.in_row = 0;
        let closes = probe || (alone && !matches!(self.state, State::Closed { .. }));
        if closes {
            self.window.clear();
            self.openings = 0;
            self.state = State::Closed { since: Some(now) };
        }
        self.window.add(true, now, settings.window);
    }

    /// None came.
    pub fn fail(&mut self, probe: bool, settings: &BreakerSettings, now: Instant) {
        self.in_row = self.in_row.saturating_add(1);
        self.window.add(false, now, settings.window);
        if probe {
            return self.open(Why::Failures, settings, now);
        }
        // What was under way when it opened tells nothing new.
        if !matches!(self.state, State::Closed { .. }) {
            return;
        }
        let (all, bad) = self.window.counts(now, settings.window);
        if self.in_row >= settings.failures {
            self.open(Why::Failures, settings, now);
        } else if all >= u64::from(settings.min_requests)
            && bad * 1_000_000 >= all * u64::from(settings.millionths)
        {
            self.open(Why::Ratio, settings, now);
        }
    }

    fn open(&mut self, why: Why, settings: &BreakerSettings, now: Instant) {
        let rest = settings.cooldown.saturating_mul(1 << self.openings.min(MAX_DOUBLINGS)).min(MAX_REST);
        self.openings += 1;
        self.state = State::Open { until: now + rest, why };
    }

    /// The provider asks for a pause. A longer one extends, a shorter one never shortens.
    pub fn pause(&mut self, asked: Duration, now: Instant) {
        let end = now + asked.min(MAX_REST);
        match &mut self.state {
            State::Open { until, .. } => *until = end.max(*until),
            State::Closed { .. } | State::HalfOpen => {
                self.state = State::Open { until: end, why: Why::Asked }
            }
        }
    }

    /// The probe ended without telling anything: another may go.
    pub fn release(&mut self, now: Instant) {
        if self.state == State::HalfOpen {
            self.state = State::Open { until: now, why: Why::Failures };
        }
    }

    /// The share of calls that it should get: it comes back step by step.
    pub fn share(&self, settings: &BreakerSettings, now: Instant) -> f64 {
        let State::Closed { since: Some(since) } = self.state else { return 1.0 };
        let gone =
            now.saturating_duration_since(since).as_secs_f64() / settings.cooldown.as_secs_f64().max(0.001);
        gone.clamp(FIRST_SHARE, 1.0)
    }

    /// 0 closed, 1 half-open, 2 open, as in `weir_breaker_state`.
    pub fn number(&self, now: Instant) -> i64 {
        match self.state {
            State::Closed { .. } => 0,
            State::Open { until, .. } if now < until => 2,
            State::Open { .. } | State::HalfOpen => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures: 5,
        millionths: 500_000,
        min_requests: 20,
        window: Duration::from_secs(30),
        cooldown: Duration::from_secs(30),
    };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// W-049: opens at N, one probe, recovery after the rest and one good probe; the trace is golden.
    #[test]
    fn w049_failures_in_a_row_open_it_and_one_good_probe_closes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let mut trace = Vec::new();
        for call in 0..5 {
            assert_eq!(breaker.admit(false, start), Admit::Go, "{call}");
            breaker.fail(false, &SETTINGS, start);
            trace.push(breaker.number(start));
        }
        assert_eq!(breaker.admit(false, start + seconds(10)), Admit::Rest(seconds(20)));
        let later = start + seconds(30);
        trace.push(breaker.number(later));
        assert_eq!(breaker.admit(false, later), Admit::Probe);
        for _ in 0..100 {
            assert!(matches!(breaker.admit(false, later), Admit::Rest(_)), "a second probe");
        }
        breaker.fail(true, &SETTINGS, later);
        trace.push(breaker.number(later));
        // The rest has doubled.
        assert_eq!(breaker.admit(false, later + seconds(59)), Admit::Rest(seconds(1)));
        let again = later + seconds(60);
        assert_eq!(breaker.admit(false, again), Admit::Probe);
        // One that tells nothing lets another go.
        breaker.release(again);
        assert_eq!(breaker.admit(false, again), Admit::Probe);
        breaker.succeed(true, false, &SETTINGS, again);
        trace.push(breaker.number(again));
        assert_eq!(trace, [0, 0, 0, 0, 2, 1, 2, 0]);
        // It comes back step by step.
        let share = |after: u64| (breaker.share(&SETTINGS, again + seconds(after)) * 100.0).round();
        assert_eq!([share(0), share(6), share(15), share(30), share(90)], [10.0, 20.0, 50.0, 100.0, 100.0]);
    }

    /// W-050: the same failures trip it alike, in a burst and spread over the window, and never before `min_requests`.
    #[test]
    fn w050_the_ratio_trips_once_the_window_holds_enough_in_any_shape() {
        for gap in [Duration::from_millis(1), Duration::from_millis(1500)] {
            let start = Instant::now();
            let mut breaker = Breaker::default();
            let mut opened = None;
            for call in 0..40_u32 {
                let now = start + gap * call;
                if breaker.admit(false, now) != Admit::Go {
                    opened = Some(call);
                    break;
                }
                // Failures alternate with answers: never many in a row.
                match call % 2 {
                    0 => breaker.succeed(false, false, &SETTINGS, now),
                    _ => breaker.fail(false, &SETTINGS, now),
                }
            }
            assert_eq!(opened, Some(20), "{gap:?}");
            // A group that has lost half of its targets keeps it in use.
            assert_eq!(breaker.admit(true, start), Admit::Go);
        }
    }

    #[test]
    fn fewer_failures_than_the_ratio_never_trip_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for call in 0..10_000_u32 {
            let now = start + Duration::from_millis(10) * call;
            assert_eq!(breaker.admit(false, now), Admit::Go, "{call}");
            match call % 20 {
                11.. => breaker.fail(false, &BreakerSettings { failures: 100, ..SETTINGS }, now),
                _ => breaker.succeed(false, false, &SETTINGS, now),
            }
        }
    }

    /// W-052: a longer pause extends, a shorter one never shortens, ten years are capped.
    #[test]
    fn w052_a_pause_is_extended_and_capped() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.pause(seconds(20), start);
        breaker.pause(seconds(5), start);
        assert_eq!(breaker.resting(start), Some((seconds(20), Why::Asked)));
        breaker.pause(seconds(40), start);
        assert_eq!(breaker.resting(start), Some((seconds(40), Why::Asked)));
        breaker.pause(seconds(315_360_000), start);
        assert_eq!(breaker.resting(start), Some((MAX_REST, Why::Asked)));
        breaker.pause(Duration::ZERO, start);
        assert_eq!(breaker.resting(start), Some((MAX_REST, Why::Asked)));
        assert_eq!(breaker.admit(false, start + MAX_REST), Admit::Go);
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_change_nothing() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| breaker.fail(false, &SETTINGS, start));
        breaker.fail(false, &SETTINGS, start + seconds(20));
        breaker.succeed(false, false, &SETTINGS, start + seconds(20));
        assert_eq!(breaker.resting(start + seconds(20)), Some((seconds(10), Why::Failures)));
        // With no other target it was asked all the same, and answered.
        breaker.succeed(false, true, &SETTINGS, start + seconds(21));
        assert_eq!(breaker.resting(start + seconds(21)), None);
    }

    /// W-100: three calls, each of which asks and ends, and a clock that passes the rest twice, in every order and with
    /// every kind of end. A look or an end holds the target's lock from its beginning to its end, so these are all orders.
    #[test]
    fn w100_in_no_order_are_two_probes_under_way_or_does_it_stay_half_open() {
        #[derive(Clone, Copy)]
        enum End {
            Good,
            Bad,
            Paused,
            Nothing,
        }
        const ENDS: [End; 4] = [End::Good, End::Bad, End::Paused, End::Nothing];
        const CLOCK: usize = 3;
        let start = Instant::now();
        let run = |order: &[usize], ends: [End; 3]| {
            let (mut breaker, mut now) = (Breaker::default(), start);
            (0..SETTINGS.failures).for_each(|_| breaker.fail(false, &SETTINGS, now));
            let mut under_way: [Option<Admit>; 3] = [None; 3];
            for step in order {
                if *step == CLOCK {
                    now += MAX_REST;
                    continue;
                }
                match under_way[*step].take() {
                    None => {
                        let admit = breaker.admit(false, now);
                        under_way[*step] = Some(admit);
                        let probes = under_way.iter().filter(|one| **one == Some(Admit::Probe)).count();
                        assert!(probes <= 1, "{order:?}: {under_way:?}");
                    }
                    // It never went.
                    Some(Admit::Rest(_)) => {}
                    Some(admit) => {
                        let probe = admit == Admit::Probe;
                        match ends[*step] {
                            End::Good => breaker.succeed(probe, false, &SETTINGS, now),
                            End::Bad => breaker.fail(probe, &SETTINGS, now),
                            End::Paused => breaker.pause(seconds(5), now),
                            End::Nothing if probe => breaker.release(now),
                            End::Nothing => {}
                        }
                    }
                }
            }
            // Sooner or later a call goes again.
            assert!(
                !matches!(breaker.admit(false, now + MAX_REST), Admit::Rest(_)),
                "{order:?}: {breaker:?}"
            );
        };
        let mut orders = Vec::new();
        all_orders(&mut vec![2; 4], &mut Vec::new(), &mut orders);
        assert_eq!(orders.len(), 2_520);
        for order in &orders {
            for kinds in 0..ENDS.len().pow(3) {
                run(order, [ENDS[kinds % 4], ENDS[kinds / 4 % 4], ENDS[kinds / 16]]);
            }
        }
    }

    /// Every order in which each of several can take its steps.
    fn all_orders(left: &mut Vec<usize>, order: &mut Vec<usize>, orders: &mut Vec<Vec<usize>>) {
        if left.iter().all(|left| *left == 0) {
            orders.push(order.clone());
        }
        for who in 0..left.len() {
            if left[who] > 0 {
                left[who] -= 1;
                order.push(who);
                all_orders(left, order, orders);
                order.pop();
                left[who] += 1;
            }
        }
    }
}
