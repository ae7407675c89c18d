//! What is wrong now, and what was: pure, so that each rule can be tested without a gateway.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use weir_ledger::{Micros, Text};

use crate::seal::{hash, hex};

/// How many alerts that are over are remembered.
const KEPT: usize = 500;

/// One thing that is watched, as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// `budget`, `error_rate`, `provider_down` or `latency`.
    pub kind: &'static str,
    /// Of what: a provider, or a budget with its share.
    pub name: String,
    /// Whether it is wrong; `None`: there is too little to say, so what holds goes on.
    pub wrong: Option<bool>,
    /// In a sentence, with numbers.
    pub cause: String,
    /// What all replicas know of, too, so that one of them tells of it.
    pub shared: Option<Shared>,
}

/// What stands for an alert that all replicas see, in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Of which budget, with which limit.
    pub budget: Text,
    /// In which window.
    pub window: Micros,
    /// At which share, in millionths.
    pub millionths: u32,
}

impl Shared {
    /// The alert's id, the same on all replicas: one may tell of its beginning and another of its end.
    fn id(&self) -> String {
        let (window, share) = (self.window.to_string(), self.millionths.to_string());
        hex(&hash("alert", &[&*self.budget, &window, &share]))[..32].to_owned()
    }
}

/// One alert, from its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Which.
    pub id: String,
    /// `budget`, `error_rate`, `provider_down` or `latency`.
    pub kind: &'static str,
    /// Of what.
    pub name: String,
    /// Why it fired.
    pub cause: String,
    /// When it fired, in microseconds.
    pub fired_at: i64,
    /// When it was over, in microseconds.
    pub resolved_at: Option<i64>,
    /// How things stood then.
    pub resolution: Option<String>,
    /// What stands for it in the store.
    pub shared: Option<Shared>,
}

impl Alert {
    /// As the admin API shows it, and as webhooks get it.
    pub fn shown(&self) -> Value {
        let time =
            |at: i64| jiff::Timestamp::from_microsecond(at).map(|at| at.to_string()).unwrap_or_default();
        json!({
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "status": if self.resolved_at.is_some() { "resolved" } else { "firing" },
            "cause": self.cause,
            "resolution": self.resolution,
            "fired_at": time(self.fired_at),
            "resolved_at": self.resolved_at.map(time),
        })
    }

    /// In one line, for people.
    pub fn text(&self) -> String {
        let (word, why) = match &self.resolution {
            Some(resolution) => ("Resolved", resolution),
            None => ("Firing", &self.cause),
        };
        format!("{word}: {} of {}: {why}", self.kind, self.name)
    }
}

/// The kind and the name of what is watched.
type Key = (&'static str, String);

/// All alerts.
#[derive(Default)]
pub struct Board {
    firing: BTreeMap<Key, Alert>,
    over: VecDeque<Alert>,
}

impl Board {
    /// Takes all readings of now. Returns what ended and what began by them: each once.
    pub fn take(&mut self, readings: Vec<Reading>, now: i64) -> Vec<Alert> {
        let mut changed = Vec::new();
        let seen: BTreeSet<Key> =
            readings.iter().map(|reading| (reading.kind, reading.name.clone())).collect();
        let gone: Vec<Key> = self.firing.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            changed.extend(self.resolve(&key, "it is not watched any more".to_owned(), now));
        }
        for reading in readings {
            let key = (reading.kind, reading.name.clone());
            let Some(wrong) = reading.wrong else { continue };
            let before = self.firing.get(&key);
            // The next window, or another limit: what was told of is over, even if as much is spent again.
            let same = before.is_some_and(|alert| alert.shared == reading.shared);
            if before.is_some() && !(wrong && same) {
                changed.extend(self.resolve(&key, reading.cause.clone(), now));
            }
            if wrong && !same {
                let Reading { kind, name, cause, shared, .. } = reading;
                let unique = || uuid::Uuid::now_v7().to_string();
                let id = shared.as_ref().map_or_else(unique, Shared::id);
                let (resolved_at, resolution) = (None, None);
                let alert = Alert { id, kind, name, cause, fired_at: now, resolved_at, resolution, shared };
                changed.push(alert.clone());
                self.firing.insert(key, alert);
            }
        }
        changed
    }

    fn resolve(&mut self, key: &Key, resolution: String, now: i64) -> Option<Alert> {
        let mut alert = self.firing.remove(key)?;
        (alert.resolved_at, alert.resolution) = (Some(now), Some(resolution));
        self.over.push_front(alert.clone());
        self.over.truncate(KEPT);
        Some(alert)
    }

    /// Those that fire, then those that are over, latest first.
    pub fn list(&self) -> Vec<Value> {
        self.firing.values().chain(&self.over).map(Alert::shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wrong: Option<bool>) -> Vec<Reading> {
        vec![Reading {
            kind: "error_rate",
            name: "openai".into(),
            wrong,
            cause: "half of 40 attempts failed".into(),
            shared: None,
        }]
    }

    fn share(wrong: bool, budget: &str, window: Micros) -> Vec<Reading> {
        let shared = Some(Shared { budget: budget.into(), window, millionths: 800_000 });
        let (name, cause) = ("key:ci per day at 80 %".into(), format!("window {window}"));
        vec![Reading { kind: "budget", name, wrong: Some(wrong), cause, shared }]
    }

    #[test]
    fn a_share_ends_with_its_window_and_with_its_limit_and_may_fire_again_in_the_next() {
        let mut board = Board::default();
        let told = |alerts: Vec<Alert>| {
            let told =
                alerts.into_iter().map(|alert| (alert.resolved_at.is_some(), alert.shared.unwrap().window));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(board.take(share(true, "ci@10", 1), 1)), [(false, 1)]);
        assert_eq!(told(board.take(share(true, "ci@10", 1), 2)), []);
        assert_eq!(
            told(board.take(share(true, "ci@10", 2), 3)),
            [(true, 1), (false, 2)],
            "the next is spent, too"
        );
        assert_eq!(told(board.take(share(true, "ci@20", 2), 4)), [(true, 2), (false, 2)], "another limit");
        let over = board.take(share(false, "ci@20", 3), 5);
        assert_eq!(over[0].resolution.as_deref(), Some("window 3"));
        assert!(over[0].text().starts_with("Resolved: budget of key:ci per day at 80 %: window 3"));
        board.take(share(true, "ci@20", 3), 6);
        let gone = board.take(Vec::new(), 7);
        assert_eq!(gone[0].resolution.as_deref(), Some("it is not watched any more"));
    }

    #[test]
    fn an_alert_fires_once_and_resolves_once() {
        let mut board = Board::default();
        assert!(board.take(reading(Some(false)), 1).is_empty());
        let fired = board.take(reading(Some(true)), 2);
        assert_eq!((fired.len(), fired[0].resolved_at), (1, None));
        assert!(board.take(reading(Some(true)), 3).is_empty());
        // Too little to say: what holds goes on.
        assert!(board.take(reading(None), 4).is_empty());
        let resolved = board.take(reading(Some(false)), 5);
        assert_eq!((resolved.len(), resolved[0].resolved_at, &resolved[0].id), (1, Some(5), &fired[0].id));
        assert!(board.take(reading(Some(false)), 6).is_empty());
        assert_eq!(board.take(reading(Some(true)), 7).len(), 1);
        let list = board.list();
        assert_eq!(
            (list[0]["status"].as_str(), list[1]["status"].as_str()),
            (Some("firing"), Some("resolved"))
        );
    }

    #[test]
    fn what_is_over_is_forgotten_in_the_end() {
        let mut board = Board::default();
        for round in 0..2000 {
            board.take(reading(Some(round % 2 == 0)), round);
        }
        assert_eq!(board.list().len(), KEPT);
    }
}
