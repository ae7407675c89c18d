//! `weir keys`, `weir teams` and `weir budgets`.

pub mod budgets;
pub mod keys;
mod show;
pub mod teams;

use clap::Args;
use serde_json::{Map, Value, json};
use weir_catalog::NanoUsd;
use weir_config::Duration;

/// A budget as it is said in a command: `5/day`, `50/month`, `2/12h`, `100/total`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetWords {
    /// USD.
    pub limit: NanoUsd,
    /// The period.
    pub period: String,
}

impl std::str::FromStr for BudgetWords {
    type Err = String;

    fn from_str(text: &str) -> Result<BudgetWords, String> {
        let refuse =
            |why: &str| format!("{why}; write USD and a period, as in 5/day, 50/month, 2/12h or 100/total");
        let (limit, period) = text.split_once('/').ok_or_else(|| refuse("there is no period"))?;
        let limit = limit.trim().trim_start_matches('$');
        let limit = limit.parse().map_err(|error| refuse(&format!("`{limit}` is no amount ({error})")))?;
        let word = ["day", "week", "month", "total"].contains(&period);
        if word || period.parse::<Duration>().is_ok() {
            return Ok(BudgetWords { limit, period: period.to_owned() });
        }
        Err(refuse(&format!("`{period}` is no period")))
    }
}

impl BudgetWords {
    fn json(&self) -> Value {
        json!({ "limit": self.limit.to_string(), "period": self.period })
    }
}

/// Budgets and limits, of keys and of teams.
#[derive(Debug, Clone, Default, Args)]
pub struct Allowance {
    /// What may be spent, as 5/day; several for several windows
    #[arg(long = "budget", value_name = "USD/PERIOD")]
    pub budgets: Vec<BudgetWords>,
    /// Calls per minute
    #[arg(long, value_name = "N")]
    pub rpm: Option<u64>,
    /// Tokens per minute
    #[arg(long, value_name = "N")]
    pub tpm: Option<u64>,
    /// Calls per day
    #[arg(long, value_name = "N")]
    pub rpd: Option<u64>,
    /// Tokens per day
    #[arg(long, value_name = "N")]
    pub tpd: Option<u64>,
    /// Calls at the same time
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u64>,
}

impl Allowance {
    /// Adds what was said to a body.
    pub fn add_to(&self, body: &mut Map<String, Value>) {
        if !self.budgets.is_empty() {
            body.insert("budgets".into(), self.budgets.iter().map(BudgetWords::json).collect());
        }
        let mut limits = Map::new();
        for (name, value) in [
            ("requests_per_minute", self.rpm),
            ("tokens_per_minute", self.tpm),
            ("requests_per_day", self.rpd),
            ("tokens_per_day", self.tpd),
            ("concurrency", self.concurrency),
        ] {
            if let Some(value) = value {
                limits.insert(name.into(), value.into());
            }
        }
        if !limits.is_empty() {
            body.insert("limits".into(), Value::Object(limits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_from_words() {
        for (text, limit, period) in [
            ("5/day", "5", "day"),
            ("$0.50/month", "0.5", "month"),
            ("2/12h", "2", "12h"),
            ("100/total", "100", "total"),
        ] {
            let words: BudgetWords = text.parse().unwrap();
            assert_eq!((words.limit.to_string().as_str(), words.period.as_str()), (limit, period));
        }
        for wrong in ["5", "5/fortnight", "five/day", "/day", "5/", "5/day/x"] {
            let error = wrong.parse::<BudgetWords>().unwrap_err();
            assert!(error.contains("5/day"), "{wrong}: {error}");
        }
    }
}
