//! How a call finds its target, and what happens when the target fails: the settings of a public name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{After, Duration, Share};

/// How the order of targets is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// As written.
    #[default]
    Ordered,
    /// By chance, in proportion to the weights.
    Weighted,
    /// The lowest price first.
    Cheapest,
    /// The fastest first.
    Fastest,
    /// The fewest calls in flight first.
    LeastBusy,
    /// By what the request needs.
    Auto,
}

/// A class of failures that moves a call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// 5xx, no connection, TLS, DNS, nonsense, an empty answer.
    Error,
    /// A deadline passed.
    Timeout,
    /// 429, 529.
    RateLimit,
    /// The provider refused weir's key: its 401, 402, 403.
    Auth,
    /// The provider does not know the model or path.
    NotFound,
    /// The prompt is too long for the model.
    ContextLength,
    /// The provider's filter refused.
    ContentFilter,
    /// The provider's own budget is spent (the caller's refuses).
    Budget,
}

impl FailureClass {
    /// The classes where nothing is written.
    pub const DEFAULT: [Self; 6] =
        [Self::Error, Self::Timeout, Self::RateLimit, Self::Auth, Self::ContextLength, Self::Budget];
}

/// Tries at one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often one target is tried, the first time counted: 1 to 10.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
    /// Pause before the second try; it doubles with each further one. A longer `retry-after` of the provider is
    /// honoured.
    pub base: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2, base: Duration::from_millis(200), max: Duration::from_secs(5) }
    }
}

/// How long to wait for what. A deadline that passes counts as the failure class `timeout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the connection to the provider, TLS included.
    pub connect: Duration,
    /// For the first byte of the answer. A whole (not streamed) answer often sends none till it is finished.
    pub first_byte: Duration,
    /// For the first content of a stream.
    pub first_token: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// For the call with all its attempts.
    pub total: Duration,
    /// For a client that does not read its answer.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            first_token: Duration::from_secs(120),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(600),
            write: Duration::from_secs(30),
        }
    }
}

/// When a failing target is left alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Share of failed calls in the window that opens it, 0 to 1.
    pub ratio: Share,
    /// Fewer calls in the window than this never open it by ratio.
    pub min_requests: u32,
    /// How far back the ratio looks.
    pub window: Duration,
    /// How long it stays open before one call may try.
    pub cooldown: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        let half_a_minute = Duration::from_secs(30);
        Self {
            failures: 5,
            ratio: Share::percent(50),
            min_requests: 20,
            window: half_a_minute,
            cooldown: half_a_minute,
        }
    }
}

/// A second attempt when the first is slow: whichever begins to answer first serves the call, the other is cut, and
/// both are paid for. Only before the client has seen any content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// When the second is sent: after a percentile of the time in which the target usually begins to answer, such as
    /// `p95` (once twenty answers are known), or after a duration.
    pub after: After,
    /// The share of calls that may be sent twice, more than 0, at most 1.
    #[serde(default = "one_in_twenty")]
    pub max_extra: Share,
}

fn one_in_twenty() -> Share {
    Share::percent(5)
}

/// What a call may get where what it asks for can't be had. Each is said in `x-weir-degraded`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Degrade {
    /// Where every target failed, a stored answer whose time has been over for no longer than this (`stale`). Needs
    /// `cache`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<Duration>,
    /// Another public name, asked after all targets and fallbacks have failed (`model`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is sent to a target that can't use tools, as the catalog knows (`tools`).
    pub tools: DegradeTools,
}

/// What is sent to a target that can't use tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DegradeTools {
    /// The request as it is; the target is asked last.
    #[default]
    Keep,
    /// The request without its tools, unless it demands one or has used some already.
    Drop,
}

/// What is kept at one target and credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// Nothing.
    #[serde(alias = "false")]
    Off,
    /// The same session, prompt cache key or prefix.
    Session,
    /// The same key.
    Key,
}

/// Settings of the strategy `auto`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auto {
    /// Whether the choice is only logged or followed.
    pub mode: AutoMode,
}

/// Whether `auto` acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AutoMode {
    /// Serves the first target and logs what would have been chosen.
    Observe,
    /// Serves the chosen target.
    Apply,
}

/// What happens upstream when the client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnClientGone {
    /// The attempt is cut; its usage is estimated.
    #[default]
    Cancel,
    /// The answer is read to its end for its usage.
    Drain,
}

/// What becomes of a stream that breaks after its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBrokenStream {
    /// It ends with an error.
    #[default]
    End,
    /// The same target, else the next one, is asked to go on from the text so far, where its model is known to do that
    /// (`prefill`): text only, without tool calls, reasoning or a JSON format. The stream says so, and each attempt is paid for.
    Continue,
}

/// What happens to a parameter that the provider can't honour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnsupportedParams {
    /// It is left out and named in `x-weir-dropped-params`.
    #[default]
    Report,
    /// The call is refused with 400.
    Reject,
}

/// A failure on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// HTTP status to answer with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Share of calls that fail, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Share>,
    /// Wait before the call goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
}
