//! The file's budgets, as the engine takes them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use parking_lot::RwLock;
use weir_config::{BudgetPeriod, Config, KeyPath, Problem};
use weir_ledger::Text;
use weir_ledger::budget::{Budget, BudgetSet, Period, Scope};

use crate::accounts::{Book, GroupBody, Held};

/// A budget as it is written, and whom it is for.
type Written = (Scope, weir_config::Budget);

/// What may be spent: what the file declares, and what the store's accounts add.
#[derive(Debug)]
pub struct Spending {
    file: Vec<Written>,
    /// Names of keys, teams that the file owns: the store's of the same name do not hold.
    owned: HashSet<Scope>,
    set: RwLock<Arc<BudgetSet>>,
}

impl Spending {
    /// What the file declares.
    pub(super) fn new(config: &Config, problems: &mut Vec<Problem>) -> Spending {
        let keys = config.keys.iter().map(|key| (Scope::Key(key.name.as_str().into()), &key.budgets, "keys"));
        let teams =
            config.teams.iter().map(|team| (Scope::Team(team.name.as_str().into()), &team.budgets, "teams"));
        let owners: Vec<_> = keys.chain(teams).collect();
        let under = owners.iter().flat_map(|(scope, budgets, section)| {
            budgets.iter().map(move |budget| ((scope.clone(), budget.clone()), *section))
        });
        let own = config.budgets.iter().map(|budget| ((scope(budget), budget.clone()), "budgets"));
        let mut file = Vec::new();
        for (written, section) in own.chain(under) {
            if let Err(message) = budget(&written, "", &mut HashMap::new()) {
                problems.push(Problem::at(KeyPath::from([section]), message));
            } else {
                file.push(written);
            }
        }
        let owned = owners.into_iter().map(|(scope, ..)| scope).collect();
        let set = RwLock::new(Arc::new(set(&file, &[])));
        Spending { file, owned, set }
    }

    /// What holds now.
    pub fn set(&self) -> Arc<BudgetSet> {
        self.set.read().clone()
    }

    /// Lets the store's accounts hold, too; what they said before is forgotten.
    pub fn adopt(&self, book: &Book) -> Arc<BudgetSet> {
        let of = |held: &[Held<GroupBody>], scope: fn(Text) -> Scope| -> Vec<Written> {
            let all = held.iter().flat_map(|held| held.body.budgets.iter().map(move |budget| (held, budget)));
            all.map(|(held, budget)| (scope(held.name.as_str().into()), budget.clone())).collect()
        };
        let mut stored: Vec<Written> =
            book.budgets.iter().map(|held| (scope(&held.body), held.body.clone())).collect();
        stored.extend(of(&book.teams, Scope::Team));
        stored.extend(of(&book.users, Scope::User));
        let keys = book.keys.iter().flat_map(|key| key.body.budgets.iter().map(move |budget| (key, budget)));
        stored.extend(keys.map(|(key, budget)| (Scope::Key(key.name.as_str().into()), budget.clone())));
        let free = book.budgets.len();
        let mut at = 0;
        stored.retain(|(scope, _)| {
            at += 1;
            at <= free || !self.owned.contains(scope)
        });
        let new = Arc::new(set(&self.file, &stored));
        *self.set.write() = new.clone();
        new
    }
}

fn set(file: &[Written], stored: &[Written]) -> BudgetSet {
    let (mut alike, mut alike_stored) = (HashMap::new(), HashMap::new());
    let declared = file.iter().map(|written| budget(written, "", &mut alike));
    let stored = stored.iter().map(|written| budget(written, "db:", &mut alike_stored));
    let all: Vec<Budget> = declared
        .chain(stored)
        .filter_map(|made| {
            made.map_err(|message| tracing::error!(message, "a budget does not read and does not hold")).ok()
        })
        .collect();
    BudgetSet::new(all)
}

/// Whom a budget at the top of the file is for.
fn scope(written: &weir_config::Budget) -> Scope {
    let name = |name: &Option<String>| name.as_deref().map(Text::from);
    let found = name(&written.provider)
        .map(Scope::Provider)
        .or_else(|| name(&written.team).map(Scope::Team))
        .or_else(|| name(&written.key).map(Scope::Key))
        .or_else(|| name(&written.user).map(Scope::User))
        .or_else(|| name(&written.session).map(Scope::Session))
        .or_else(|| name(&written.tag).map(Scope::Tag));
    found.unwrap_or(Scope::Gateway)
}

/// The budget as the engine takes it. Its id says whom it is for, which period it has, and which of several alike it is.
fn budget(
    (scope, written): &Written,
    prefix: &str,
    alike: &mut HashMap<Text, usize>,
) -> Result<Budget, String> {
    let period = match written.period()? {
        BudgetPeriod::Day => Period::Day,
        BudgetPeriod::Week => Period::Week,
        BudgetPeriod::Month => Period::Month,
        BudgetPeriod::Total => Period::Total,
        BudgetPeriod::Rolling(length) => Period::Rolling(length.get()),
    };
    let zone = match written.timezone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|_| format!("`{name}` is no time zone"))?,
    };
    let timezone = written.timezone.as_deref();
    let first = Budget::declared_id(scope, &written.period, timezone, 0);
    let ordinal = alike.entry(first).or_insert(0);
    let id = Budget::declared_id(scope, &written.period, timezone, *ordinal);
    *ordinal += 1;
    let id = if prefix.is_empty() { id } else { format!("{prefix}{id}").into() };
    let mut budget = Budget::new(id, scope.clone(), written.limit.0, period);
    budget.zone = zone;
    budget.hard = written.hard.is_on();
    budget.alert_at = written.alert_at.iter().map(|share| share.millionths).collect();
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_for_whom_it_names() {
        let text = "budgets: [{limit: 5, period: day}, {limit: 1, period: 1h, user: \"*\"}, {limit: 2, period: day}]\n\
                    teams: [{name: red, budgets: [{limit: 9, period: month, timezone: Europe/Berlin, hard: false}]}]";
        let config: Config = weir_config::yaml::parse(text, "x").unwrap();
        let mut problems = Vec::new();
        let spending = Spending::new(&config, &mut problems);
        let all = spending.set();
        let seen: Vec<_> =
            all.all().iter().map(|budget| (&*budget.id, budget.limit_nanousd, budget.hard)).collect();
        assert_eq!(
            seen,
            [
                ("gateway/day", 5_000_000_000, true),
                ("user:*/1h", 1_000_000_000, true),
                ("gateway/day#1", 2_000_000_000, true),
                ("team:red/month@Europe/Berlin", 9_000_000_000, false),
            ]
        );
        assert!(problems.is_empty());
        let held = |name: &str, text: &str| Held {
            id: "1".into(),
            name: name.into(),
            hash: None,
            body: serde_json::from_str(text).unwrap(),
        };
        let book = Book {
            teams: vec![
                held("red", r#"{"budgets":[{"limit":"1","period":"day"}]}"#),
                held("blue", r#"{"budgets":[{"limit":"1","period":"day"}]}"#),
            ],
            ..Book::default()
        };
        let ids = |set: &BudgetSet| set.all().iter().map(|budget| budget.id.to_string()).collect::<Vec<_>>();
        let both = ids(&spending.adopt(&book));
        assert_eq!(both[4..], ["db:team:blue/day"], "the file owns `red`");
        assert_eq!(ids(&spending.adopt(&Book::default())).len(), 4);
    }
}
