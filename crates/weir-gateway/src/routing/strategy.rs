//! The order in which a route's targets are asked. Pure: what is known of each target comes in, an order comes out.

use std::time::Duration;

use parking_lot::Mutex;
use rand::{Rng, RngExt as _};
use smallvec::SmallVec;
use weir_config::Strategy;

use super::affinity::pull;
use super::health::Speed;

/// What is known of a target when a call is routed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Candidate {
    /// Its place in the route.
    pub index: usize,
    /// Its name, as a number.
    pub id: u64,
    /// Its share of calls relative to the others.
    pub weight: u32,
    /// Nano-dollars that this very call is expected to cost; `None`: no price known.
    pub cost: Option<i64>,
    /// How fast it is.
    pub speed: Speed,
    /// Attempts under way.
    pub inflight: u32,
    /// The share of its calls that it should get, below 1 while it comes back.
    pub share: f64,
}

/// What is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// What the call belongs to.
    pub affinity: Option<u64>,
    /// Whether it streams.
    pub stream: bool,
    /// How many tokens are expected.
    pub tokens: u32,
}

/// Whose turn it is, by smooth weighted round robin: one number a target.
#[derive(Debug, Default)]
pub struct Turns(Mutex<Vec<i64>>);

/// An order of candidates, as their places in the slice.
pub type Order = SmallVec<[usize; 8]>;

/// Targets this much slower than the fastest share its calls.
const AS_FAST: f64 = 1.05;
/// How many calls of a hundred find out how fast a target is that was not asked for a while.
const EXPLORE_PERCENT: u32 = 2;
/// After how long that is, of a target that is as fast as the fastest; one that is twice as slow has four times as long. So
/// one that only hiccupped is soon found again, and slow ones cost little.
const STALE: Duration = Duration::from_millis(500);
/// However slow it is: the market may have turned.
const MOST_STALE: Duration = Duration::from_secs(10);

/// The order in which these are asked.
pub fn order(
    strategy: Strategy,
    candidates: &[Candidate],
    asked: Asked,
    turns: &Turns,
    rng: &mut impl Rng,
) -> Order {
    let mut order: Order = (0..candidates.len()).collect();
    if candidates.len() < 2 {
        return order;
    }
    match strategy {
        Strategy::Ordered | Strategy::Auto => {}
        Strategy::Cheapest => by(&mut order, |at| {
            let candidate = &candidates[at];
            (candidate.cost.unwrap_or(i64::MAX), candidate.index as i64)
        }),
        Strategy::Weighted | Strategy::LeastBusy | Strategy::Fastest if asked.affinity.is_some() => {
            stick(&mut order, candidates, asked.affinity.unwrap_or_default());
        }
        Strategy::Weighted => weighted(&mut order, candidates, turns),
        Strategy::LeastBusy => {
            let chance: SmallVec<[u32; 8]> = candidates.iter().map(|_| rng.random()).collect();
            // A target twice as strong takes twice as many at a time.
            by(&mut order, |at| {
                let busy =
                    u64::from(candidates[at].inflight) * 1000 / u64::from(candidates[at].weight.max(1));
                (i64::try_from(busy).unwrap_or(i64::MAX), i64::from(chance[at]))
            });
        }
        Strategy::Fastest => fastest(&mut order, candidates, asked, rng),
    }
    if strategy != Strategy::Ordered || candidates[order[0]].share < 1.0 {
        ramp(&mut order, candidates, rng);
    }
    order
}

fn by(order: &mut Order, key: impl Fn(usize) -> (i64, i64)) {
    order.sort_by_key(|at| key(*at));
}

fn stick(order: &mut Order, candidates: &[Candidate], affinity: u64) {
    let pull_of = |at: usize| pull(affinity, candidates[at].id, candidates[at].weight);
    order.sort_by(|one, other| pull_of(*other).total_cmp(&pull_of(*one)));
}

/// Smooth weighted round robin: shares are exact, and no target has two turns in a row that it need not have.
fn weighted(order: &mut Order, candidates: &[Candidate], turns: &Turns) {
    let mut turns = turns.0.lock();
    let most = candidates.iter().map(|candidate| candidate.index + 1).max().unwrap_or(0);
    if turns.len() < most {
        turns.resize(most, 0);
    }
    let mut total = 0;
    for candidate in candidates {
        turns[candidate.index] += i64::from(candidate.weight);
        total += i64::from(candidate.weight);
    }
    order.sort_by_key(|at| std::cmp::Reverse(turns[candidates[*at].index]));
    turns[candidates[order[0]].index] -= total;
}

/// The fastest by what was measured; those about as fast share its calls, the less busy of two drawn by lot first.
/// A few calls find out about targets that were not asked for a while.
fn fastest(order: &mut Order, candidates: &[Candidate], asked: Asked, rng: &mut impl Rng) {
    let time = |at: usize| expected(&candidates[at].speed, asked);
    by(order, |at| (i64::try_from(time(at).as_micros()).unwrap_or(i64::MAX), candidates[at].index as i64));
    let fastest = time(order[0]);
    let near = order.iter().filter(|at| time(**at) <= fastest.mul_f64(AS_FAST)).count();
    if near > 1 {
        let (one, other) = (rng.random_range(0..near), rng.random_range(0..near));
        let calmer =
            if candidates[order[one]].inflight <= candidates[order[other]].inflight { one } else { other };
        order[..=calmer].rotate_right(1);
    }
    if rng.random_range(0..100) < EXPLORE_PERCENT && !fastest.is_zero() {
        // How much more than its time a target was not asked for.
        let overdue = |place: usize| {
            let slower = time(order[place]).div_duration_f64(fastest).min(100.0);
            let patience = STALE.mul_f64(slower * slower).min(MOST_STALE);
            candidates[order[place]].speed.age.div_duration_f64(patience)
        };
        let most = (1..order.len()).max_by(|one, other| overdue(*one).total_cmp(&overdue(*other)));
        if let Some(place) = most.filter(|place| overdue(*place) >= 1.0) {
            order[..=place].rotate_right(1);
        }
    }
}

/// How long the answer is expected to take. What is not known is tried first.
fn expected(speed: &Speed, asked: Asked) -> Duration {
    let streamed = speed.ttft.map(|ttft| ttft + speed.per_token.unwrap_or_default() * asked.tokens);
    let whole = speed.whole;
    (if asked.stream { streamed.or(whole) } else { whole.or(streamed) }).unwrap_or_default()
}

/// A target that comes back gets its share only: else another goes first.
fn ramp(order: &mut Order, candidates: &[Candidate], rng: &mut impl Rng) {
    let share = candidates[order[0]].share;
    if share < 1.0
        && rng.random_range(0.0..1.0) >= share
        && let Some(other) = order.iter().position(|at| candidates[*at].share >= 1.0)
    {
        order[..=other].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::routing::affinity::{hash, mix};

    fn candidates(count: usize) -> Vec<Candidate> {
        let one = |index: usize| Candidate {
            index,
            id: hash(7, &[index as u8]),
            weight: 1,
            share: 1.0,
            ..Candidate::default()
        };
        (0..count).map(one).collect()
    }

    fn first(strategy: Strategy, all: &[Candidate], asked: Asked, turns: &Turns, rng: &mut StdRng) -> usize {
        let order = order(strategy, all, asked, turns, rng);
        let mut seen: Vec<usize> = order.to_vec();
        seen.sort_unstable();
        assert_eq!(seen, (0..all.len()).collect::<Vec<_>>(), "each once");
        order[0]
    }

    #[test]
    fn weights_are_shares_and_turns_are_smooth() {
        let (mut all, turns, mut rng) = (candidates(3), Turns::default(), StdRng::seed_from_u64(1));
        for (candidate, weight) in all.iter_mut().zip([5, 1, 1]) {
            candidate.weight = weight;
        }
        let mut take = || first(Strategy::Weighted, &all, Asked::default(), &turns, &mut rng);
        let taken: Vec<usize> = (0..7).map(|_| take()).collect();
        assert_eq!(taken, [0, 0, 1, 0, 2, 0, 0]);
        let mut counts = [0; 3];
        (0..700).for_each(|_| counts[take()] += 1);
        assert_eq!(counts, [500, 100, 100]);
    }

    /// On a market with changing prices the cheapest is the argmin every time; what has no price is last.
    #[test]
    fn cheapest_is_always_the_argmin() {
        let (mut all, turns) = (candidates(6), Turns::default());
        let seed = 20_261_122;
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..10_000 {
            for candidate in &mut all {
                candidate.cost = rng.random_bool(0.9).then(|| rng.random_range(0..1_000_000));
            }
            let chosen = first(Strategy::Cheapest, &all, Asked::default(), &turns, &mut rng);
            let least = all.iter().filter_map(|candidate| candidate.cost).min();
            assert_eq!(all[chosen].cost, least, "seed {seed}, round {round}");
        }
    }

    /// The mean time to the first token is within 10 % of an oracle's that always knows the fastest, while latencies
    /// drift and jump.
    #[test]
    fn fastest_is_near_the_oracle_on_a_moving_market() {
        // Calls of a hundred that take much longer for no reason that lasts.
        for (seed, hiccups) in [(1, 0.0), (2, 0.0), (3, 0.03), (4, 0.03), (5, 0.1)] {
            let mut rng = StdRng::seed_from_u64(seed);
            let start = std::time::Instant::now();
            let health: Vec<_> =
                (0..4).map(|_| crate::routing::health::TargetHealth::new(1, start)).collect();
            let mut means = [200.0_f64, 300.0, 450.0, 700.0];
            let (mut all, turns) = (candidates(4), Turns::default());
            let (mut spent, mut oracle) = (0.0, 0.0);
            let asked = Asked { stream: true, tokens: 0, ..Asked::default() };
            let calls = 40_000_u32;
            for call in 0..calls {
                let now = start + Duration::from_millis(20) * call;
                if call % 5_000 == 4_999 {
                    // The market turns over: now another is the fastest.
                    means.rotate_left(1);
                }
                for mean in &mut means {
                    *mean *= rng.random_range(0.9995..1.0005);
                }
                for (candidate, health) in all.iter_mut().zip(&health) {
                    candidate.speed = health.speed(now);
                }
                let chosen = first(Strategy::Fastest, &all, asked, &turns, &mut rng);
                let mut took = means[chosen] * rng.random_range(0.9..1.1);
                spent += took;
                if rng.random_bool(hiccups) {
                    took += 200.0;
                }
                health[chosen].streamed(Duration::from_secs_f64(took / 1000.0), None, now);
                oracle += means.iter().copied().fold(f64::MAX, f64::min);
            }
            let ratio = spent / oracle;
            println!(
                "seed {seed}: {:.1} ms, the oracle {:.1} ms",
                spent / f64::from(calls),
                oracle / f64::from(calls)
            );
            assert!(ratio < 1.1, "seed {seed}: {ratio:.3} times the oracle's");
        }
    }

    #[test]
    fn the_least_busy_by_weight_goes_first() {
        let (mut all, turns, mut rng) = (candidates(3), Turns::default(), StdRng::seed_from_u64(1));
        for (candidate, (inflight, weight)) in all.iter_mut().zip([(4, 1), (6, 2), (9, 2)]) {
            (candidate.inflight, candidate.weight) = (inflight, weight);
        }
        let order = order(Strategy::LeastBusy, &all, Asked::default(), &turns, &mut rng);
        assert_eq!(order.as_slice(), [1, 0, 2]);
    }

    #[test]
    fn a_session_stays_whatever_the_strategy_and_a_target_that_comes_back_gets_its_share() {
        let (mut all, turns, mut rng) = (candidates(3), Turns::default(), StdRng::seed_from_u64(1));
        for strategy in [Strategy::Weighted, Strategy::LeastBusy, Strategy::Fastest] {
            let asked = Asked { affinity: Some(mix(3, 4)), ..Asked::default() };
            let chosen = first(strategy, &all, asked, &turns, &mut rng);
            assert!((0..20).all(|_| first(strategy, &all, asked, &turns, &mut rng) == chosen));
        }
        all[0].share = 0.25;
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[first(Strategy::Ordered, &all, Asked::default(), &turns, &mut rng)] += 1;
        }
        assert!((900..1100).contains(&counts[0]) && counts[1] == 4000 - counts[0], "{counts:?}");
    }
}
