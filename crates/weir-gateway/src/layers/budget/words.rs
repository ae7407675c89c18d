//! What a caller reads whose budget is spent: which one, how much, when it resets, whom to ask.

use std::time::Duration;

use jiff::Timestamp;
use weir_catalog::NanoUsd;
use weir_ledger::Micros;
use weir_ledger::budget::{Budget, Period, Refused, Scope};

use crate::error::OverBudget;

/// A call that a budget does not pay for.
pub(super) fn refused(refused: &Refused, now: Micros, bound: i64) -> OverBudget {
    let name = name(&refused.budget);
    if refused.unavailable {
        let message = format!(
            "what is left of {name} can't be had now: the gateway's store is slow or out of reach; try again in a second"
        );
        return OverBudget { message, unavailable: true, ..OverBudget::default() };
    }
    let (spent, held) = (refused.spent_nanousd, refused.held_nanousd);
    let mut state = format!("{} of {} USD spent", NanoUsd(spent), NanoUsd(refused.limit_nanousd));
    if held > 0 {
        state.push_str(&format!(", {} held by calls under way", NanoUsd(held)));
    }
    let message = format!(
        "{name} does not pay for this call: {state}, and the call may cost up to {}; {}{}",
        NanoUsd(bound),
        resets(refused.resets_at, now),
        ask(&refused.budget)
    );
    OverBudget { message, resets_in: resets_in(refused.resets_at, now), ..OverBudget::default() }
}

/// A stream that ran out of its budget, or a target whose provider's is spent.
pub(crate) fn over(budget: &Budget, now: Micros, provider: Option<&str>) -> OverBudget {
    let resets_at = budget.window(now).end;
    let what = match provider {
        Some(_) => "does not pay for this call",
        None => "does not pay for more of this answer, so it was cut",
    };
    let message = format!(
        "{} of {} USD {what}; {}{}",
        name(budget),
        NanoUsd(budget.limit_nanousd),
        resets(resets_at, now),
        ask(budget)
    );
    OverBudget {
        message,
        resets_in: resets_in(resets_at, now),
        of_provider: provider.is_some(),
        unavailable: false,
    }
}

/// `the daily budget of key "ci"`.
fn name(budget: &Budget) -> String {
    let period = match budget.period {
        Period::Day => "daily budget".to_owned(),
        Period::Week => "weekly budget".to_owned(),
        Period::Month => "monthly budget".to_owned(),
        Period::Total => "budget".to_owned(),
        Period::Rolling(length) => format!("budget of each {}", humane(length)),
    };
    let shown: String = budget.scope.name().chars().take(100).collect();
    match &budget.scope {
        Scope::Gateway => format!("the {period} of this gateway"),
        scope => format!("the {period} of {} `{shown}`", scope.kind()),
    }
}

fn resets(at: Option<Micros>, now: Micros) -> String {
    let time = at.and_then(|at| Timestamp::from_second(at / 1_000_000).ok());
    match (time, resets_in(at, now)) {
        (Some(time), Some(left)) => format!("it resets at {time}, in {}; ", about(left)),
        _ => "it does not reset by itself; ".to_owned(),
    }
}

/// How long it is, in the two largest units that say something.
fn about(left: Duration) -> String {
    let seconds = left.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", seconds % 60),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn ask(budget: &Budget) -> &'static str {
    match &budget.scope {
        Scope::Session(_) => {
            "begin another session, raise `x-weir-session-budget`, or ask whoever runs this gateway"
        }
        Scope::Key(_) => {
            "ask your team's or this gateway's administrator to raise it (`weir keys update --budget`, `weir budgets`)"
        }
        Scope::Team(_) => {
            "ask your team's or this gateway's administrator to raise it (`weir teams update --budget`, `weir budgets`)"
        }
        _ => "ask this gateway's administrator to raise it (`weir budgets`)",
    }
}

fn resets_in(at: Option<Micros>, now: Micros) -> Option<Duration> {
    let left = u64::try_from(at?.saturating_sub(now)).unwrap_or(0);
    Some(Duration::from_micros(left))
}

fn humane(length: Duration) -> String {
    match length.as_secs() {
        seconds if seconds % 86_400 == 0 && seconds > 0 => format!("{} days", seconds / 86_400),
        seconds if seconds % 3_600 == 0 && seconds > 0 => format!("{} hours", seconds / 3_600),
        seconds if seconds % 60 == 0 && seconds > 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn says_which_how_much_until_when_and_whom_to_ask() {
        let budget = Arc::new(Budget::new("x".into(), Scope::Key("ci".into()), 5_000_000_000, Period::Day));
        let refusal = Refused {
            budget,
            spent_nanousd: 4_980_000_000,
            held_nanousd: 10_000_000,
            limit_nanousd: 5_000_000_000,
            resets_at: Some(86_400_000_000),
            unavailable: false,
        };
        let told = refused(&refusal, 86_000_000_000, 30_000_000);
        for part in [
            "daily budget of key `ci`",
            "4.98 of 5 USD",
            "0.01 held",
            "up to 0.03",
            "1970-01-02T00:00:00Z, in 6 min",
            "administrator",
            "weir keys update",
        ] {
            assert!(told.message.contains(part), "{part}: {}", told.message);
        }
        assert_eq!(told.resets_in, Some(Duration::from_secs(400)));
        let never = refused(&Refused { resets_at: None, ..refusal }, 0, 1);
        for (seconds, text) in [(7, "7 s"), (60, "1 min"), (37_530, "10 h 25 min"), (90_000, "1 d 1 h")] {
            assert_eq!(about(Duration::from_secs(seconds)), text);
        }
        assert!(never.resets_in.is_none() && never.message.contains("does not reset"), "{}", never.message);
    }
}
