//! What a model costs at a moment: every tier and step resolved, so that a cost is a few multiplications.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_wire::usage::{Class, TOKEN_CLASSES, Unit, Usage};

use crate::fields::{ServiceTier, StepFields, Terms, TierFields};
use crate::money::{NanoUsd, Picodollars};
use crate::rates::{Rates, Written};

/// The id of the price of models that run on the user's own machines.
pub const LOCAL: &str = "local";

/// A resolved price. Cheap to clone behind an `Arc`; a target keeps one for the length of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    id: Arc<str>,
    standard: Steps,
    batch: Option<Steps>,
    flex: Option<Steps>,
    priority: Option<Steps>,
}

/// One line of a cost: so many of a class at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What was used.
    pub class: Class,
    /// The unit in which it was counted.
    pub unit: Unit,
    /// How much.
    pub count: u64,
    /// Picodollars for one.
    pub rate: u64,
    /// `count` × `rate`, not rounded.
    pub cost: Picodollars,
}

/// What a call may use at most, before it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// Tokens of the prompt, cached or not, at most.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning included, at most.
    pub output_tokens: u64,
    /// The token classes that can occur: without audio in the request, [`Class::AudioIn`] cannot.
    pub classes: &'a [Class],
    /// What is counted in other units than tokens, at most, each in its class's usual unit; the request itself aside.
    pub units: &'a [(Class, u64)],
    /// The tier that was asked for.
    pub tier: ServiceTier,
}

/// Rates by length of the prompt, ascending; the first holds from 0 tokens.
type Steps = Vec<Step>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// The step holds where the prompt has more tokens than this (the first: always).
    over: u64,
    rates: Rates,
}

// === impl Price ===

impl Price {
    /// The price of what runs locally: free by declaration, not for want of a price.
    pub fn local() -> Price {
        Price {
            id: LOCAL.into(),
            standard: vec![Step { over: 0, rates: Written::FREE.resolve() }],
            batch: None,
            flex: None,
            priority: None,
        }
    }

    /// Resolves `terms`; `name` is `provider/model`, `day` the day of the data, for the id.
    pub(crate) fn resolve(name: &str, day: &str, terms: &Terms) -> Price {
        let tier = |tier: &Option<TierFields>| tier.as_ref().map(|tier| tier_steps(terms, tier));
        let (standard, batch, flex, priority) =
            (steps(terms), tier(&terms.batch), tier(&terms.flex), tier(&terms.priority));
        let day = terms.from.map_or_else(|| day.to_owned(), |from| from.to_string());
        let hash = hash(&[Some(&standard), batch.as_ref(), flex.as_ref(), priority.as_ref()]);
        Price { id: format!("{name}@{day}#{hash}").into(), standard, batch, flex, priority }
    }

    /// A stable id for rows, as `openai/gpt-4o@2026-08-01#4f1a22c09b`: the name, the day since which it holds, and a
    /// hash of every rate. The same rates on the same day have the same id in every process. `local` for [`Price::local`].
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Whether it is the price of what runs locally.
    pub fn is_local(&self) -> bool {
        &*self.id == LOCAL
    }

    /// The cost of one request in the standard tier, rounded once; `None` if anything used has no price.
    pub fn cost(&self, usage: &Usage) -> Option<NanoUsd> {
        self.cost_in(usage, ServiceTier::Standard)
    }

    /// The cost of one request in `tier`; `None` if anything used, or the tier, has no price.
    pub fn cost_in(&self, usage: &Usage, tier: ServiceTier) -> Option<NanoUsd> {
        let rates = self.rates(tier, usage.prompt_tokens_wide())?;
        let mut sum = Picodollars::ZERO;
        for ((class, unit), count) in used(usage) {
            sum = sum.saturating_add(Picodollars::of(count, rates.of(class, unit)?));
        }
        Some(sum.round())
    }

    /// The lines that [`Price::cost_in`] adds up; free ones are listed too.
    pub fn breakdown(&self, usage: &Usage, tier: ServiceTier) -> Option<Vec<Line>> {
        let rates = self.rates(tier, usage.prompt_tokens_wide())?;
        let line = |((class, unit), count): ((Class, Unit), u64)| {
            let rate = rates.of(class, unit)?;
            Some(Line { class, unit, count, rate, cost: Picodollars::of(count, rate) })
        };
        used(usage).map(line).collect()
    }

    /// The most that a request with these token counts can cost in the standard tier, whatever classes its tokens
    /// turn out to be of.
    pub fn upper_bound(&self, prompt_tokens: u64, output_tokens: u64) -> Option<NanoUsd> {
        self.bound(Bound {
            prompt_tokens,
            output_tokens,
            classes: &TOKEN_CLASSES,
            units: &[],
            tier: ServiceTier::Standard,
        })
    }

    /// The most that a request within `bound` can cost: every token at the highest rate that it could have, over
    /// all steps that the prompt could reach, and the other units at theirs. `None` where a price is unknown.
    pub fn bound(&self, bound: Bound<'_>) -> Option<NanoUsd> {
        let steps = self.steps(bound.tier)?;
        let reachable =
            steps.iter().enumerate().filter(|(at, step)| *at == 0 || step.over < bound.prompt_tokens);
        let mut most = Picodollars::ZERO;
        for (_, step) in reachable {
            let dearest = |count: u64, input: bool| {
                if count == 0 {
                    return Some(Picodollars::ZERO);
                }
                let classes = bound
                    .classes
                    .iter()
                    .filter(|class| class.unit() == Unit::Token && class.is_input() == input);
                let rates: Option<Vec<u64>> =
                    classes.map(|class| step.rates.of(*class, Unit::Token)).collect();
                rates?.into_iter().max().map(|rate| Picodollars::of(count, rate))
            };
            let request = Picodollars(u128::from(step.rates.of(Class::Request, Unit::Request)?));
            let mut sum =
                dearest(bound.prompt_tokens, true)?.saturating_add(dearest(bound.output_tokens, false)?);
            for (class, count) in bound.units.iter().filter(|(_, count)| *count > 0) {
                sum = sum.saturating_add(Picodollars::of(*count, step.rates.of(*class, class.unit())?));
            }
            most = most.max(sum.saturating_add(request));
        }
        Some(most.round())
    }

    /// What this price charges of a usage that counts the same work in several units: tokens and seconds, tokens and
    /// images. The units that it has a rate for count; `None` where it has one for none of them.
    pub fn charged(&self, usage: &Usage, tier: ServiceTier) -> Option<Usage> {
        let rates = self.rates(tier, usage.prompt_tokens_wide())?;
        let mut tokens = usage.iter().filter(|((_, unit), _)| *unit == Unit::Token);
        let by_token = tokens.all(|((class, unit), _)| rates.of(class, unit).is_some());
        let mut charged = Usage::new();
        let mut any = false;
        for ((class, unit), count) in usage.iter() {
            let counts = match unit {
                Unit::Token => by_token,
                Unit::Request => true,
                _ => rates.of(class, unit).is_some(),
            };
            if counts {
                charged.set_in(class, unit, count);
                any |= unit != Unit::Request;
            }
        }
        (any || usage.is_empty()).then_some(charged)
    }

    /// Whether anything is charged by the token.
    pub fn by_token(&self) -> bool {
        [Class::Input, Class::Output].iter().any(|class| self.rate(*class).is_some())
    }

    /// Picodollars for one of `class` in its usual unit, for a short prompt in the standard tier.
    pub fn rate(&self, class: Class) -> Option<u64> {
        self.standard.first()?.rates.of(class, class.unit())
    }

    /// Whether anything could ever be charged for `class`, in any tier and at any length of the prompt.
    pub fn charges(&self, class: Class) -> bool {
        let tiers = [Some(&self.standard), self.batch.as_ref(), self.flex.as_ref(), self.priority.as_ref()];
        let mut steps = tiers.into_iter().flatten().flatten();
        steps.any(|step| step.rates.of(class, class.unit()).is_some_and(|rate| rate > 0))
    }

    /// Whether `tier` has a price.
    pub fn has_tier(&self, tier: ServiceTier) -> bool {
        self.steps(tier).is_some()
    }

    /// The prompt lengths beyond which a call costs more, ascending.
    pub fn limits(&self) -> impl Iterator<Item = u64> + '_ {
        self.standard.iter().skip(1).map(|step| step.over)
    }

    fn steps(&self, tier: ServiceTier) -> Option<&Steps> {
        // What runs locally is free in whatever tier it claims to run.
        match tier {
            _ if self.is_local() => Some(&self.standard),
            ServiceTier::Standard => Some(&self.standard),
            ServiceTier::Batch => self.batch.as_ref(),
            ServiceTier::Flex => self.flex.as_ref(),
            ServiceTier::Priority => self.priority.as_ref(),
        }
    }

    fn rates(&self, tier: ServiceTier, prompt_tokens: u128) -> Option<&Rates> {
        let steps = self.steps(tier)?;
        let step = steps.iter().rev().find(|step| prompt_tokens > u128::from(step.over)).or(steps.first())?;
        Some(&step.rates)
    }
}

/// What was used, the request itself included: a usage of anything is one request's unless it counts them.
fn used(usage: &Usage) -> impl Iterator<Item = ((Class, Unit), u64)> + '_ {
    let uncounted = !usage.is_empty() && usage.get(Class::Request, Unit::Request) == 0;
    usage.iter().chain(uncounted.then_some(((Class::Request, Unit::Request), 1)))
}

/// The prompt's tokens without the risk of overflow: counts come from outside.
trait PromptTokens {
    fn prompt_tokens_wide(&self) -> u128;
}

impl PromptTokens for Usage {
    fn prompt_tokens_wide(&self) -> u128 {
        TOKEN_CLASSES
            .iter()
            .filter(|class| class.is_input())
            .map(|class| u128::from(self.tokens(*class)))
            .sum()
    }
}

fn steps(terms: &Terms) -> Steps {
    layered(&terms.written, &[terms.above.as_deref().unwrap_or_default()])
}

/// A tier's own steps lie over the standard ones: where a tier says nothing of long prompts, they cost what they
/// cost without it.
fn tier_steps(terms: &Terms, tier: &TierFields) -> Steps {
    let base = tier.written().over(&terms.written);
    layered(&base, &[terms.above.as_deref().unwrap_or_default(), tier.above.as_deref().unwrap_or_default()])
}

/// Steps over `base`; of two lists the later wins where both speak of the same field at the same length.
fn layered(base: &Written, lists: &[&[StepFields]]) -> Steps {
    let mut limits: Vec<u64> =
        lists.iter().flat_map(|list| list.iter().map(|step| step.input_tokens)).collect();
    limits.sort_unstable();
    limits.dedup();
    let at = |limit: u64| {
        let mut written = *base;
        for list in lists {
            // Each step says what changes, so that longer steps stand on the shorter ones.
            let mut reached: Vec<&StepFields> =
                list.iter().filter(|step| step.input_tokens <= limit).collect();
            reached.sort_by_key(|step| step.input_tokens);
            written = reached.iter().fold(written, |written, step| step.written().over(&written));
        }
        Step { over: limit, rates: written.resolve() }
    };
    let first = Step { over: 0, rates: base.resolve() };
    std::iter::once(first).chain(limits.into_iter().map(at)).collect()
}

fn hash(tiers: &[Option<&Steps>]) -> String {
    let mut hasher = Sha256::new();
    for steps in tiers {
        hasher.update(steps.map_or(String::from("-"), canonical));
        hasher.update("\n");
    }
    hasher.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

fn canonical(steps: &Steps) -> String {
    let mut text = String::new();
    for step in steps {
        text.push_str(&step.over.to_string());
        for (name, rate) in step.rates.written().named() {
            if let Some(rate) = rate {
                text.push_str(&format!(" {name}={rate}"));
            }
        }
        text.push(';');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::ModelPrice;

    fn price(fields: &str) -> Price {
        let fields: ModelPrice = serde_saphyr::from_str(fields).unwrap();
        Price::resolve("p/m", "2026-08-01", &Terms::from(&fields))
    }

    fn check(fields: &str, usage: &[(Class, u64)], expected: Option<i64>) {
        let usage = usage.iter().fold(Usage::new(), |usage, (class, count)| usage.with(*class, *count));
        assert_eq!(price(fields).cost(&usage), expected.map(NanoUsd), "{fields} {usage:?}");
    }

    #[test]
    fn sums_then_rounds_once() {
        let fields = "{input: 0.15, output: 0.6}";
        check(fields, &[(Class::Input, 1_000), (Class::Output, 500)], Some(450_000));
        check("{input: 0.0004, output: 0.0001}", &[(Class::Input, 1), (Class::Output, 1)], Some(1));
        check("{input: 0.0004, output: 0.0001}", &[(Class::Input, 1)], Some(0));
        check(fields, &[], Some(0));
    }

    #[test]
    fn other_units_have_their_own_prices() {
        check("{input: 1, per_search: 0.01}", &[(Class::Input, 10), (Class::Search, 3)], Some(30_010_000));
        check("{input: 1}", &[(Class::Search, 1)], None);
        check("{per_second: 0.0001}", &[(Class::Duration, 1_500)], Some(150_000));
        check("{per_million_characters: 15}", &[(Class::Character, 1_000)], Some(15_000_000));
        check("{per_page: 0.001, per_image: 0.04}", &[(Class::Page, 2), (Class::Image, 1)], Some(42_000_000));
    }

    #[test]
    fn of_several_counts_of_the_same_work_those_with_a_price_count() {
        let both = Usage::new()
            .with(Class::Input, 10)
            .with(Class::AudioIn, 100)
            .with(Class::Output, 5)
            .with(Class::Duration, 2_000);
        let cost = |fields: &str, usage: &Usage| {
            let price = price(fields);
            let charged = price.charged(usage, ServiceTier::Standard)?;
            price.cost(&charged).map(|cost| cost.0)
        };
        assert_eq!(cost("{per_second: 0.0001}", &both), Some(200_000));
        assert_eq!(cost("{input: 1, output: 2}", &both), Some(110_000 + 10_000));
        assert_eq!(cost("{input: 1, output: 2, per_second: 0.0001}", &both), Some(320_000));
        assert_eq!(cost("{input: 1, per_second: 0.0001}", &both), Some(200_000), "tokens count all or none");
        assert_eq!(cost("{per_image: 1}", &both), None);
        assert_eq!(cost("{per_image: 1}", &Usage::new()), Some(0));
        let image = Usage::new().with(Class::Output, 272).with(Class::Image, 1);
        assert_eq!(cost("{input: 5, output: 40}", &image), Some(272 * 40_000));
        assert_eq!(cost("{per_image: 0.04}", &image), Some(40_000_000));
    }

    #[test]
    fn a_usage_is_one_request_unless_it_counts_them() {
        check("{input: 1, per_request: 0.005}", &[(Class::Input, 1)], Some(5_001_000));
        check("{input: 1, per_request: 0.005}", &[(Class::Input, 1), (Class::Request, 2)], Some(10_001_000));
        check("{input: 1, per_request: 0.005}", &[], Some(0));
        check("{input: 1}", &[(Class::Input, 1), (Class::Request, 1)], Some(1_000));
    }

    #[test]
    fn long_prompts_cost_the_step_as_a_whole() {
        let fields = "{input: 1, output: 2, cache_read: 0.1, above: [{input_tokens: 100, input: 2}, {input_tokens: 200, output: 3}]}";
        check(
            fields,
            &[(Class::Input, 60), (Class::CacheRead, 40), (Class::Output, 10)],
            Some(60_000 + 4_000 + 20_000),
        );
        check(
            fields,
            &[(Class::Input, 60), (Class::CacheRead, 41), (Class::Output, 10)],
            Some(120_000 + 4_100 + 20_000),
        );
        check(fields, &[(Class::Input, 201), (Class::Output, 10)], Some(402_000 + 30_000));
        check(fields, &[(Class::Output, 1_000_000)], Some(2_000_000_000));
    }

    #[test]
    fn tiers_change_what_they_name() {
        let price = price(
            "{input: 4, output: 8, cache_read: 1, above: [{input_tokens: 100, input: 8}],
              batch: {input: 2, output: 4}, tiers: {flex: {input: 3, above: [{input_tokens: 100, input: 6}]}}}",
        );
        let short = Usage::new().with(Class::Input, 10).with(Class::CacheRead, 10).with(Class::Output, 10);
        let long = Usage::new().with(Class::Input, 101);
        let cost = |usage: &Usage, tier| price.cost_in(usage, tier).map(|cost| cost.0 / 1_000);
        assert_eq!(cost(&short, ServiceTier::Standard), Some(40 + 10 + 80));
        assert_eq!(cost(&short, ServiceTier::Batch), Some(20 + 10 + 40));
        assert_eq!(cost(&short, ServiceTier::Flex), Some(30 + 10 + 80));
        assert_eq!(cost(&short, ServiceTier::Priority), None, "no price, not the standard one");
        assert_eq!(
            cost(&long, ServiceTier::Batch),
            Some(808),
            "a tier silent on long prompts leaves their step"
        );
        assert_eq!(cost(&long, ServiceTier::Flex), Some(606));
    }

    #[test]
    fn bounds_hold_for_every_class() {
        let price = price(
            "{input: 1, output: 2, cache_write_1h: 3, audio_in: 50, reasoning: 4, per_request: 0.001, above: [{input_tokens: 100, input: 2}]}",
        );
        assert_eq!(price.upper_bound(100, 10), Some(NanoUsd(5_000_000 + 40_000 + 1_000_000)));
        let text = [
            Class::Input,
            Class::CacheRead,
            Class::CacheWrite5m,
            Class::CacheWrite1h,
            Class::Output,
            Class::Reasoning,
        ];
        let bound = |prompt_tokens| Bound {
            prompt_tokens,
            output_tokens: 10,
            classes: &text,
            units: &[],
            tier: ServiceTier::Standard,
        };
        assert_eq!(price.bound(bound(100)), Some(NanoUsd(300_000 + 40_000 + 1_000_000)));
        assert_eq!(price.bound(Bound { tier: ServiceTier::Flex, ..bound(1) }), None);
        assert_eq!(price.limits().collect::<Vec<_>>(), [100]);
    }

    #[test]
    fn a_bound_has_the_other_units_too() {
        let searching = price("{input: 1, output: 1, per_search: 0.01}");
        let bound = |units| Bound {
            prompt_tokens: 1,
            output_tokens: 1,
            classes: &TOKEN_CLASSES,
            units,
            tier: ServiceTier::Standard,
        };
        assert_eq!(searching.bound(bound(&[(Class::Search, 3)])), Some(NanoUsd(30_002_000)));
        assert_eq!(searching.bound(bound(&[(Class::Page, 1)])), None);
        assert_eq!(searching.bound(bound(&[(Class::Page, 0)])), Some(NanoUsd(2_000)));
        assert!(searching.charges(Class::Search) && !searching.charges(Class::Page));
    }

    #[test]
    fn a_bound_needs_only_the_prices_it_uses() {
        let embedding = price("{input: 1}");
        assert_eq!(embedding.upper_bound(10, 0), Some(NanoUsd(10_000)));
        assert_eq!(embedding.upper_bound(10, 1), None);
    }

    #[test]
    fn absurd_counts_neither_overflow_nor_wrap() {
        let dear = price("{input: 1000000, output: 1000000}");
        let all = TOKEN_CLASSES.iter().fold(Usage::new(), |usage, class| usage.with(*class, u64::MAX));
        assert_eq!(dear.cost(&all), Some(NanoUsd::MAX));
        assert_eq!(dear.upper_bound(u64::MAX, u64::MAX), Some(NanoUsd::MAX));
    }

    #[test]
    fn lines_say_what_was_charged() {
        let lines = price("{input: 1, output: 2}")
            .breakdown(&Usage::new().with(Class::Input, 3).with(Class::Output, 4), ServiceTier::Standard);
        let lines: Vec<_> =
            lines.unwrap().iter().map(|line| (line.class, line.count, line.rate, line.cost.0)).collect();
        assert_eq!(
            lines,
            [
                (Class::Input, 3, 1_000_000, 3_000_000),
                (Class::Output, 4, 2_000_000, 8_000_000),
                (Class::Request, 1, 0, 0)
            ]
        );
    }
}
