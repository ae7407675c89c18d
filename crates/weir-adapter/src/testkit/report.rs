//! Counts what ran, and says why the rest did not.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The result of a conformance test over many cases.
#[derive(Debug, Default)]
pub struct Report {
    title: String,
    passed: usize,
    failed: Vec<(String, String)>,
    left_out: Vec<(String, String)>,
}

impl Report {
    /// Nothing ran yet.
    pub fn new(title: impl Into<String>) -> Report {
        Report { title: title.into(), ..Report::default() }
    }

    /// A case ran.
    pub fn ran(&mut self, case: impl Into<String>, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(problem) => self.failed.push((case.into(), problem)),
        }
    }

    /// A case did not run.
    pub fn leave_out(&mut self, case: impl Into<String>, reason: impl Into<String>) {
        self.left_out.push((case.into(), reason.into()));
    }

    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Counts, then each case left out with its reason, then each failure.
    pub fn text(&self) -> String {
        let run = self.passed + self.failed.len();
        let mut text = format!(
            "{}: {run} run, {} passed, {} failed, {} left out\n",
            self.title,
            self.passed,
            self.failed.len(),
            self.left_out.len()
        );
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        self.left_out.iter().for_each(|(case, reason)| reasons.entry(reason).or_default().push(case));
        for (reason, cases) in reasons {
            let _ = writeln!(text, "  left out ({}): {reason}\n    {}", cases.len(), cases.join("\n    "));
        }
        for (case, problem) in &self.failed {
            let _ = writeln!(text, "  FAILED {case}: {problem}");
        }
        text
    }

    /// Prints the report.
    ///
    /// # Panics
    /// Where a case failed, or fewer than `least` passed.
    #[track_caller]
    pub fn finish(&self, least: usize) {
        println!("{}", self.text());
        assert!(
            self.failed.is_empty(),
            "{}: {} cases failed\n{}",
            self.title,
            self.failed.len(),
            self.text()
        );
        assert!(self.passed >= least, "{}: only {} cases passed, {least} should", self.title, self.passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_gives_reasons() {
        let mut report = Report::new("x");
        report.ran("a", Ok(()));
        report.leave_out("b", "not recorded");
        report.finish(1);
        assert!(report.text().starts_with("x: 1 run, 1 passed, 0 failed, 1 left out"));
        report.ran("c", Err("wrong".to_owned()));
        assert!(report.text().contains("FAILED c: wrong"));
        assert!(std::panic::catch_unwind(|| report.finish(1)).is_err());
    }
}
