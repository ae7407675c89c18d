//! `budgets:` what may be spent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_catalog::NanoUsd;

use crate::scalar::{Duration, Share, Switch};

/// What may be spent in a period. At the top of the file it holds for the whole gateway, or for the one that is
/// named in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The limit in USD.
    pub limit: NanoUsd,
    /// `day`, `week`, `month`, `total`, or a duration for a rolling window.
    pub period: String,
    /// Where days begin, as in `Europe/Berlin`; without it UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether calls are refused when it is spent; off: only alerts.
    #[serde(default = "on")]
    pub hard: Switch,
    /// Shares of the limit that alert, 0 to 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_at: Vec<Share>,
    /// Only calls to this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only calls with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only calls of this team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Only calls of this end user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Only calls of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Only calls with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// How long money is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetPeriod {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
    /// For ever.
    Total,
    /// A rolling window.
    Rolling(Duration),
}

impl Budget {
    /// The period as it is meant.
    ///
    /// # Errors
    /// A text that is no period, or a rolling window under a minute.
    pub fn period(&self) -> Result<BudgetPeriod, String> {
        match self.period.as_str() {
            "day" => Ok(BudgetPeriod::Day),
            "week" => Ok(BudgetPeriod::Week),
            "month" => Ok(BudgetPeriod::Month),
            "total" => Ok(BudgetPeriod::Total),
            other => match other.parse::<Duration>() {
                Ok(length) if length.get().as_secs() >= 60 => Ok(BudgetPeriod::Rolling(length)),
                Ok(_) => Err(format!("`{other}` is too short; a rolling window has a minute or more")),
                Err(_) => Err(format!(
                    "`{other}` is no period; write day, week, month, total, or a duration such as 5h"
                )),
            },
        }
    }
}

fn on() -> Switch {
    Switch(true)
}

/// How a call is admitted by a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetAdmission {
    /// Its worst case is reserved.
    #[default]
    Reserve,
    /// Its output limit is lowered to what is left.
    Clamp,
    /// It reserves step by step.
    Grow,
}
