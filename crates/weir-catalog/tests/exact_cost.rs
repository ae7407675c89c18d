//! W-032: the cost of any usage at any price equals an exact rational reference, rounded once.
//!
//! The reference shares nothing with the crate: it reads the price's text as a fraction, keeps fractions of 128-bit
//! integers in lowest terms, looks fallbacks, steps and tiers up in the JSON as written, and rounds by one division.
//! `WEIR_CASES=1000000` runs the long form; without it, 100,000 cases.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use weir_catalog::{Catalog, NanoUsd, Picodollars, Price, PriceFields, ServiceTier};
use weir_wire::usage::{Class, Usage};

/// The token classes, each with the field that prices it and the field that prices it where that is not set.
const TOKENS: [(Class, &str, &str); 9] = [
    (Class::Input, "input", "input"),
    (Class::CacheRead, "cache_read", "input"),
    (Class::CacheWrite5m, "cache_write_5m", "input"),
    (Class::CacheWrite1h, "cache_write_1h", "input"),
    (Class::AudioIn, "audio_in", "input"),
    (Class::ImageIn, "image_in", "input"),
    (Class::Output, "output", "output"),
    (Class::Reasoning, "reasoning", "output"),
    (Class::AudioOut, "audio_out", "output"),
];
/// The other classes, each with its field and how many of them the field's price is for.
const UNITS: [(Class, &str, u128); 5] = [
    (Class::Image, "per_image", 1),
    (Class::Page, "per_page", 1),
    (Class::Search, "per_search", 1),
    (Class::Character, "per_million_characters", 1_000_000),
    (Class::Duration, "per_second", 1_000),
];
const INPUTS: usize = 6;

// === the reference ===

/// A fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fraction {
    above: u128,
    below: u128,
}

impl Fraction {
    fn new(above: u128, below: u128) -> Fraction {
        let (mut a, mut b) = (above, below);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Fraction { above: above / a, below: below / a }
    }

    /// Reads `12.345` as 12345 / 1000.
    fn read(text: &str) -> Fraction {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let places = text.find('.').map_or(0, |point| text.len() - point - 1);
        Fraction::new(digits.parse().unwrap(), 10u128.pow(places as u32))
    }

    fn plus(self, other: Fraction) -> Fraction {
        Fraction::new(self.above * other.below + other.above * self.below, self.below * other.below)
    }

    fn times(self, count: u128, per: u128) -> Fraction {
        let one = Fraction::new(count, per);
        let (left, right) = (Fraction::new(self.above, one.below), Fraction::new(one.above, self.below));
        Fraction { above: left.above * right.above, below: left.below * right.below }
    }

    /// Nanodollars, half up.
    fn round(self) -> i64 {
        let nano = Fraction::new(self.above, self.below).times(1_000_000_000, 1);
        i64::try_from((2 * nano.above + nano.below) / (2 * nano.below)).unwrap()
    }
}

/// The text of `field` for a call with such a prompt: the step's, else the tier's, else the standard one's.
fn written<'a>(price: &'a Value, tier: Option<&'a Value>, prompt: u64, field: &str) -> Option<&'a str> {
    let steps = |of: &'a Value| of["above"].as_array().map(Vec::as_slice).unwrap_or_default().iter().rev();
    let reached = |step: &&Value| prompt > step["input_tokens"].as_u64().unwrap();
    let places = tier.into_iter().flat_map(steps).filter(reached);
    let places = places.chain(steps(price).filter(reached)).chain(tier).chain([price]);
    places.filter_map(|place| place[field].as_str()).next()
}

fn reference(price: &Value, tier: Option<&Value>, counts: &[u64], units: &[u64]) -> Option<Fraction> {
    let prompt = counts[..INPUTS].iter().sum();
    let text = |field: &str| written(price, tier, prompt, field);
    let mut sum = Fraction::new(0, 1);
    for ((_, field, side), count) in TOKENS.iter().zip(counts).filter(|(_, count)| **count > 0) {
        let rate = text(field).or_else(|| text(side))?;
        sum = sum.plus(Fraction::read(rate).times((*count).into(), 1_000_000));
    }
    for ((_, field, per), count) in UNITS.iter().zip(units).filter(|(_, count)| **count > 0) {
        sum = sum.plus(Fraction::read(text(field)?).times((*count).into(), *per));
    }
    if counts.iter().chain(units).any(|count| *count > 0) {
        sum = sum.plus(Fraction::read(text("per_request").unwrap_or("0")));
    }
    Some(sum)
}

// === random prices and usages ===

#[derive(Clone, Debug)]
struct Case {
    price: Value,
    tier: ServiceTier,
    counts: Vec<u64>,
    units: Vec<u64>,
    order: u64,
}

/// Decimal text of up to 1,000 USD with at most `places` digits after the point; often few, sometimes 0.
fn amount(places: u32) -> impl Strategy<Value = String> {
    let digits = prop_oneof![1 => Just(0u64), 4 => 0..10_000u64, 2 => 0..1_000_000_000u64];
    (digits, 0..=places).prop_map(|(digits, places)| {
        let digits = digits % (1_000 * 10u64.pow(places) + 1);
        let text = format!("{digits:0>width$}", width = places as usize + 1);
        let (whole, fraction) = text.split_at(text.len() - places as usize);
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    })
}

/// Rates, of which each stands with a chance of one in `rarity` and a half.
fn rates(rarity: u32) -> impl Strategy<Value = Map<String, Value>> {
    let fields = TOKENS.iter().map(|(_, field, _)| (*field, 6));
    let fields = fields.chain([
        ("per_image", 12),
        ("per_page", 12),
        ("per_search", 12),
        ("per_request", 12),
        ("per_million_characters", 6),
        ("per_second", 9),
    ]);
    let strategies: Vec<_> = fields
        .map(|(field, places)| {
            prop_oneof![1 => amount(places).prop_map(Some), rarity => Just(None)]
                .prop_map(move |text| (field, text))
        })
        .collect();
    strategies.prop_map(|fields| {
        fields.into_iter().filter_map(|(field, text)| Some((field.to_owned(), Value::from(text?)))).collect()
    })
}

fn with_steps(rarity: u32) -> impl Strategy<Value = Map<String, Value>> {
    let step = (0..300_000u64, rates(2)).prop_map(|(limit, mut step)| {
        step.insert("input_tokens".to_owned(), limit.into());
        Value::from(step)
    });
    (rates(rarity), prop::collection::vec(step, 0..3)).prop_map(|(mut rates, mut steps)| {
        steps.sort_by_key(|step| step["input_tokens"].as_u64());
        steps.dedup_by_key(|step| step["input_tokens"].as_u64());
        if !steps.is_empty() {
            rates.insert("above".to_owned(), steps.into());
        }
        rates
    })
}

fn case() -> impl Strategy<Value = Case> {
    let price = (with_steps(1), prop::option::of(with_steps(2)), amount(6), amount(6)).prop_map(
        |(mut price, flex, input, output)| {
            price.insert("model".to_owned(), "p/m".into());
            price.insert("input".to_owned(), input.into());
            price.insert("output".to_owned(), output.into());
            if let Some(flex) = flex {
                price.insert("tiers".to_owned(), json!({ "flex": flex }));
            }
            Value::from(price)
        },
    );
    let count = prop_oneof![3 => Just(0u64), 4 => 0..5_000u64, 2 => 0..400_000u64, 1 => 0..100_000_000u64];
    let unit = prop_oneof![8 => Just(0u64), 1 => 0..2_000u64];
    let tier = prop_oneof![2 => Just(ServiceTier::Standard), 1 => Just(ServiceTier::Flex)];
    let usage =
        (prop::collection::vec(count, TOKENS.len()), prop::collection::vec(unit, UNITS.len()), any::<u64>());
    (price, tier, usage).prop_map(|(price, tier, (counts, units, order))| Case {
        price,
        tier,
        counts,
        units,
        order,
    })
}

// === the property ===

fn resolve(price: &Value) -> std::sync::Arc<Price> {
    let fields: PriceFields = serde_json::from_value(price.clone()).unwrap();
    let catalog = Catalog::default().with_prices(Vec::new(), vec![fields]).unwrap();
    catalog.schedule("p", "p", "m").at(0).unwrap().clone()
}

/// The usage, its classes set in an order that depends on `order`.
fn usage(case: &Case, order: u64) -> Usage {
    let tokens = TOKENS.iter().map(|(class, ..)| *class).zip(case.counts.iter().copied());
    let mut counts: Vec<(Class, u64)> =
        tokens.chain(UNITS.iter().map(|(class, ..)| *class).zip(case.units.iter().copied())).collect();
    counts.sort_by_key(|(class, _)| (*class as u64 + 1).wrapping_mul(order | 1));
    counts.into_iter().fold(Usage::new(), |usage, (class, count)| usage.with(class, count))
}

fn check(case: &Case) -> Option<NanoUsd> {
    let price = resolve(&case.price);
    let tier = (case.tier == ServiceTier::Flex).then(|| &case.price["tiers"]["flex"]);
    let unpriced_tier = tier.is_some_and(Value::is_null);
    let expected = if unpriced_tier {
        None
    } else {
        reference(&case.price, tier, &case.counts, &case.units).map(Fraction::round)
    };
    let used = usage(case, case.order);
    let cost = price.cost_in(&used, case.tier);
    assert_eq!(cost.map(|cost| cost.0), expected, "{case:?}");
    assert_eq!(
        price.cost_in(&usage(case, !case.order), case.tier),
        cost,
        "the order of classes counts: {case:?}"
    );
    let lines = price.breakdown(&used, case.tier);
    let summed = lines.map(|lines| {
        lines.iter().fold(Picodollars::ZERO, |sum, line| sum.checked_add(line.cost).unwrap()).round()
    });
    assert_eq!(summed, cost, "the lines do not add up: {case:?}");
    if case.units.iter().all(|count| *count == 0) && case.tier == ServiceTier::Standard {
        let bound = price.upper_bound(used.prompt_tokens(), used.completion_tokens());
        assert!(bound >= cost, "{bound:?} does not bound {cost:?}: {case:?}");
    }
    cost
}

#[test]
fn every_cost_is_exact_and_every_total_the_sum_of_its_rows() {
    let cases = std::env::var("WEIR_CASES")
        .ok()
        .map_or(100_000, |cases| cases.parse().expect("WEIR_CASES is a number"));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let rows = std::cell::RefCell::new(Vec::new());
    let checked = runner.run(&case(), |case| {
        rows.borrow_mut().extend(check(&case));
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    let rows = rows.into_inner();
    assert!(rows.len() > cases as usize / 4, "only {} of {cases} usages had a price", rows.len());
    for batch in rows.chunks(997) {
        let total: i128 = batch.iter().map(|cost| i128::from(cost.0)).sum();
        let total = NanoUsd(i64::try_from(total).expect("a batch stays below nine billion dollars"));
        let (front, back) = batch.split_at(batch.len() / 3);
        let parts: NanoUsd =
            [back, front].map(|part| part.iter().copied().sum::<NanoUsd>()).into_iter().sum();
        let backwards: NanoUsd = batch.iter().rev().copied().sum();
        assert_eq!([parts, backwards], [total; 2], "the order or the batching of rows counts");
    }
    println!("{cases} cases, {} priced", rows.len());
}
