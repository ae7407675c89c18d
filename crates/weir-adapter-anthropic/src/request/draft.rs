//! What a translation remembers beside the body.

use serde_json::{Map, Value};

use crate::rules::Rules;

/// How many cache markers Anthropic takes.
const MARKERS: usize = 4;

/// What a translation remembers beside the body.
pub(super) struct Draft<'d> {
    pub(super) rules: Rules<'d>,
    /// What the provider can't honour, as JSON paths of the client's body.
    pub(super) dropped: Vec<String>,
    /// Betas that what is sent needs.
    pub(super) betas: Vec<&'d str>,
    markers: usize,
}

impl<'d> Draft<'d> {
    pub(super) fn new(rules: Rules<'d>) -> Draft<'d> {
        Draft { rules, dropped: Vec::new(), betas: Vec::new(), markers: 0 }
    }

    /// Reports what is left out, once.
    pub(super) fn drop(&mut self, path: impl Into<String>) {
        let path = path.into();
        if !self.dropped.contains(&path) {
            self.dropped.push(path);
        }
    }

    /// A cache marker, unless there are too many.
    pub(super) fn marker(&mut self, marker: Option<&Value>, path: &str) -> Option<Value> {
        let marker = marker.filter(|marker| !marker.is_null())?;
        if self.markers == MARKERS || !marker.is_object() {
            self.drop(path);
            return None;
        }
        self.markers += 1;
        Some(marker.clone())
    }

    /// Puts a cache marker on a block.
    pub(super) fn mark(&mut self, block: &mut Map<String, Value>, marker: Option<&Value>, path: &str) {
        if let Some(marker) = self.marker(marker, path) {
            block.insert("cache_control".to_owned(), marker);
        }
    }

    /// Counts the marker that a block brings along, and takes it off where it is one too many.
    pub(super) fn count_marker(&mut self, block: &mut Map<String, Value>, path: &str) {
        if let Some(marker) = block.get("cache_control").cloned()
            && !marker.is_null()
            && self.marker(Some(&marker), &format!("{path}.cache_control")).is_none()
        {
            block.remove("cache_control");
        }
    }

    /// Asks for the beta that this thing needs, where the descriptor names one.
    pub(super) fn need_beta(&mut self, name: &str) {
        if let Some(beta) = self.rules.fact(&format!("beta.{name}"))
            && !self.betas.contains(&beta)
        {
            self.betas.push(beta);
        }
    }
}
