//! Prices as the audit knows them: a file of its own, decimal strings in dollars per million tokens, and its own sums.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::logs::Tokens;

/// Prices by model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Prices {
    models: BTreeMap<String, Listed>,
}

/// What one model costs.
#[derive(Debug, Clone, Default, Deserialize)]
struct Listed {
    /// Rates of long prompts; each holds for the whole call.
    #[serde(default)]
    above: Vec<Above>,
    /// Rates of other service tiers.
    #[serde(default)]
    tiers: BTreeMap<String, Listed>,
    /// By class, dollars per million tokens; and `per_request`, dollars.
    #[serde(flatten)]
    rates: BTreeMap<String, String>,
}

/// Rates where the prompt has more tokens than that.
#[derive(Debug, Clone, Deserialize)]
struct Above {
    input_tokens: i64,
    #[serde(flatten)]
    rates: BTreeMap<String, String>,
}

impl Prices {
    /// Reads `{"gpt-4o-mini": {"input": "0.15", "output": "0.6"}, …}`; a model may have `above`, `tiers` and `per_request`.
    ///
    /// # Errors
    /// When the file is not that.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        serde_json::from_slice(&text).map_err(|cause| format!("{}: {cause}", path.display()))
    }

    /// What one attempt costs that was served in `tier`, in nano-dollars: summed in pico-dollars over the classes, rounded
    /// once, half up. None: the file has no price for the model, or for it in this tier.
    ///
    /// # Errors
    /// A price that is not a decimal of at most six places.
    pub fn cost(&self, model: &str, tier: Option<&str>, tokens: &Tokens) -> Result<Option<i64>, String> {
        let Some(listed) = self.models.get(model) else { return Ok(None) };
        let Some(rates) = listed.rates_of(tier, prompt(tokens)) else { return Ok(None) };
        let bad = |price: &str| format!("{model}: `{price}` is no price");
        let mut pico: i128 = 0;
        for (class, count) in tokens.classes() {
            if count == 0 {
                continue;
            }
            // A class without a price of its own costs what its side costs.
            let side = if ["output", "reasoning", "audio_out"].contains(&class) { "output" } else { "input" };
            let price = rates.get(class).or_else(|| rates.get(side));
            let price = price.ok_or_else(|| format!("{model} has no price for {class}"))?;
            pico += i128::from(count) * micros(price).ok_or_else(|| bad(price))?;
        }
        // What used nothing is no request that costs.
        if let Some(price) = rates.get("per_request").filter(|_| *tokens != Tokens::default()) {
            pico += 1_000_000 * micros(price).ok_or_else(|| bad(price))?;
        }
        i64::try_from((pico + 500).div_euclid(1000)).map(Some).map_err(|cause| cause.to_string())
    }
}

impl Listed {
    /// The rates that hold: the tier's over the usual ones, and over both what is said of a prompt of that length.
    fn rates_of(&self, tier: Option<&str>, prompt: i64) -> Option<BTreeMap<&str, &str>> {
        let tier = match tier {
            None | Some("default" | "standard" | "auto") => None,
            Some(name) => Some(self.tiers.get(name)?),
        };
        let mut rates = BTreeMap::new();
        for listed in [Some(self), tier].into_iter().flatten() {
            rates.extend(listed.rates.iter().map(|(class, price)| (class.as_str(), price.as_str())));
        }
        for listed in [Some(self), tier].into_iter().flatten() {
            let mut steps: Vec<_> = listed.above.iter().filter(|step| step.input_tokens < prompt).collect();
            steps.sort_by_key(|step| step.input_tokens);
            for step in steps {
                rates.extend(step.rates.iter().map(|(class, price)| (class.as_str(), price.as_str())));
            }
        }
        Some(rates)
    }
}

/// All tokens of the prompt, cached or not.
fn prompt(tokens: &Tokens) -> i64 {
    tokens.classes().iter().take(6).map(|(_, count)| count).sum()
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

    fn prices(text: &str) -> Prices {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn costs_are_rounded_once() {
        let prices = prices(r#"{"m": {"input": "0.15", "output": "0.6", "cache_read": "0.075"}}"#);
        let cases = [
            (Tokens { input: 10, output: 5, ..Tokens::default() }, 4_500),
            (Tokens { input: 1, cache_read: 1, reasoning: 2, ..Tokens::default() }, 1_425),
            (Tokens { cache_read: 1, ..Tokens::default() }, 75),
        ];
        for (tokens, nano) in cases {
            assert_eq!(prices.cost("m", None, &tokens), Ok(Some(nano)));
        }
        assert_eq!(prices.cost("other", None, &Tokens::default()), Ok(None));
        assert_eq!((micros("3"), micros("0.0000001"), micros("1.5x")), (Some(3_000_000), None, None));
    }

    #[test]
    fn long_prompts_tiers_and_requests_have_their_rates() {
        let prices = prices(
            r#"{"m": {"input": "4", "output": "8", "cache_read": "1", "per_request": "0.001",
                "above": [{"input_tokens": 200, "output": "16"}, {"input_tokens": 100, "input": "6"}],
                "tiers": {"flex": {"input": "2", "above": [{"input_tokens": 100, "input": "3"}]}}}}"#,
        );
        let long = |input| Tokens { input, cache_read: 1, output: 1, ..Tokens::default() };
        for (tier, input, micro) in [
            (None, 99, 396 + 1 + 8),
            (Some("default"), 100, 600 + 1 + 8),
            (None, 200, 1200 + 1 + 16),
            (Some("flex"), 99, 198 + 1 + 8),
            (Some("flex"), 200, 600 + 1 + 16),
        ] {
            let cost = prices.cost("m", tier, &long(input));
            assert_eq!(cost, Ok(Some((micro + 1000) * 1000)), "{tier:?} {input}");
        }
        assert_eq!(prices.cost("m", Some("priority"), &long(1)), Ok(None), "a tier without a price");
        assert_eq!(prices.cost("m", None, &Tokens::default()), Ok(Some(0)));
    }
}
