//! Two attempts at the same time: the second begins when the first is slow, whichever begins to answer first serves the
//! call, and the other is cut at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tower::Service;

use super::{LEAST_LEFT, Tour};
use crate::call::{Attempt, Racer, Tried};
use crate::dispatch::Failed;
use crate::reply::Reply;
use crate::routing::hedge::Hedge;

/// One of the two.
struct Runner<F> {
    at: usize,
    racer: Arc<Racer>,
    began: Instant,
    answer: Pin<Box<F>>,
}

/// Makes the attempt at `at`, and another beside it where it is slow. Failures are told to the tour.
pub(super) async fn race<S>(inner: &mut S, tour: &mut Tour<'_>, at: usize, hedge: &Hedge) -> Option<Reply>
where
    S: Service<Attempt, Response = Reply, Error = Failed>,
{
    let (began, waited) = (Instant::now(), tour.call.progress.lock().waited);
    let mut runners = [Some(start(inner, tour, at, false)), None];
    let after = hedge.after(&tour.plan.steps[at].1.health, tour.call.request.peek().stream);
    let early = match after {
        Some(after) => tokio::time::timeout(after, next(&mut runners)).await.ok(),
        None => Some(next(&mut runners).await),
    };
    let served = match early {
        Some((runner, done)) => match done {
            Ok(reply) => Some(won(tour, &runner, reply)),
            Err(failed) => {
                tour.failed(runner.at, failed);
                None
            }
        },
        None => both(inner, tour, runners, hedge).await,
    };
    let mut progress = tour.call.progress.lock();
    // Each counted its own waiting.
    progress.waited = progress.waited.min(waited + began.elapsed());
    drop(progress);
    served
}

/// The first is slow: another begins, where there may be one.
async fn both<S>(
    inner: &mut S,
    tour: &mut Tour<'_>,
    mut runners: [Option<Runner<S::Future>>; 2],
    hedge: &Hedge,
) -> Option<Reply>
where
    S: Service<Attempt, Response = Reply, Error = Failed>,
{
    let first_wins = Shown::of(tour);
    if tour.left() > LEAST_LEFT && hedge.take() {
        let at = runners[0].as_ref().map_or(0, |first| first.at);
        let other = tour.ahead.pop().unwrap_or(at);
        runners[1] = Some(start(inner, tour, other, true));
    }
    while runners.iter().any(Option::is_some) {
        let (runner, done) = next(&mut runners).await;
        match done {
            Ok(reply) => {
                if let Some(loser) = runners.iter_mut().find_map(Option::take) {
                    lost(tour, loser);
                }
                // The second may have failed before: what it has overwritten stands there all the same.
                if !runner.racer.second {
                    first_wins.again(tour, runner.at);
                }
                return Some(won(tour, &runner, reply));
            }
            // It was not even sent: it rests, say, or nobody pays for it. Its turn may come.
            Err(failed) if failed.outcome.is_none() && runner.racer.second => {
                hedge.give_back();
                if tour.tries[runner.at] == 0 && runners[0].as_ref().is_none_or(|first| first.at != runner.at)
                {
                    tour.ahead.push(runner.at);
                }
            }
            Err(failed) => tour.failed(runner.at, failed),
        }
    }
    None
}

fn start<S>(inner: &mut S, tour: &Tour<'_>, at: usize, second: bool) -> Runner<S::Future>
where
    S: Service<Attempt, Response = Reply, Error = Failed>,
{
    let racer = Arc::new(Racer::new(second));
    let attempt = Attempt { racer: Some(racer.clone()), ..tour.attempt(at) };
    Runner { at, racer, began: Instant::now(), answer: Box::pin(inner.call(attempt)) }
}

/// Whichever is done first, out of its place.
async fn next<F>(runners: &mut [Option<Runner<F>>; 2]) -> (Runner<F>, Result<Reply, Failed>)
where
    F: Future<Output = Result<Reply, Failed>>,
{
    poll_fn(|cx| {
        for place in runners.iter_mut() {
            if let Some(runner) = place
                && let Poll::Ready(done) = runner.answer.as_mut().poll(cx)
                && let Some(runner) = place.take()
            {
                return Poll::Ready((runner, done));
            }
        }
        Poll::Pending
    })
    .await
}

fn won<F>(tour: &Tour<'_>, runner: &Runner<F>, reply: Reply) -> Reply {
    let stream = tour.call.request.peek().stream;
    tour.plan.steps[runner.at].1.health.begins(stream).add(runner.began.elapsed());
    tour.served(runner.at);
    reply
}

/// It is cut: dropped, its connection closes and its row says so. That it took at least so long is known, too.
fn lost<F>(tour: &Tour<'_>, runner: Runner<F>) {
    let target = &tour.plan.steps[runner.at].1;
    if !runner.racer.second {
        target.health.begins(tour.call.request.peek().stream).add(runner.began.elapsed());
    }
    tour.call.progress.lock().trail.push(Tried {
        provider: target.provider.name.clone(),
        model: target.model.clone(),
        result: "superseded",
        status: None,
        code: None,
    });
    runner.racer.lose();
}

/// What the call shows of its attempt: the second has overwritten it when the first wins all the same.
struct Shown {
    target: Option<Arc<crate::snapshot::Target>>,
    max_tokens: Option<u64>,
    dropped: Vec<String>,
}

impl Shown {
    fn of(tour: &Tour<'_>) -> Shown {
        let progress = tour.call.progress.lock();
        Shown {
            target: progress.target.clone(),
            max_tokens: progress.max_tokens,
            dropped: progress.dropped.clone(),
        }
    }

    /// The target at `at` is the first's. What was seen before it was sent is another's, and is not shown.
    fn again(self, tour: &Tour<'_>, at: usize) {
        let own = &tour.plan.steps[at].1;
        let mut progress = tour.call.progress.lock();
        if self.target.is_some_and(|target| Arc::ptr_eq(&target, own)) {
            progress.max_tokens = self.max_tokens;
            progress.dropped = self.dropped;
        }
        progress.target = Some(own.clone());
    }
}
