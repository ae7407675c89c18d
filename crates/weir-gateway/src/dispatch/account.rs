//! The account of one attempt: what was seen of it, what it used, what it costs.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::{Map, Number, Value};
use weir_catalog::{Price, ServiceTier};
use weir_ledger::{State, UsageSource};
use weir_wire::{Class, Usage, openai};

use crate::error::AttemptError;
use crate::purse::{Growth, Watch};
use crate::reply::Outcome;

/// The account of one attempt.
#[derive(Clone)]
pub struct Account {
    /// The provider's name.
    provider: Arc<str>,
    /// What the target charged when the attempt began.
    price: Option<Arc<Price>>,
    /// The service tier that was asked for, until the answer says which it was.
    tier: ServiceTier,
    /// Whether `usage.cost` stands in answers.
    show_cost: bool,
    /// Whether the client asked for a usage chunk.
    pub include_usage: bool,
    /// When the call began, in microseconds since 1970.
    pub called_at: i64,
    /// When the attempt was dispatched.
    started: Instant,
    /// When its first content came.
    first: Option<Instant>,
    /// The size of the prompt, in bytes.
    prompt_bytes: usize,
    /// The size of the content seen, in bytes.
    output_bytes: usize,
    /// Tokens that were made at least: a frame with content has one, a long one more.
    tokens_seen: u64,
    /// The most tokens that can have been made.
    output_limit: Option<u64>,
    /// About what the call uses, where it may be charged by other units than tokens.
    expected: Option<Arc<Usage>>,
    /// Whether it can cost nothing.
    free: bool,
    /// Who watches what a stream spends.
    pub(super) watch: Option<Watch>,
    /// The provider's status.
    pub upstream_status: Option<u16>,
    /// The provider's own id of the request.
    pub upstream_request_id: Option<Arc<str>>,
}

/// What an account is opened with.
pub struct Terms {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The price at the time.
    pub price: Option<Arc<Price>>,
    /// The service tier that was asked for.
    pub tier: ServiceTier,
    /// Whether `usage.cost` stands in answers.
    pub show_cost: bool,
    /// Whether the client asked for a usage chunk.
    pub include_usage: bool,
    /// The size of the prompt, in bytes.
    pub prompt_bytes: usize,
    /// The most tokens that can be made.
    pub output_limit: Option<u64>,
    /// About what the call uses, where it may be charged by other units than tokens.
    pub expected: Option<Arc<Usage>>,
    /// Whether it can cost nothing.
    pub free: bool,
    /// When the call began, in microseconds since 1970.
    pub called_at: i64,
}

/// A token has about this many bytes; used where a provider reports no usage.
const BYTES_PER_TOKEN: usize = 4;
/// Bytes of a frame that may be no content, and bytes that one token of the rest has at most as a rule: what is counted
/// by these is made for sure.
const WRAPPING: usize = 160;
const LONG_TOKEN: usize = 8;

impl Account {
    /// Opens the account of an attempt that is dispatched now.
    pub fn open(terms: Terms, now: Instant) -> Account {
        Account {
            provider: terms.provider,
            price: terms.price,
            tier: terms.tier,
            show_cost: terms.show_cost,
            include_usage: terms.include_usage,
            called_at: terms.called_at,
            started: now,
            first: None,
            prompt_bytes: terms.prompt_bytes,
            output_bytes: 0,
            tokens_seen: 0,
            output_limit: terms.output_limit,
            expected: terms.expected,
            free: terms.free,
            watch: None,
            upstream_status: None,
            upstream_request_id: None,
        }
    }

    /// The attempt is sent now, later than it was opened: the time until then is none of the provider's.
    pub(super) fn sent_at(&mut self, now: Instant) {
        self.started = now;
    }

    /// When the attempt was sent.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The provider's name.
    pub fn provider(&self) -> Arc<str> {
        self.provider.clone()
    }

    /// So many bytes of content went by.
    pub fn saw(&mut self, output_bytes: usize) {
        self.output_bytes += output_bytes;
        if output_bytes > 0 {
            // What a dialect wraps around content may be counted as content: so much of a frame says nothing.
            self.tokens_seen += (output_bytes.saturating_sub(WRAPPING) / LONG_TOKEN).max(1) as u64;
        }
    }

    /// Whether a stream that came this far may go on.
    ///
    /// # Errors
    /// Its budget is spent, or it costs more than the client wants to pay.
    pub fn check(&mut self) -> Result<(), AttemptError> {
        let Some(mut watch) = self.watch.take() else { return Ok(()) };
        let seen = self.tokens_seen;
        let result = watch.look(seen, || {
            let input = self.prompt_bytes.div_ceil(BYTES_PER_TOKEN) as u64;
            self.cost(&Usage::new().with(Class::Input, input).with(Class::Output, seen))
        });
        self.watch = Some(watch);
        result
    }

    /// The answer says in which tier it was served: that is what its provider bills, where it has a price.
    pub fn served_in(&mut self, tier: Option<&str>) {
        let Some(tier) = tier.map(ServiceTier::from_name).filter(|tier| *tier != self.tier) else { return };
        if self.price.as_ref().is_some_and(|price| price.has_tier(tier)) {
            self.tier = tier;
        }
    }

    /// The first content is here.
    pub fn first_content(&mut self) {
        self.first.get_or_insert_with(Instant::now);
    }

    /// Asks for more money, where the stream has outgrown what was set aside.
    pub(crate) fn growth(&mut self) -> Option<Growth> {
        self.watch.as_mut()?.growth()
    }

    /// Why a stream may not go on that asked for more money.
    pub(crate) fn denied(&mut self) -> Option<AttemptError> {
        self.watch.as_mut()?.denied()
    }

    /// When the first content came, since dispatch.
    pub fn ttft(&self) -> Option<Duration> {
        self.first.map(|first| first - self.started)
    }

    /// What `usage` costs, in nano-dollars.
    pub fn cost(&self, usage: &Usage) -> Option<i64> {
        if self.free {
            return Some(0);
        }
        let price = self.price.as_ref()?;
        if self.expected.is_some() {
            return price.cost_in(&price.charged(usage, self.tier)?, self.tier).map(|cost| cost.0);
        }
        price.cost_in(usage, self.tier).map(|cost| cost.0)
    }

    /// What was reported of a call that may be charged by several units. Where none of them has a price, those that have
    /// one are estimated.
    fn measured(&self, reported: &Usage) -> (Usage, UsageSource, Option<&'static str>) {
        let lacks = |price: &Arc<Price>| price.charged(reported, self.tier).is_none();
        match self.expected.as_ref().filter(|_| self.price.as_ref().is_some_and(lacks)) {
            None => (reported.clone(), UsageSource::Reported, None),
            Some(expected) => {
                let mut all = (**expected).clone();
                for ((class, unit), count) in reported.iter() {
                    all.set_in(class, unit, count);
                }
                (all, UsageSource::Estimated, Some("the provider reports nothing that has a price"))
            }
        }
    }

    /// Closes the account. Without a report, usage is estimated from what went by; what never got as far as an
    /// answer used nothing.
    pub fn close(&self, state: State, reported: Option<&Usage>, error_code: Option<String>) -> Outcome {
        self.close_as(state, reported, error_code, false)
    }

    /// `sent`: the request went out and nothing came back, so the provider may have read it and charge for that.
    fn close_as(
        &self,
        state: State,
        reported: Option<&Usage>,
        error_code: Option<String>,
        sent: bool,
    ) -> Outcome {
        let (usage, source, reason) = match (reported, state, self.upstream_status) {
            (Some(usage), ..) if self.expected.is_some() => self.measured(usage),
            (Some(usage), ..) => (usage.clone(), UsageSource::Reported, None),
            (None, State::ClientGone, None) => {
                (self.estimate(), UsageSource::Estimated, Some("the client left before the answer began"))
            }
            (None, State::Superseded, _) => {
                (self.estimate(), UsageSource::Estimated, Some("cut: another attempt answered first"))
            }
            (None, _, None) if sent => {
                (self.estimate(), UsageSource::Estimated, Some("sent, and no answer came: the prompt counts"))
            }
            (None, _, None) => (Usage::new(), UsageSource::None, Some("no answer")),
            (None, State::UpstreamError | State::InternalError, Some(_)) if self.first.is_none() => {
                (Usage::new(), UsageSource::None, Some("no answer"))
            }
            (None, State::ClientGone, _) => {
                (self.estimate(), UsageSource::Estimated, Some("the client left before usage was reported"))
            }
            (None, State::Ok, _) => {
                (self.estimate(), UsageSource::Estimated, Some("the provider reports no usage"))
            }
            (None, ..) => {
                (self.estimate(), UsageSource::Estimated, Some("the answer broke before usage was reported"))
            }
        };
        Outcome {
            state,
            cost_nanousd: if source == UsageSource::None { Some(0) } else { self.cost(&usage) },
            usage,
            source,
            ttft: self.ttft(),
            duration: self.started.elapsed(),
            upstream_status: self.upstream_status,
            upstream_request_id: self.upstream_request_id.clone(),
            error_code,
            reason,
        }
    }

    /// Closes the account of an attempt that failed before it gave anything to the client.
    pub fn fail(&self, error: &AttemptError, reported: Option<&Usage>) -> Outcome {
        let own = match error {
            AttemptError::Provider(error) => error.usage.as_ref(),
            _ => None,
        };
        self.close_as(error.state(), reported.or(own), Some(error.code()), error.may_have_been_read())
    }

    /// What the call used, by what went by.
    pub fn estimate(&self) -> Usage {
        if let Some(expected) = &self.expected {
            return (**expected).clone();
        }
        let tokens = |bytes: usize| bytes.div_ceil(BYTES_PER_TOKEN) as u64;
        // A stream makes no more than is paid for, unless more was seen of it: a provider may not keep to the limit.
        let paid = self.watch.as_ref().map_or(u64::MAX, Watch::covered);
        let limit = self.output_limit.unwrap_or(u64::MAX).min(paid).max(self.tokens_seen);
        let output = tokens(self.output_bytes).min(limit);
        Usage::new().with(Class::Input, tokens(self.prompt_bytes)).with(Class::Output, output)
    }

    /// A frame (or whole reply) with the cost put into its usage object, whose closing brace is at `end`.
    /// `None` where nothing changes: costs are not shown, no price is known, or the provider says its own.
    pub fn with_cost(&self, frame: &Bytes, end: usize, usage: &Usage) -> Option<Bytes> {
        let cost = self.shown(usage)?;
        let open = memchr::memrchr(b'{', &frame[..end])?;
        static COST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"cost\""));
        if COST.find(frame).is_some() {
            return None;
        }
        let comma =
            if frame[open + 1..end].iter().all(u8::is_ascii_whitespace) && frame[..end].ends_with(b"{") {
                ""
            } else {
                ","
            };
        let mut text = String::with_capacity(192);
        text.extend([comma, "\"cost\":", &cost, ",\"cost_details\":"]);
        self.put_details(usage, &mut text);
        let mut splice = weir_wire::splice::Splice::new();
        splice.insert(end, text.into_bytes());
        Some(splice.apply(frame))
    }

    /// The same for a translated chunk.
    pub fn put_cost(&self, chunk: &mut openai::Chunk, usage: &Usage) {
        let place = match chunk {
            openai::Chunk::Chat(chunk) => chunk.usage.as_mut(),
            openai::Chunk::Completions(chunk) => chunk.usage.as_mut(),
        };
        if let Some(place) = place {
            self.put_cost_into(place, usage);
        }
    }

    /// The same for a usage object.
    pub fn put_cost_into(&self, place: &mut openai::usage::Usage, usage: &Usage) {
        if let Some(cost) = self.shown(usage).filter(|_| place.cost.is_none()) {
            place.cost = cost.parse::<Number>().ok();
            let mut text = String::new();
            self.put_details(usage, &mut text);
            if let Ok(details) = serde_json::from_str::<Map<String, Value>>(&text) {
                place.extra.insert("cost_details".to_owned(), Value::Object(details));
            }
        }
    }

    fn shown(&self, usage: &Usage) -> Option<String> {
        if !self.show_cost {
            return None;
        }
        self.cost(usage).map(|cost| {
            let mut text = String::with_capacity(24);
            weir_catalog::NanoUsd(cost).put(&mut text);
            text
        })
    }

    /// `{"input":0.000012,"output":0.00004}`: what each class costs, in USD.
    fn put_details(&self, usage: &Usage, out: &mut String) {
        let charged = match (&self.price, &self.expected) {
            (Some(price), Some(_)) => price.charged(usage, self.tier),
            _ => None,
        };
        let usage = charged.as_ref().unwrap_or(usage);
        let lines =
            self.price.as_ref().and_then(|price| price.breakdown(usage, self.tier)).unwrap_or_default();
        out.push('{');
        for (at, line) in lines.iter().enumerate() {
            out.extend([if at > 0 { ",\"" } else { "\"" }, line.class.name(), "\":"]);
            line.cost.round().put(out);
        }
        out.push('}');
    }
}
