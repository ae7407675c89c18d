//! Rules that say what the next calls do, one after another: "the first two fail, then all is well".

use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;

/// A list of rules; the first that matches a call decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The rules, in order.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What the calls that match do, in the order they arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which calls.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// Words (see [`Behaviour`]) for the first call, the second, and so on.
    #[serde(default)]
    pub sequence: Vec<String>,
    /// Words for all calls after the sequence; empty: nothing special.
    #[serde(default)]
    pub then: String,
    /// Whether the sequence starts again at its end.
    #[serde(default)]
    pub repeat: bool,
}

/// Which calls a rule is for. What is not given matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The model, without its `+words`.
    #[serde(default)]
    pub model: Option<String>,
    /// A part of the path.
    #[serde(default)]
    pub path: Option<String>,
    /// A part of the body, as sent.
    #[serde(default)]
    pub contains: Option<String>,
}

impl Script {
    /// Reads a script from JSON: `{"rules": [{"match": {"model": "gpt-4o"}, "sequence": ["status=500"]}]}`.
    ///
    /// # Errors
    /// When it is not JSON of that shape, or a word is unknown.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let script: Self = serde_json::from_slice(text).map_err(|cause| cause.to_string())?;
        script.check()?;
        Ok(script)
    }

    /// Whether all words are known.
    ///
    /// # Errors
    /// The first unknown word.
    pub fn check(&self) -> Result<(), String> {
        for rule in &self.rules {
            for words in rule.sequence.iter().chain([&rule.then]) {
                Behaviour::parse(words)?;
            }
        }
        Ok(())
    }
}

/// A script and how far each rule has come.
#[derive(Debug, Default)]
pub(crate) struct Running {
    script: Script,
    used: Vec<usize>,
}

impl Running {
    pub(crate) fn new(script: Script) -> Self {
        let used = vec![0; script.rules.len()];
        Self { script, used }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.script.rules.is_empty()
    }

    /// The rules with the number of calls each had.
    pub(crate) fn report(&self) -> serde_json::Value {
        serde_json::json!({"rules": self.script.rules, "calls": self.used})
    }

    /// The words for a call, counting it.
    pub(crate) fn next(&mut self, model: &str, path: &str, body: &[u8]) -> Option<&str> {
        let position = self.script.rules.iter().position(|rule| rule.matching.matches(model, path, body))?;
        let rule = &self.script.rules[position];
        let turn = self.used[position];
        self.used[position] += 1;
        let turn = if rule.repeat && !rule.sequence.is_empty() { turn % rule.sequence.len() } else { turn };
        Some(rule.sequence.get(turn).unwrap_or(&rule.then))
    }
}

impl Match {
    fn matches(&self, model: &str, path: &str, body: &[u8]) -> bool {
        self.model.as_deref().is_none_or(|wanted| wanted == model)
            && self.path.as_deref().is_none_or(|part| path.contains(part))
            && self
                .contains
                .as_deref()
                .is_none_or(|part| memchr::memmem::find(body, part.as_bytes()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_runs_out_or_repeats() {
        let script = Script::from_json(
            br#"{"rules":[{"match":{"model":"a"},"sequence":["status=500","status=429"],"then":"json"},
                {"match":{"contains":"hey"},"sequence":["reset","ok"],"repeat":true}]}"#,
        )
        .unwrap();
        let mut running = Running::new(script);
        let mut words = |model: &str, body: &[u8]| running.next(model, "/v1", body).map(str::to_owned);
        assert_eq!(words("a", b""), Some("status=500".into()));
        assert_eq!(words("b", b"oh hey"), Some("reset".into()));
        assert_eq!(words("a", b""), Some("status=429".into()));
        assert_eq!(words("a", b""), Some("json".into()));
        assert_eq!(words("b", b"hey"), Some("ok".into()));
        assert_eq!(words("b", b"hey"), Some("reset".into()));
        assert_eq!(words("b", b"ho"), None);
    }

    #[test]
    fn unknown_words_and_fields_are_refused() {
        assert!(Script::from_json(br#"{"rules":[{"sequence":["statsu=500"]}]}"#).is_err());
        assert!(Script::from_json(br#"{"rules":[{"sequnce":[]}]}"#).is_err());
    }
}
