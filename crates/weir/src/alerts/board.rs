//! What is wrong now, and what was: pure, so that each rule can be tested without a gateway.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

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
}

/// One alert, from its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Which: unique in this process.
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
            "fired_at": time(self.fired_at),
            "resolved_at": self.resolved_at.map(time),
        })
    }

    /// In one line, for people.
    pub fn text(&self) -> String {
        let word = if self.resolved_at.is_some() { "Resolved" } else { "Firing" };
        format!("{word}: {} of {}: {}", self.kind, self.name, self.cause)
    }
}

/// All alerts.
#[derive(Default)]
pub struct Board {
    firing: BTreeMap<(&'static str, String), Alert>,
    over: VecDeque<Alert>,
}

impl Board {
    /// Takes readings. Returns what began and what ended by them: each once.
    pub fn take(&mut self, readings: Vec<Reading>, now: i64) -> Vec<Alert> {
        let mut changed = Vec::new();
        for reading in readings {
            let key = (reading.kind, reading.name.clone());
            match (reading.wrong, self.firing.contains_key(&key)) {
                (Some(true), false) => {
                    let id = uuid::Uuid::now_v7().to_string();
                    let Reading { kind, name, cause, .. } = reading;
                    let alert = Alert { id, kind, name, cause, fired_at: now, resolved_at: None };
                    changed.push(alert.clone());
                    self.firing.insert(key, alert);
                }
                (Some(false), true) => {
                    let Some(mut alert) = self.firing.remove(&key) else { continue };
                    alert.resolved_at = Some(now);
                    changed.push(alert.clone());
                    self.over.push_front(alert);
                    self.over.truncate(KEPT);
                }
                _ => {}
            }
        }
        changed
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
        }]
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
