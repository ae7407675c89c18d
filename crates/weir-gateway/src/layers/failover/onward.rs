//! After a stream broke: whoever can is asked to go on from the text so far, each once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tower::Service;
use weir_adapter::descriptor::Prefill;

use super::{LEAST_LEFT, Tour, note};
use crate::call::{Attempt, Call, Pass};
use crate::dispatch::Failed;
use crate::meter::Meter;
use crate::meter::onward::Ask;
use crate::meter::script::Script;
use crate::reply::{Body, Reply};
use crate::routing::retries::RetryBudget;
use crate::snapshot::{Route, Target};

/// Who may be asked for the rest of a stream.
struct Others<S> {
    inner: S,
    call: Arc<Call>,
    steps: VecDeque<(Arc<Route>, Arc<Target>)>,
    affinity: Option<u64>,
    retries: Arc<RetryBudget>,
}

/// Sees to it that a stream goes on where it breaks, if its route says so: at the target that it came from, else at the
/// others, in the plan's order.
pub(super) fn arm<S>(inner: &S, tour: &Tour<'_>, retries: &Arc<RetryBudget>, reply: &mut Reply)
where
    S: Service<Attempt, Response = Reply, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    let (call, plan) = (tour.call, tour.plan);
    let Body::Stream(meter) = &mut reply.body else { return };
    if !plan.route.goes_on {
        return;
    }
    let serves = call.progress.lock().target.clone();
    let is_own = |target: &Arc<Target>| serves.as_ref().is_some_and(|own| own.id == target.id);
    let can = plan.steps.iter().filter(|(_, target)| target.prefill != Prefill::None);
    let (own, others): (Vec<_>, Vec<_>) = can.cloned().partition(|(_, target)| is_own(target));
    let steps = own.into_iter().chain(others).collect();
    let others = Others {
        inner: inner.clone(),
        call: call.clone(),
        steps,
        affinity: plan.affinity,
        retries: retries.clone(),
    };
    others.wait_for(meter);
}

impl<S> Others<S>
where
    S: Service<Attempt, Response = Reply, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    fn wait_for(self, meter: &mut Meter) {
        if !self.steps.is_empty() {
            meter.on_break(|| -> Ask { Box::new(move |script| Box::pin(self.ask(script))) });
        }
    }

    async fn ask(mut self, script: Script) -> Option<Box<Meter>> {
        while let Some((route, target)) = self.steps.pop_front() {
            let deadline = self.call.progress.lock().deadline;
            let late = deadline.is_some_and(|deadline| deadline < Instant::now() + LEAST_LEFT);
            if late || !self.retries.take(Instant::now()) {
                return None;
            }
            let Some(attempt) = self.attempt(&route, &target, &script) else { continue };
            match self.inner.call(attempt).await {
                Ok(Reply { body: Body::Stream(mut meter), .. }) => {
                    let mut progress = self.call.progress.lock();
                    if !progress.degraded.contains(&"continued") {
                        progress.degraded.push("continued");
                    }
                    drop(progress);
                    self.wait_for(&mut meter);
                    return Some(meter);
                }
                Ok(_) => return None,
                Err(failed) => note(&self.call, &target, &failed),
            }
        }
        None
    }

    /// `None` where this target can't be told what to go on from.
    fn attempt(&self, route: &Arc<Route>, target: &Arc<Target>, script: &Script) -> Option<Attempt> {
        let said = script.so_far()?;
        // Providers refuse a start that ends with a space.
        let start = said.trim_end();
        let request = self.call.request.in_open_form()?.going_on(start, target.prefill)?;
        script.go_on(&self.call.request, start, target.prefill == Prefill::Echo);
        Some(Attempt {
            call: self.call.clone(),
            target: target.clone(),
            route: route.clone(),
            ordinal: 0,
            instead: Some(Arc::new(request)),
            pass: Pass { affinity: self.affinity, ..Pass::default() },
            racer: None,
            script: Some(script.clone()),
        })
    }
}
