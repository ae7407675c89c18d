//! A reply on its way up: head, body, and who wants to know how it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_ledger::{State, UsageSource};
use weir_wire::Usage;

use crate::error::AttemptError;
use crate::meter::Meter;
use crate::passing::Passing;

/// How an attempt ended, whichever way.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The state in the attempt's row.
    pub state: State,
    /// What was used, in disjoint classes.
    pub usage: Usage,
    /// Where the counts come from.
    pub source: UsageSource,
    /// Nano-dollars; `None` where no price is known.
    pub cost_nanousd: Option<i64>,
    /// From dispatch to the first content.
    pub ttft: Option<Duration>,
    /// From dispatch to the end.
    pub duration: Duration,
    /// The provider's status, where it answered.
    pub upstream_status: Option<u16>,
    /// The provider's own id of the request.
    pub upstream_request_id: Option<Arc<str>>,
    /// The error's code, where there was one.
    pub error_code: Option<String>,
    /// Why usage is not the provider's, or what went wrong.
    pub reason: Option<&'static str>,
}

/// Wants to know how a reply ended.
pub type Observer = Box<dyn FnOnce(&Outcome) + Send>;

/// What comes back up the stack.
pub struct Reply {
    /// The body.
    pub body: Body,
    /// How it ended, where it has ended already: a whole reply has.
    /// Boxed, because a reply moves through all layers.
    ended: Option<Box<Outcome>>,
    /// What it is, beside its body, where it is not simply JSON or events under status 200.
    pub head: Option<Box<ReplyHead>>,
}

/// The head of a reply whose body is the provider's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplyHead {
    /// The provider's status, where that is the client's.
    pub status: Option<http::StatusCode>,
    /// The type of the body.
    pub content_type: Option<http::HeaderValue>,
    /// Headers of the provider that go on.
    pub headers: http::HeaderMap,
}

/// The body of a reply.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(Box<Meter>),
    /// Bytes that nobody reads, as they come.
    Passing(Box<Passing>),
}

impl Reply {
    /// A whole reply, ended.
    pub fn whole(body: Bytes, outcome: Outcome) -> Reply {
        Reply { body: Body::Whole(body), ended: Some(Box::new(outcome)), head: None }
    }

    /// A stream that has begun.
    pub fn stream(meter: Box<Meter>) -> Reply {
        Reply { body: Body::Stream(meter), ended: None, head: None }
    }

    /// Bytes that have begun to come.
    pub fn passing(passing: Box<Passing>) -> Reply {
        Reply { body: Body::Passing(passing), ended: None, head: None }
    }

    /// With a head of its own.
    #[must_use]
    pub fn with_head(mut self, head: ReplyHead) -> Reply {
        self.head = Some(Box::new(head));
        self
    }

    /// Calls `observer` when the reply has ended, however it ends: at once where it has already.
    /// Observers are called in the order in which they registered: inner layers first.
    pub fn on_end(&mut self, observer: impl FnOnce(&Outcome) + Send + 'static) {
        match (&self.ended, &mut self.body) {
            (Some(outcome), _) => observer(outcome),
            (None, Body::Stream(meter)) => meter.on_end(Box::new(observer)),
            (None, Body::Passing(passing)) => passing.on_end(Box::new(observer)),
            (None, Body::Whole(_)) => unreachable!("a whole reply is made with its outcome"),
        }
    }

    /// How it ended, where it has ended already.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.ended.as_deref()
    }
}

impl Outcome {
    /// An attempt that failed before it gave anything to the client.
    pub fn failed(error: &AttemptError, duration: Duration) -> Outcome {
        let (status, usage) = match error {
            AttemptError::Provider(error) => (Some(error.status), error.usage.clone()),
            _ => (None, None),
        };
        Outcome {
            state: error.state(),
            source: if usage.is_some() { UsageSource::Reported } else { UsageSource::None },
            usage: usage.unwrap_or_default(),
            cost_nanousd: Some(0),
            ttft: None,
            duration,
            upstream_status: status,
            upstream_request_id: None,
            error_code: Some(error.code()),
            reason: None,
        }
    }
}
