//! The most that a call can cost at a target, proven before it is sent.
//!
//! Budgets reserve it, so it must never be below what the call then costs. It rests on these facts:
//!
//! | fact | source |
//! | --- | --- |
//! | a token of a text has at least one byte: the tokenizers are byte-level BPE, or SentencePiece with byte fallback | OpenAI's tiktoken; Anthropic's and Google's token counting pages; the tokenizers of open models, 2026-11 |
//! | a body in JSON is at least as long as the texts in it | RFC 8259: escapes only lengthen |
//! | a message costs 3 tokens beside its text, a name 1, the reply 3; the keys around a message are longer | OpenAI cookbook, "How to count tokens with tiktoken" |
//! | tools and schemas are written anew for the model, at most with a space behind each separator, and bring an instruction of up to [`TOOL_PROMPT`] tokens | Anthropic, "Tool use", pricing: up to 675; computer use: 735 and 499 |
//! | templates add up to [`REQUEST_OVERHEAD`] tokens of their own (dates, default instructions) | chat templates of Llama 3, Qwen and gpt-oss |
//! | a picture counts up to the `bound.image` of its model | `config/providers`, with sources there |
//! | sound that travels in the body counts less than a token a byte | Gemini: 32 a second, OpenAI: 10 a second; no codec in use has under 500 bytes a second |
//! | no prompt is longer than the model's context window: a longer one is refused, not billed | the providers' error pages |
//! | an answer ends at the limit that was sent, reasoning included, for each choice | OpenAI `max_completion_tokens`, Anthropic `max_tokens`, Gemini `maxOutputTokens` |
//! | a rejected prediction is billed as output, beyond that limit | OpenAI, "Predicted outputs" |
//!
//! | a search unit of rerank is a query with up to 100 documents, of which one longer than 500 tokens, query included, counts as several | Cohere, "Pricing" and "Rerank best practices", 2026-11 |
//! | a reranker reads the query again with each document | Voyage, Jina: `total_tokens`; recorded replies of llama.cpp |
//! | an image made counts up to the `bound.image_out` of its model, and each partial one 100 tokens more | `config/providers`; OpenAI, "Image generation" |
//! | WAV without compression plays as long as its header says, and MP3 has no less than 8 kbit a second | RIFF, ISO 11172-3 |
//!
//! Where a fact is missing there is no bound, and a call that a hard budget watches is refused.

pub mod estimate;
mod output;
mod prompt;
mod sound;
pub(crate) mod units;
mod walk;

use std::sync::Arc;

use weir_adapter::Operation;
use weir_catalog::{Bound, Price, ServiceTier};
use weir_wire::Class;
use weir_wire::usage::TOKEN_CLASSES;

use crate::call::Call;
use crate::snapshot::Target;

pub use output::{Output, Wanted};
pub use prompt::{Limits, Prompt};

/// Tokens that providers add to any prompt, at most.
pub const REQUEST_OVERHEAD: u64 = 256;
/// Tokens that providers add to a prompt with tools or a schema, at most.
pub const TOOL_PROMPT: u64 = 2_048;

/// Why nothing can be said about the most that a call can cost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    /// The target's price is not known.
    #[error("no price is known for `{0}`; set one under `prices.overrides`")]
    Price(String),
    /// Nobody says how long the answer may get.
    #[error(
        "`{0}` has no known output limit; send `max_tokens`, or set `max_output_tokens` where the model is declared"
    )]
    Output(String),
    /// The body refers to content that lies elsewhere, and the model's context window is not known.
    #[error(
        "the prompt of `{0}` can't be bounded: it has media or content from elsewhere, and the model's context window is not known"
    )]
    Prompt(String),
    /// The provider runs a tool as often as it likes.
    #[error("`{tool}` runs at the provider as often as the model likes; {hint}")]
    Hosted {
        /// The tool's type, as written.
        tool: String,
        /// What to change.
        hint: &'static str,
    },
    /// The price is by the second, and how long the sound is does not show.
    #[error(
        "how long the sound is that `{0}` shall hear does not show before it is sent; send WAV or MP3 where a hard budget applies"
    )]
    Sound(String),
    /// An operation whose cost does not show in its request.
    #[error("what a call of `{0}` can cost does not show in its request")]
    Operation(&'static str),
}

impl Unbounded {
    /// The same, of the target of this name.
    fn of(self, name: String) -> Unbounded {
        match self {
            Unbounded::Price(_) => Unbounded::Price(name),
            Unbounded::Output(_) => Unbounded::Output(name),
            Unbounded::Prompt(_) => Unbounded::Prompt(name),
            Unbounded::Sound(_) => Unbounded::Sound(name),
            other => other,
        }
    }

    /// The error's code.
    pub fn code(&self) -> &'static str {
        match self {
            Unbounded::Price(_) => "unknown_price",
            _ => "unbounded_cost",
        }
    }
}

/// The most that a call can cost at one target, as a function of the tokens that it may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    price: Arc<Price>,
    tier: ServiceTier,
    prompt: Prompt,
}

impl Ceiling {
    /// Looks at the request once.
    ///
    /// # Errors
    /// What can't be bounded.
    pub fn new(call: &Call, target: &Target, price: Option<&Arc<Price>>) -> Result<Ceiling, Unbounded> {
        let name = || format!("{}/{}", target.provider.name, target.model);
        let price = price.ok_or_else(|| Unbounded::Price(name()))?.clone();
        let tier = crate::dispatch::tier(call);
        let prompt = match call.request.operation.has_units() {
            true => units::prompt(&call.request, target, &price),
            false => Prompt::of(&call.request, &target.limits, &price),
        };
        let prompt = prompt.map_err(|error| error.of(name()))?;
        if !price.has_tier(tier) {
            return Err(Unbounded::Price(name()));
        }
        Ok(Ceiling { price, tier, prompt })
    }

    /// Whether it was made by this very price.
    pub fn is_by(&self, price: &Arc<Price>) -> bool {
        Arc::ptr_eq(&self.price, price)
    }

    /// Nano-dollars that the call costs at most if it makes no more than `output_tokens`, over all choices.
    /// `None` where a price is missing for something that it may use.
    pub fn cost(&self, output_tokens: u64) -> Option<i64> {
        let mut classes = [Class::Input; TOKEN_CLASSES.len()];
        let mut count = 0;
        for class in TOKEN_CLASSES {
            if self.prompt.may_have(class) {
                classes[count] = class;
                count += 1;
            }
        }
        let bound = Bound {
            prompt_tokens: self.prompt.tokens,
            output_tokens: output_tokens.saturating_add(self.prompt.more_output),
            classes: &classes[..count],
            units: &[(Class::Search, self.prompt.searches), self.prompt.unit.unwrap_or((Class::Image, 0))],
            tier: self.tier,
        };
        self.price.bound(bound).map(|bound| bound.0)
    }

    /// How many tokens may be made so that the call costs no more than `nanousd`; `None` where its prompt alone may
    /// cost more.
    pub fn output_within(&self, nanousd: i64, at_most: u64) -> Option<u64> {
        let fits = |tokens: u64| self.cost(tokens).is_some_and(|cost| cost <= nanousd);
        if fits(at_most) {
            return Some(at_most);
        }
        if !fits(0) {
            return None;
        }
        let (mut low, mut high) = (0, at_most);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }

    /// Tokens of the prompt, at most.
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt.tokens
    }
}

/// Whether an operation makes tokens that a limit holds.
pub(crate) fn makes_tokens(operation: Operation) -> bool {
    matches!(operation, Operation::Chat | Operation::Completions)
}
