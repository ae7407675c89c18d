//! Checks of budgets, wherever they stand.

use std::collections::HashSet;

use jiff::tz::TimeZone;

use super::Findings;
use crate::config::Config;
use crate::path::KeyPath;
use crate::section::budgets::Budget;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    for (index, budget) in config.budgets.iter().enumerate() {
        let path = KeyPath::from(["budgets"]).index(index);
        check_one(&path, budget, findings);
        let named = scopes(budget);
        if let [(first, _), (second, _), ..] = named[..] {
            let message = format!("`{first}` stands there too; write two budgets, each for one of them");
            findings.add(path.key(second), message);
        }
        for (scope, name) in named {
            check_name(config, &path, scope, name, findings);
        }
    }
    let owners = config.keys.iter().map(|key| &key.budgets).enumerate().map(|at| ("keys", at));
    let owners =
        owners.chain(config.teams.iter().map(|team| &team.budgets).enumerate().map(|at| ("teams", at)));
    for (section, (at, budgets)) in owners {
        for (index, budget) in budgets.iter().enumerate() {
            let path = KeyPath::from([section]).index(at).key("budgets").index(index);
            check_one(&path, budget, findings);
            for (scope, _) in scopes(budget) {
                let message = format!(
                    "the budget is for the entry of `{section}` it stands under; remove it, or move it to `budgets`"
                );
                findings.add(path.key(scope), message);
            }
        }
    }
}

/// The members that say whom a budget is for, in the order of the reference.
fn scopes(budget: &Budget) -> Vec<(&'static str, &str)> {
    let all = [
        ("provider", &budget.provider),
        ("team", &budget.team),
        ("key", &budget.key),
        ("user", &budget.user),
        ("session", &budget.session),
        ("tag", &budget.tag),
    ];
    all.into_iter().filter_map(|(scope, name)| Some((scope, name.as_deref()?))).collect()
}

fn check_one(path: &KeyPath, budget: &Budget, findings: &mut Findings) {
    if let Err(message) = budget.period() {
        findings.add(path.key("period"), message);
    }
    if let Some(zone) = &budget.timezone {
        if TimeZone::get(zone).is_err() {
            findings.add(
                path.key("timezone"),
                format!("`{zone}` is no time zone; write one such as Europe/Berlin or UTC"),
            );
        } else if !matches!(budget.period.as_str(), "day" | "week" | "month") {
            findings.add(path.key("timezone"), "only days, weeks and months begin somewhere; remove it");
        }
    }
    let mut seen = HashSet::new();
    for (index, share) in budget.alert_at.iter().enumerate() {
        if !seen.insert(share.millionths) {
            findings.add(path.key("alert_at").index(index), format!("{share} stands there twice"));
        }
    }
}

/// Keys, teams and providers have to exist: a budget for a name that is mistyped would hold nobody. Those that come by
/// the API get their budgets there.
fn check_name(config: &Config, path: &KeyPath, scope: &'static str, name: &str, findings: &mut Findings) {
    if name.trim().is_empty() {
        return findings.add(path.key(scope), "is empty; name one");
    }
    let starred = name.contains('*');
    match scope {
        "user" | "session" | "tag" if starred && name != "*" => {
            findings.add(path.key(scope), "`*` stands alone: one such budget for each");
        }
        "provider" | "team" | "key" if starred => {
            findings.add(path.key(scope), format!("name one {scope}; `*` is for users, sessions and tags"));
        }
        "provider" => {
            if let Some(providers) =
                config.providers.as_ref().filter(|providers| !providers.contains_key(name))
            {
                let known: Vec<&str> = providers.keys().map(String::as_str).collect();
                let message = format!("`{name}` is no provider of this file ({})", known.join(", "));
                findings.add_resting_on(path.key(scope), message, ["providers"]);
            }
        }
        _ => {}
    }
}
