//! One attempt, sent: the request goes out, the head of the answer comes in, and a reply begins or the attempt fails.

pub mod account;
pub(crate) mod content;
mod units;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use weir_adapter::{ErrorKind, ProviderError, Reader, ReplyForm, Retry, WireBody};
use weir_catalog::ServiceTier;
use weir_ledger::{Room, State};
use weir_wire::openai;
use weir_wire::peek::as_str;

use crate::call::Call;
use crate::cut::Cut;
use crate::error::{AttemptError, Wait};
use crate::gather::Gather;
use crate::layers::encode::Encoded;
use crate::meter::onward::Onward;
use crate::meter::script::{Ear, Script};
use crate::meter::{Form, Meter, Patience};
use crate::purse::Watch;
use crate::reply::{Outcome, Reply};
use crate::snapshot::{FailureClasses, Provider, Target};
use crate::upstream::AnswerBody;
use account::{Account, Terms};

/// The largest whole reply that is read, in bytes.
const MAX_REPLY: usize = 64 << 20;
/// How long the body of an error may take.
const ERROR_PATIENCE: Duration = Duration::from_secs(2);
/// How much of an error's body is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// An attempt that gave nothing to the client, and its account.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: AttemptError,
    /// How the attempt's row closes; `None` where nothing was dispatched.
    pub outcome: Option<Box<Outcome>>,
}

impl From<AttemptError> for Failed {
    fn from(error: AttemptError) -> Failed {
        Failed { error, outcome: None }
    }
}

/// The innermost service: sends an attempt.
#[derive(Debug, Clone, Default)]
pub struct Dispatch;

impl tower::Service<Box<Encoded>> for Dispatch {
    type Response = Reply;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, encoded: Box<Encoded>) -> Self::Future {
        Box::pin(async move {
            let call = encoded.attempt.call.clone();
            let mut account = Account::open(terms(&encoded), Instant::now());
            account.watch = watch(&encoded);
            let result = send(encoded, &mut account).await;
            let waited = match &result {
                Ok(reply) => {
                    reply.outcome().map_or_else(|| account.started().elapsed(), |outcome| outcome.duration)
                }
                Err(_) => account.started().elapsed(),
            };
            let mut progress = call.progress.lock();
            progress.waited += waited;
            result.map_err(|(error, outcome)| Failed {
                outcome: Some(Box::new(outcome.unwrap_or_else(|| account.fail(&error, None)))),
                error,
            })
        })
    }
}

pub(crate) fn terms(encoded: &Encoded) -> Terms {
    let (attempt, call) = (&encoded.attempt, &encoded.attempt.call);
    Terms {
        provider: attempt.target.provider.name.clone(),
        // What is not known can't be priced: its cost is unknown, not 0.
        price: encoded.price.clone().filter(|_| !units::is_unknown(call)),
        tier: tier(call),
        show_cost: call.snapshot.settings.usage_cost && call.request.verbatim.is_none(),
        include_usage: call.request.peek().include_usage,
        prompt_bytes: call.request.raw().len(),
        output_limit: encoded.output.tokens,
        free: crate::layers::encode::is_free(&call.request),
        expected: call
            .request
            .operation
            .has_units()
            .then(|| Arc::new(crate::bound::units::expected(&call.request))),
        called_at: call.facts.started_at,
    }
}

/// Who watches the stream of a call that may not spend what it likes.
fn watch(encoded: &Encoded) -> Option<Watch> {
    let request = &encoded.attempt.call.request;
    // What is not charged by the length of a stream was set aside whole.
    let purse = encoded.purse.as_ref().filter(|_| request.peek().stream && !request.operation.has_units())?;
    let limit = encoded.output.tokens.unwrap_or(u64::MAX);
    let covered = purse.step().map_or(limit, |step| limit.min(step));
    let ceiling = encoded.ceiling.as_ref().ok().filter(|_| purse.wanted().limit).cloned();
    Some(Watch::new(purse.clone(), ceiling, covered))
}

/// The tier that the client asked for, in OpenAI's dialect; what providers call it elsewhere is not priced apart.
pub(crate) fn tier(call: &Call) -> ServiceTier {
    let asked = call.request.peek().members.value(call.request.raw(), "service_tier");
    let named = asked.filter(|_| call.request.front().dialect().starts_with("openai")).and_then(as_str);
    named.map_or_else(ServiceTier::default, |name| ServiceTier::from_name(&name))
}

/// An error, with its outcome where the account has been closed already.
type Unsent = (AttemptError, Option<Outcome>);

async fn send(mut encoded: Box<Encoded>, account: &mut Account) -> Result<Reply, Unsent> {
    let attempt = &encoded.attempt;
    let (call, target, timeouts) = (attempt.call.clone(), attempt.target.clone(), attempt.route.timeouts);
    let (script, may_go_on) =
        (attempt.script.clone(), attempt.route.goes_on.then_some(attempt.route.fallback_on));
    let goes_on = attempt.instead.clone().filter(|_| script.is_some());
    let fail = |error: AttemptError| (error, None);
    let provider = &target.provider;
    let deadline = call.progress.lock().deadline.unwrap_or_else(|| call.started + timeouts.total);
    let limits = Limits { deadline, total: deadline - call.started, cut: call.snapshot.cut.clone() };
    let number = credential(provider, &limits, timeouts.first_byte).await.map_err(fail)?;
    let now = SystemTime::now();
    provider
        .adapter
        .authorize(&mut encoded.wire, &encoded.credential, now)
        .map_err(|_| fail(AttemptError::Internal("credential")))?;
    own_headers(&mut encoded);
    // The head of an answer to a form comes when its last byte has gone: at the client's pace.
    let patience = match encoded.wire.body {
        WireBody::Stream(_) => limits.total,
        _ => timeouts.first_byte,
    };
    if Gather::turn().await {
        account.sent_at(Instant::now());
    }
    // Its record is on its way to the disk before it is on its way to the provider.
    let kept = call.progress.lock().room.as_ref().map_or(Ok(()), Room::flush_gathered);
    kept.map_err(|error| {
        tracing::error!(%error, "an attempt can't be recorded, so it is not sent");
        fail(AttemptError::LedgerFull)
    })?;
    let until = limits.until(patience);
    let sent = provider.upstream.send_until(encoded.wire, until, encoded.attempt.pass.fresh);
    let answer = match limits.unless_cut(sent).await.map_err(fail)? {
        Some(answer) => answer.map_err(|error| units::unanswered(&call, account, error))?,
        None => return Err(fail(limits.late(timeouts.first_byte, Wait::FirstByte, until))),
    };
    account.upstream_status = Some(answer.status.as_u16());
    account.upstream_request_id = request_id(&answer.headers);
    if call.request.verbatim.is_some() && !answer.status.is_success() {
        return units::refused(&call, &target, number, answer, account, timeouts, &limits).await;
    }
    if !answer.status.is_success() {
        // The status says enough: a body that does not come is an empty one.
        let patience = timeouts.first_token.min(ERROR_PATIENCE);
        let body = limits.within(patience, Wait::FirstToken, read(answer.body, MAX_ERROR, true)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let mut error = provider.adapter.error(answer.status, &answer.headers, &body);
        error.asked_to_wait(&answer.headers, now);
        if provider.adapter.credential_ended(answer.status, &answer.headers, &body)
            && provider.chain.as_ref().is_some_and(|chain| chain.refused(number))
        {
            error.retry = Retry::AtOnce;
        }
        return Err(fail(error.into()));
    }
    if answer.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(fail(
            ProviderError::nonsense("the provider sent a compressed answer that was not asked for").into(),
        ));
    }
    if call.request.operation.has_units() || call.request.verbatim.is_some() {
        return units::answered(&call, &target, answer, account, timeouts, &limits).await;
    }
    let form = provider.adapter.reply_form_of(goes_on.as_deref().unwrap_or(&call.request), &target.model);
    if call.request.peek().stream && !is_json(&answer.headers) {
        let shape = Shape::of(&call, &target, form, script, may_go_on);
        return stream(&call, answer.body, shape, account, timeouts, &limits).await;
    }
    let body = limits
        .within(timeouts.first_token, Wait::FirstToken, read(answer.body, MAX_REPLY, false))
        .await
        .map_err(fail)?
        .map_err(fail)?;
    if call.request.peek().stream {
        return Err(fail(not_streamed(form, &body)));
    }
    whole(&call, body, form, account).map_err(fail)
}

/// Waits until the provider's chain of credentials, where it has one, holds one; says which.
async fn credential(provider: &Provider, limits: &Limits, patience: Duration) -> Result<u64, AttemptError> {
    let Some(chain) = &provider.chain else { return Ok(0) };
    if !chain.ready() {
        limits.within(patience, Wait::FirstByte, chain.wait()).await?.map_err(|why| {
            // Another provider may have one. Why is for the log only.
            tracing::warn!(target.provider = %provider.name, why, "no credential for a provider");
            ProviderError::reported(ErrorKind::Auth, 502, "weir found no credential for the provider")
        })?;
    }
    Ok(chain.number())
}

/// The deadline of the whole call, over each single wait.
struct Limits {
    deadline: Instant,
    total: Duration,
    cut: Arc<Cut>,
}

impl Limits {
    /// When a single wait is over.
    fn until(&self, limit: Duration) -> Instant {
        self.deadline.min(Instant::now() + limit)
    }

    /// How long a body is waited for.
    fn patience(&self, call: &Call, timeouts: crate::snapshot::Timeouts) -> Patience {
        Patience {
            first_token: timeouts.first_token,
            idle: timeouts.idle,
            deadline: self.deadline.into(),
            total: self.total,
            keepalive: call.snapshot.settings.sse_keepalive,
            drains: timeouts.drains,
            cut: self.cut.clone(),
        }
    }

    /// What a wait that ended at `until` was too long for.
    fn late(&self, limit: Duration, wait: Wait, until: Instant) -> AttemptError {
        match until == self.deadline {
            true => AttemptError::TimedOut(Wait::Total, self.total),
            false => AttemptError::TimedOut(wait, limit),
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        wait: Wait,
        work: impl Future<Output = T>,
    ) -> Result<T, AttemptError> {
        let mut work = std::pin::pin!(work);
        // Most of what is waited for is there already: no timer then.
        if let Poll::Ready(done) = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Ok(done);
        }
        let until = self.until(limit);
        let done = self.unless_cut(tokio::time::timeout_at(until.into(), work)).await?;
        done.map_err(|_| self.late(limit, wait, until))
    }

    /// Ends early where the process does.
    async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, AttemptError> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.cut.wait() => Err(AttemptError::ShuttingDown),
        }
    }
}

/// What weir itself says to the provider, after what the provider's entry in the configuration says.
fn own_headers(encoded: &mut Encoded) {
    const ATTEMPT_ID: HeaderName = HeaderName::from_static("x-weir-attempt-id");
    const HOP: HeaderName = HeaderName::from_static("x-weir-hop");
    let call = &encoded.attempt.call;
    let headers = &mut encoded.wire.headers;
    for (name, value) in &encoded.attempt.target.provider.headers {
        // What a client says itself to the provider's own API goes before.
        if call.request.verbatim.is_none() || !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let id = call.id.attempt(encoded.attempt.ordinal).to_text();
    headers.insert(ATTEMPT_ID, HeaderValue::try_from(id).expect("hex digits and dashes"));
    headers.insert(HOP, HeaderValue::from(call.hops + 1));
    if let Some(trace) = &call.options.trace {
        trace.put(encoded.attempt.ordinal, headers);
    }
}

async fn stream(
    call: &Arc<Call>,
    body: AnswerBody,
    shape: Shape,
    account: &mut Account,
    timeouts: crate::snapshot::Timeouts,
    limits: &Limits,
) -> Result<Reply, Unsent> {
    let patience = limits.patience(call, timeouts);
    let front = call.request.front().clone();
    let mut meter = Box::new(Meter::new(body, shape.form, front, account.clone(), patience));
    if let Some(onward) = shape.onward {
        meter.may_go_on(onward);
    }
    if let Some(copies) = &call.progress.lock().copies {
        meter.copy_to(copies.tap());
    }
    match meter.commit().await {
        Ok(()) => Ok(Reply::stream(meter)),
        Err((error, outcome)) => Err((error, Some(outcome))),
    }
}

/// What a stream becomes for the client, and how it may go on where it breaks.
struct Shape {
    form: Form,
    onward: Option<Onward>,
}

impl Shape {
    /// Of the client's own dialect, without more.
    fn native(reader: Box<dyn Reader>) -> Shape {
        Shape { form: Form::Native(reader), onward: None }
    }

    /// `script`: what was said before, where this attempt goes on from it. `may_go_on`: the failures after which another
    /// may, where the route says so.
    fn of(
        call: &Call,
        target: &Target,
        form: ReplyForm,
        script: Option<Script>,
        may_go_on: Option<FailureClasses>,
    ) -> Shape {
        let encoder = || call.request.front().encoder(&call.request);
        let open = || call.request.in_open_form();
        match (form, may_go_on) {
            (ReplyForm::Foreign(decoder), classes) if script.is_some() || classes.is_some() => {
                let script = script.or_else(|| open().map(|_| Script::new(Some(encoder()))));
                match script {
                    Some(script) => Shape {
                        form: Form::Foreign(decoder, Box::new(script.clone())),
                        onward: classes.map(|classes| Onward::new(script, None, classes)),
                    },
                    None => Shape { form: Form::Foreign(decoder, encoder()), onward: None },
                }
            }
            (ReplyForm::Foreign(decoder), _) => {
                Shape { form: Form::Foreign(decoder, encoder()), onward: None }
            }
            (ReplyForm::Native(reader), None) => Shape::native(reader),
            (ReplyForm::Native(reader), Some(classes)) => {
                let open = call.request.front().writes_rests().then(open).flatten();
                let ear =
                    open.and_then(|open| match target.provider.adapter.reply_form_of(&open, &target.model) {
                        ReplyForm::Foreign(decoder) => Some(Ear(decoder)),
                        ReplyForm::Native(_) => None,
                    });
                let onward = ear.map(|ear| Onward::new(Script::new(None), Some(ear), classes));
                Shape { form: Form::Native(reader), onward }
            }
        }
    }
}

/// A reply in one piece.
fn whole(call: &Call, body: Bytes, form: ReplyForm, account: &mut Account) -> Result<Reply, AttemptError> {
    match form {
        ReplyForm::Native(mut reader) => {
            let glance = reader.whole(&body)?;
            account.first_content();
            account.saw(glance.output_bytes);
            account.served_in(reader.tier());
            let usage = reader.usage();
            let out =
                glance.usage_end.zip(usage).and_then(|(end, usage)| account.with_cost(&body, end, usage));
            Ok(Reply::whole(out.unwrap_or(body), account.close(State::Ok, usage, None)))
        }
        ReplyForm::Foreign(mut decoder) => {
            let mut response = decoder.whole(&body)?;
            account.first_content();
            content::date(&mut response, call.facts.started_at);
            account.saw(content::bytes_of_whole(&response));
            content::fill_embeddings(&mut response, || (call.id.to_string(), account.estimate()));
            if let (Some(place), Some(usage)) = (usage_of(&mut response), decoder.usage()) {
                account.put_cost_into(place, usage);
            }
            let out = call.request.front().encoder(&call.request).whole(response);
            Ok(Reply::whole(out, account.close(State::Ok, decoder.usage(), None)))
        }
    }
}

/// A stream was asked for and one piece came: an error under status 200 says what it is, all else is nonsense.
fn not_streamed(form: ReplyForm, body: &[u8]) -> AttemptError {
    let error = match form {
        ReplyForm::Native(mut reader) => reader.whole(body).err(),
        ReplyForm::Foreign(mut decoder) => decoder.whole(body).err(),
    };
    error
        .unwrap_or_else(|| {
            ProviderError::nonsense("the provider answered in one piece where a stream was asked for")
        })
        .into()
}

fn usage_of(response: &mut openai::Response) -> Option<&mut openai::usage::Usage> {
    match response {
        openai::Response::Chat(response) => response.usage.as_mut(),
        openai::Response::Completions(response) => response.usage.as_mut(),
        openai::Response::Embeddings(response) => response.usage.as_mut(),
    }
}

/// Reads a body to its end, or to `limit` bytes: beyond is cut where `cut`, else an error.
async fn read(mut body: AnswerBody, limit: usize, cut: bool) -> Result<Bytes, AttemptError> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "the provider's answer broke");
            ProviderError::truncated()
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.is_none() && all.is_empty() {
            // One piece as a rule: it is not copied.
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
        if all.len() > limit {
            if cut {
                break;
            }
            return Err(ProviderError::nonsense(format!(
                "the provider's answer is larger than {limit} bytes"
            ))
            .into());
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    const NAMES: [&str; 4] = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
    // Of the few headers that there are, comparing each is cheaper than hashing four names.
    let rank = |name: &HeaderName| NAMES.iter().position(|own| *own == name.as_str());
    let known = headers.iter().filter_map(|(name, value)| Some((rank(name)?, value)));
    let (_, value) = known.min_by_key(|(rank, _)| *rank)?;
    value.to_str().ok().filter(|text| text.len() <= 200).map(Arc::from)
}
