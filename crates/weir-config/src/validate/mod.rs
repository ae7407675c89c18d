//! What types can't check: that names exist, that nothing is doubled, that numbers make sense together.

mod access;
mod alerts;
mod budgets;
mod limits;
mod models;
mod providers;
mod server;

use crate::config::Config;
use crate::path::KeyPath;
use crate::problem::Problem;
use crate::yaml::{Document, Node, Value};

/// A problem with a configuration that reads well.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    problem: Problem,
    /// Sections that it rests on beside its own: what was taken out of them may have caused it.
    rests_on: Vec<KeyPath>,
}

impl Finding {
    /// Whether nothing that was taken out of the file can have caused it.
    pub(crate) fn is_certain(&self, document: &Document) -> bool {
        let path = &self.problem.path;
        let parent = path.parent().unwrap_or_default();
        let direct = document.root.find(&parent.0).is_none_or(|node| !node.removed && !node.has_gaps());
        let whole = |path: &KeyPath| document.root.find(&path.0).is_none_or(is_whole);
        direct && whole(path) && self.rests_on.iter().all(whole)
    }
}

impl From<Finding> for Problem {
    fn from(finding: Finding) -> Self {
        finding.problem
    }
}

fn is_whole(node: &Node) -> bool {
    !node.removed
        && match &node.value {
            Value::Map(entries) => entries.iter().all(|entry| is_whole(&entry.node)),
            Value::List(nodes) => nodes.iter().all(is_whole),
            Value::Null | Value::Scalar(_) => true,
        }
}

/// Collects what is found.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// A problem with one value.
    fn add(&mut self, path: KeyPath, message: impl AsRef<str>) {
        self.add_resting_on(path, message, []);
    }

    /// A problem with one value that also depends on other sections.
    fn add_resting_on<const N: usize>(
        &mut self,
        path: KeyPath,
        message: impl AsRef<str>,
        sections: [&str; N],
    ) {
        let message = format!("{path}: {}", message.as_ref());
        let rests_on = sections.into_iter().map(|section| KeyPath::from([section])).collect();
        self.0.push(Finding { problem: Problem::at(path, message), rests_on });
    }
}

/// Everything that makes no sense, in the order of the sections.
pub(crate) fn validate(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::default();
    server::check(config, &mut findings);
    providers::check(config, &mut findings);
    models::check(config, &mut findings);
    access::check(config, &mut findings);
    budgets::check(config, &mut findings);
    limits::check(config, &mut findings);
    alerts::check(config, &mut findings);
    findings.0
}
