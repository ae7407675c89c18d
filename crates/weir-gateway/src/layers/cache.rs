//! Stored answers, for routes that want them. It stands behind routing, so that who may not call a model gets no stored
//! answer of it either, and before everything that costs money.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower::{Layer, Service};
use weir_adapter::{ErrorKind, Replay};
use weir_ledger::{State, UsageSource};
use weir_wire::Usage;

use super::record::now_micros;
use super::{Future, take_ready};
use crate::cache::flight::{Landing, Lead, Seat};
use crate::cache::tap::Tap;
use crate::cache::{Answer, Cache, CacheControl, Key, free_of_charge, key, largest};
use crate::call::{Call, Routed};
use crate::error::{AttemptError, GatewayError};
use crate::metrics::Metrics;
use crate::reply::{Body, Outcome, Reply};
use crate::routing::Plan;

/// Makes [`Cached`].
#[derive(Clone)]
pub struct CacheLayer {
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
}

/// Answers from the cache, and stores what comes.
#[derive(Clone)]
pub struct Cached<S> {
    inner: S,
    layer: CacheLayer,
}

impl CacheLayer {
    /// Over these answers.
    pub fn new(cache: &Arc<Cache>, metrics: &Arc<Metrics>) -> CacheLayer {
        CacheLayer { cache: cache.clone(), metrics: metrics.clone() }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cached<S>;

    fn layer(&self, inner: S) -> Cached<S> {
        Cached { inner, layer: self.clone() }
    }
}

impl<S> Service<Routed> for Cached<S>
where
    S: Service<Routed, Response = Reply, Error = GatewayError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = GatewayError;
    type Future = Future<Reply, GatewayError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        let control = routed.call.options.cache;
        match (routed.plan.route.cache, control) {
            (None, CacheControl::Only) => Box::pin(async { Err(not_cached("its route stores none")) }),
            (None, _) | (_, CacheControl::Off) => Box::pin(self.inner.call(routed)),
            (Some(ttl), _) => {
                let inner = take_ready(&mut self.inner);
                Box::pin(self.layer.clone().answer(inner, routed, ttl))
            }
        }
    }
}

fn not_cached(why: &str) -> GatewayError {
    GatewayError::NotCached(format!(
        "there is no stored answer: {why}; leave out `x-weir-cache: only` to ask a provider"
    ))
}

impl CacheLayer {
    async fn answer<S>(self, mut inner: S, routed: Routed, ttl: Duration) -> Result<Reply, GatewayError>
    where
        S: Service<Routed, Response = Reply, Error = GatewayError>,
    {
        let call = routed.call.clone();
        let Some(key) = key::of(&call, &routed.plan) else {
            return match call.options.cache {
                CacheControl::Only => Err(not_cached("calls like this one are never stored")),
                _ => inner.call(routed).await,
            };
        };
        let lead = match call.options.cache {
            CacheControl::Refresh => None,
            control => {
                let began = call.step();
                let found = self.look_up(&routed, &key, control).await?;
                call.stepped("cache", began);
                match found {
                    Found::Reply(reply) => return Ok(reply),
                    Found::Nothing(lead) => lead,
                }
            }
        };
        self.miss(&routed);
        let stale = routed.plan.route.degrade.stale;
        let plan = stale.map(|_| routed.plan.clone());
        call.progress.lock().copies = Some(self.cache.copies(&call.snapshot.settings.cache));
        let mut reply = match inner.call(routed).await {
            Ok(reply) => reply,
            Err(error) => {
                if let Some(lead) = lead {
                    lead.land(Landing::Failed);
                }
                let Some(plan) = plan else { return Err(error) };
                return self.stale(&call, &plan, &key, &error).await.ok_or(error);
            }
        };
        self.store_at_end(&mut reply, Pending { call, key, ttl, stale, lead });
        Ok(reply)
    }

    /// A stored answer, or that of an equal call under way.
    async fn look_up(
        &self,
        routed: &Routed,
        key: &Key,
        control: CacheControl,
    ) -> Result<Found, GatewayError> {
        if let Some(reply) = self.stored(routed, key).await {
            return Ok(Found::Reply(reply));
        }
        if control == CacheControl::Only {
            self.miss(routed);
            return Err(not_cached("this request was not answered before, or its time is over"));
        }
        let call = &routed.call;
        // As long as it would wait for a provider's first word.
        let patience = Instant::now() + routed.plan.route.timeouts.first_token;
        let until = call.progress.lock().deadline.map_or(patience, |deadline| deadline.min(patience));
        loop {
            let waiting = match self.cache.flights.join(*key) {
                // The one before may have landed between the look and the seat.
                Seat::Leader(lead) => match self.stored(routed, key).await {
                    None => return Ok(Found::Nothing(Some(lead))),
                    Some(reply) => {
                        lead.land(Landing::Failed);
                        return Ok(Found::Reply(reply));
                    }
                },
                Seat::Follower(waiting) => waiting,
            };
            let began = Instant::now();
            let landing = waiting.wait(until.into()).await;
            call.progress.lock().waited += began.elapsed();
            match landing {
                Landing::Answer(answer) => {
                    let reply = self.replay(&routed.call, &routed.plan, &answer);
                    if reply.is_some() {
                        self.hit(&routed.plan, &answer);
                    }
                    return Ok(reply.map_or(Found::Nothing(None), Found::Reply));
                }
                Landing::Failed | Landing::Flying => return Ok(Found::Nothing(None)),
                Landing::Left => {}
            }
        }
    }

    async fn stored(&self, routed: &Routed, key: &Key) -> Option<Reply> {
        let now = now_micros(&routed.call, Instant::now());
        let answer = self.cache.get(key, now, &routed.call.snapshot.settings.cache).await?;
        let reply = self.replay(&routed.call, &routed.plan, &answer)?;
        self.hit(&routed.plan, &answer);
        Some(reply)
    }

    /// Every target failed, and the route lets an answer go on serving after its time for such a case.
    async fn stale(&self, call: &Call, plan: &Plan, key: &Key, error: &GatewayError) -> Option<Reply> {
        if !failed_everywhere(error) || call.options.cache != CacheControl::Use {
            return None;
        }
        let answer = self
            .cache
            .get_stale(key, now_micros(call, Instant::now()), &call.snapshot.settings.cache)
            .await?;
        let reply = self.replay(call, plan, &answer)?;
        call.progress.lock().degraded.push("stale");
        self.metrics.cache(&plan.route.label, "stale", None);
        Some(reply)
    }

    fn hit(&self, plan: &Plan, answer: &Answer) {
        self.cache.count_hit(answer.cost_nanousd);
        self.metrics.cache(&plan.route.label, "hit", answer.cost_nanousd);
    }

    /// A stored answer as this client wants it.
    fn replay(&self, call: &Call, plan: &Plan, answer: &Answer) -> Option<Reply> {
        let (request, peek) = (&call.request, call.request.peek());
        let body = match peek.stream {
            false => answer.body.clone(),
            true => request.front().replay()?.stream(request.operation, &answer.body, peek.include_usage)?,
        };
        let now = now_micros(call, Instant::now());
        let mut progress = call.progress.lock();
        progress.cache = weir_ledger::Cache::Hit;
        progress.cache_age = Some(Duration::from_micros(u64::try_from(now - answer.made).unwrap_or(0)));
        progress.saved_nanousd = answer.cost_nanousd;
        progress.dropped.clone_from(&answer.dropped);
        let made_it = |target: &&Arc<crate::snapshot::Target>| {
            target.provider.name == answer.provider && target.model == answer.model
        };
        progress.target = plan.steps.iter().map(|(_, target)| target).find(made_it).cloned();
        Some(Reply::whole(body, hit()))
    }

    fn miss(&self, routed: &Routed) {
        routed.call.progress.lock().cache = weir_ledger::Cache::Miss;
        self.cache.count_miss();
        self.metrics.cache(&routed.plan.route.label, "miss", None);
    }

    fn store_at_end(self, reply: &mut Reply, pending: Pending) {
        let body = match &mut reply.body {
            Body::Whole(bytes) => Source::Whole(bytes.clone()),
            Body::Stream(meter) => Source::Stream(meter.copied()),
            Body::Passing(_) => Source::Stream(None),
        };
        reply.on_end(move |outcome| pending.end(&self.cache, &body, outcome));
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Whether it is for want of a provider that there is no answer.
fn failed_everywhere(error: &GatewayError) -> bool {
    match error {
        GatewayError::Overloaded { code, .. } => *code == "no_healthy_target",
        GatewayError::Attempt { error, .. } => match error {
            AttemptError::Provider(error) => !matches!(
                error.kind,
                ErrorKind::InvalidRequest
                    | ErrorKind::ContextLength
                    | ErrorKind::TooLarge
                    | ErrorKind::ContentFilter
            ),
            AttemptError::Unreachable { .. } | AttemptError::TimedOut(..) => true,
            AttemptError::OverBudget(over) => over.of_provider,
            _ => false,
        },
        _ => false,
    }
}

enum Found {
    Reply(Reply),
    /// The call is to be made, for others, too, where it leads.
    Nothing(Option<Lead>),
}

/// A hit, as layers above see it: nothing was used, nothing is owed.
fn hit() -> Outcome {
    Outcome {
        state: State::Ok,
        usage: Usage::new(),
        source: UsageSource::None,
        cost_nanousd: Some(0),
        ttft: None,
        duration: Duration::ZERO,
        upstream_status: None,
        upstream_request_id: None,
        error_code: None,
        reason: None,
    }
}

/// What a reply is stored from.
enum Source {
    Whole(Bytes),
    Stream(Option<Tap>),
}

/// A reply that may be stored.
struct Pending {
    call: Arc<Call>,
    key: Key,
    ttl: Duration,
    /// How long it is kept after its time, for want of another.
    stale: Option<Duration>,
    lead: Option<Lead>,
}

impl Pending {
    fn end(self, cache: &Arc<Cache>, source: &Source, outcome: &Outcome) {
        let answer = (outcome.state == State::Ok).then(|| self.answer(source, outcome)).flatten();
        let (lead, landing) = (
            self.lead,
            match &answer {
                Some(answer) => Landing::Answer(answer.clone()),
                None if outcome.state == State::ClientGone => Landing::Left,
                None => Landing::Failed,
            },
        );
        // Not before it can be found: who comes between would ask a provider again.
        let land = move || {
            if let Some(lead) = lead {
                lead.land(landing);
            }
        };
        match answer {
            Some(answer) => cache.put(self.key, answer, &self.call.snapshot.settings.cache, land),
            None => land(),
        }
    }

    /// What is stored, where it may be.
    fn answer(&self, source: &Source, outcome: &Outcome) -> Option<Arc<Answer>> {
        let (request, settings) = (&self.call.request, &self.call.snapshot.settings.cache);
        let replay: &dyn Replay = request.front().replay()?;
        let body = match source {
            Source::Whole(bytes) => bytes.clone(),
            Source::Stream(tap) => tap.as_ref()?.assemble(replay, request.operation)?,
        };
        if body.len() > largest(settings) || !replay.is_complete(request.operation, &body) {
            return None;
        }
        let progress = self.call.progress.lock();
        // Who asks again may get what was asked for.
        if !progress.degraded.is_empty() {
            return None;
        }
        // What was cut short for this caller's money is nobody else's answer.
        let poor =
            |purse: &Arc<crate::purse::Purse>| purse.wanted().cap.is_some() || purse.max_cost().is_some();
        if progress.purse.as_ref().is_some_and(poor) {
            return None;
        }
        let target = progress.target.as_ref()?;
        let made = now_micros(&self.call, Instant::now());
        let ttl = micros(self.ttl);
        Some(Arc::new(Answer {
            body: free_of_charge(&body),
            provider: target.provider.name.clone(),
            model: target.model.clone(),
            cost_nanousd: outcome.cost_nanousd,
            dropped: progress.dropped.clone(),
            made,
            expires: made.saturating_add(ttl),
            stale_until: made.saturating_add(ttl).saturating_add(micros(self.stale.unwrap_or_default())),
        }))
    }
}
