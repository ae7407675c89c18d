//! About what a call costs, for what the client wants to pay: bounds would refuse far too much.

use weir_catalog::Price;
use weir_wire::{Class, Usage};

use crate::call::Call;

/// A token has about this many bytes.
const BYTES_PER_TOKEN: u64 = 4;

/// About what the call costs, in nano-dollars: four bytes a token of what was sent, and the output's limit where the
/// client set one. `None` where a price is missing.
pub fn cost(call: &Call, price: &Price) -> Option<i64> {
    let peek = call.request.peek();
    let limit = peek.output_limit.filter(|_| super::makes_tokens(call.request.operation));
    of(call, price, limit.unwrap_or(0).saturating_mul(u64::from(peek.choices.max(1))))
}

/// How many tokens may be made so that the call costs no more than about `nanousd`.
pub fn output_within(call: &Call, price: &Price, nanousd: i64) -> u64 {
    let fits = |tokens: u64| of(call, price, tokens).is_some_and(|cost| cost <= nanousd);
    let (mut low, mut high) = (0, 1 << 24);
    if fits(high) {
        return u64::MAX;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

fn of(call: &Call, price: &Price, output: u64) -> Option<i64> {
    let input = (call.request.raw().len() as u64).div_ceil(BYTES_PER_TOKEN);
    let usage = Usage::new().with(Class::Input, input).with(Class::Output, output);
    price.cost_in(&usage, crate::dispatch::tier(call)).map(|cost| cost.0)
}
