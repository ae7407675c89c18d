//! Prices as the audit knows them: a file of its own, decimal strings in dollars per million tokens, and its own sums.

use std::collections::HashMap;
use std::path::Path;

use super::logs::Tokens;

/// Prices by model.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    models: HashMap<String, HashMap<String, String>>,
}

impl Prices {
    /// Reads `{"gpt-4o-mini": {"input": "0.15", "output": "0.6"}, …}`.
    ///
    /// # Errors
    /// When the file is not that.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        let models = serde_json::from_slice(&text).map_err(|cause| format!("{}: {cause}", path.display()))?;
        Ok(Self { models })
    }

    /// What the tokens cost, in nano-dollars: summed in pico-dollars over the classes, rounded once, half up.
    /// None: the file has no price for the model.
    ///
    /// # Errors
    /// A price that is not a decimal of at most six places.
    pub fn cost(&self, model: &str, tokens: &Tokens) -> Result<Option<i64>, String> {
        let Some(prices) = self.models.get(model) else { return Ok(None) };
        let mut pico: i128 = 0;
        for (class, count) in tokens.classes() {
            if count == 0 {
                continue;
            }
            // A class without a price of its own costs what its side costs.
            let side = if ["output", "reasoning", "audio_out"].contains(&class) { "output" } else { "input" };
            let price = prices.get(class).or_else(|| prices.get(side));
            let price = price.ok_or_else(|| format!("{model} has no price for {class}"))?;
            pico +=
                i128::from(count) * micros(price).ok_or_else(|| format!("{model}: `{price}` is no price"))?;
        }
        i64::try_from((pico + 500).div_euclid(1000)).map(Some).map_err(|cause| cause.to_string())
    }
}

/// A decimal as millionths. A millionth of a dollar per million tokens is a pico-dollar per token.
fn micros(decimal: &str) -> Option<i128> {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    if part.len() > 6 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(whole.parse::<i128>().ok()? * 1_000_000 + format!("{part:0<6}").parse::<i128>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_rounded_once() {
        let prices = [("input", "0.15"), ("output", "0.6"), ("cache_read", "0.075")];
        let prices = prices.map(|(class, price)| (class.to_owned(), price.to_owned())).into();
        let prices = Prices { models: [("m".to_owned(), prices)].into() };
        let cases = [
            (Tokens { input: 10, output: 5, ..Tokens::default() }, 4_500),
            (Tokens { input: 1, cache_read: 1, reasoning: 2, ..Tokens::default() }, 1_425),
            (Tokens { cache_read: 1, ..Tokens::default() }, 75),
        ];
        for (tokens, nano) in cases {
            assert_eq!(prices.cost("m", &tokens), Ok(Some(nano)));
        }
        assert_eq!(prices.cost("other", &Tokens::default()), Ok(None));
        assert_eq!((micros("3"), micros("0.0000001"), micros("1.5x")), (Some(3_000_000), None, None));
    }
}
