//! All budgets of a configuration, found by whom they are for.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::scope::{Budget, CallScopes, Scope};
use crate::row::Text;

/// How many budgets for single users, sessions and tags are kept at hand; further ones are made at each call.
const MAX_KEPT: usize = 10_000;

/// The budgets that pay for one call.
pub type Paying = SmallVec<[Arc<Budget>; 6]>;

type ByName = HashMap<Text, Vec<Arc<Budget>>, RandomState>;

/// All budgets of a configuration.
#[derive(Debug, Default)]
pub struct BudgetSet {
    all: Vec<Arc<Budget>>,
    gateway: Vec<Arc<Budget>>,
    providers: ByName,
    teams: ByName,
    keys: ByName,
    users: ByName,
    sessions: ByName,
    tags: ByName,
    /// Budgets made for a value, by the id of the one with `*` and the value.
    made: RwLock<HashMap<(Text, Text), Arc<Budget>, RandomState>>,
}

impl BudgetSet {
    /// The set of these budgets. Of several with the same id, the last counts.
    pub fn new(budgets: impl IntoIterator<Item = Budget>) -> BudgetSet {
        let mut set = BudgetSet::default();
        let mut by_id: HashMap<Text, usize> = HashMap::new();
        for budget in budgets.into_iter().map(Arc::new) {
            match by_id.get(&budget.id) {
                Some(at) => set.all[*at] = budget,
                None => {
                    by_id.insert(budget.id.clone(), set.all.len());
                    set.all.push(budget);
                }
            }
        }
        for budget in &set.all {
            let names = match &budget.scope {
                Scope::Gateway => {
                    set.gateway.push(budget.clone());
                    continue;
                }
                Scope::Provider(_) => &mut set.providers,
                Scope::Team(_) => &mut set.teams,
                Scope::Key(_) => &mut set.keys,
                Scope::User(_) => &mut set.users,
                Scope::Session(_) => &mut set.sessions,
                Scope::Tag(_) => &mut set.tags,
            };
            names.entry(budget.scope.name().into()).or_default().push(budget.clone());
        }
        set
    }

    /// Whether there is none: then nothing has to be asked.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All budgets as declared.
    pub fn all(&self) -> &[Arc<Budget>] {
        &self.all
    }

    /// The budgets that pay for a call, whatever provider serves it; from the widest to the narrowest.
    pub fn matching(&self, scopes: &CallScopes<'_>) -> Paying {
        let mut found = Paying::new();
        if self.all.is_empty() {
            return found;
        }
        found.extend(self.gateway.iter().cloned());
        if let Some(team) = scopes.team {
            found.extend(self.teams.get(team).into_iter().flatten().cloned());
        }
        found.extend(self.keys.get(scopes.key).into_iter().flatten().cloned());
        self.of_value(&self.users, scopes.user, &mut found);
        self.of_value(&self.sessions, scopes.session, &mut found);
        for (at, tag) in scopes.tags.iter().enumerate() {
            // A label given twice is one label.
            if !scopes.tags[..at].contains(tag) {
                self.of_value(&self.tags, Some(tag), &mut found);
            }
        }
        found
    }

    /// The budgets of a provider.
    pub fn of_provider(&self, name: &str) -> &[Arc<Budget>] {
        self.providers.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn of_value(&self, names: &ByName, value: Option<&str>, found: &mut Paying) {
        let Some(value) = value.filter(|_| !names.is_empty()) else { return };
        found.extend(names.get(value).filter(|_| value != "*").into_iter().flatten().cloned());
        for template in names.get("*").into_iter().flatten() {
            let name = (template.id.clone(), Text::from(value));
            if let Some(made) = self.made.read().get(&name) {
                found.push(made.clone());
                continue;
            }
            let budget = Arc::new(template.for_value(value));
            let mut made = self.made.write();
            if made.len() < MAX_KEPT {
                made.insert(name, budget.clone());
            }
            found.push(budget);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::period::Period;
    use super::*;

    #[test]
    fn a_call_is_paid_by_all_that_it_belongs_to() {
        let budget = |id: &str, scope| Budget::new(id.into(), scope, 1, Period::Day);
        let set = BudgetSet::new([
            budget("all", Scope::Gateway),
            budget("p", Scope::Provider("openai".into())),
            budget("t", Scope::Team("red".into())),
            budget("k", Scope::Key("ci".into())),
            budget("k2", Scope::Key("ci".into())),
            budget("u", Scope::User("*".into())),
            budget("ann", Scope::User("ann".into())),
            budget("tag", Scope::Tag("a".into())),
        ]);
        let ids = |scopes: CallScopes<'_>| {
            set.matching(&scopes).iter().map(|budget| budget.id.to_string()).collect::<Vec<_>>()
        };
        let tags = ["a".into(), "b".into(), "a".into()];
        let whole =
            CallScopes { key: "ci", team: Some("red"), user: Some("ann"), session: Some("s"), tags: &tags };
        assert_eq!(ids(whole), ["all", "t", "k", "k2", "ann", "u=ann", "tag"]);
        assert_eq!(ids(CallScopes { key: "x", user: Some("*"), ..CallScopes::default() }), ["all", "u=*"]);
        let twice = [set.matching(&whole), set.matching(&whole)];
        assert!(Arc::ptr_eq(&twice[0][5], &twice[1][5]), "made once");
        assert_eq!((set.of_provider("openai").len(), set.of_provider("x").len()), (1, 0));
        assert!(BudgetSet::default().matching(&whole).is_empty());
    }
}
