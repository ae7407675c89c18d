//! What is wrong with a file, where, and what to change.

use std::error::Error;
use std::fmt;

use crate::path::KeyPath;

/// A place in a file, both numbers counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// One thing wrong with a file. Prints as `weir.yaml:3:5: unknown key …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it. Empty where no file is to blame (a variable, the defaults).
    pub file: String,
    /// Where in the file, if that is known.
    pub location: Option<Location>,
    /// Which value. Empty for the file as a whole.
    pub path: KeyPath,
    /// What is wrong and what to change; lowercase, no full stop, without any secret.
    pub message: String,
}

impl Problem {
    /// A problem with a value of which only the path is known; loading adds file and place.
    pub fn at(path: KeyPath, message: impl Into<String>) -> Self {
        Self { file: String::new(), location: None, path, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if let Some(Location { line, column }) = self.location {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything found wrong with a configuration, in the order of the file.
///
/// Never empty. Prints one problem a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, at least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Sorts the problems as they stand in the file, problems without a place last.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.location.is_none(), problem.location));
        Self { problems }
    }

    pub(crate) fn one(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}
