//! What can go wrong with a database, told apart by what to do about it.

use weir_ledger::{Fault, StoreError};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store.
    #[error("`store.url` must be `sqlite://PATH` or `postgres://…`")]
    Url,
    /// The database has a schema that this program is too old for.
    #[error(
        "the database was written by a newer weir (its schema is {found}, this one knows {known}): install that version again, or restore a backup from before"
    )]
    Newer {
        /// The schema that the database has.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The database can't be used now; trying again may help.
    #[error("cannot open the store")]
    Unavailable(#[source] Cause),
}

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

impl OpenError {
    pub(crate) fn unavailable(cause: impl Into<Cause>) -> OpenError {
        OpenError::Unavailable(cause.into())
    }
}

pub(crate) fn unavailable(doing: &'static str, cause: impl Into<Cause>) -> StoreError {
    StoreError { doing, fault: Fault::Unavailable, cause: cause.into() }
}

/// Whether the database refuses these rows for what they are, or is merely unwell.
pub(crate) fn failed(doing: &'static str, error: sqlx::Error) -> StoreError {
    let rejected = match &error {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| rejects(&code)),
        sqlx::Error::Encode(_) => true,
        _ => false,
    };
    let fault = if rejected { Fault::Rejected } else { Fault::Unavailable };
    StoreError { doing, fault, cause: error.into() }
}

/// Postgres: data exceptions (22…) and integrity violations (23…). SQLite: too big, constraint, mismatch, with their
/// extended codes.
fn rejects(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 18..=20),
        _ => code.len() == 5 && (code.starts_with("22") || code.starts_with("23")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bad_rows_are_rejected() {
        for (code, expected) in
            [("22003", true), ("23502", true), ("40001", false), ("57014", false), ("08006", false)]
        {
            assert_eq!(rejects(code), expected, "Postgres {code}");
        }
        for (code, expected) in
            [("19", true), ("3091", true), ("5", false), ("13", false), ("1", false), ("517", false)]
        {
            assert_eq!(rejects(code), expected, "SQLite {code}");
        }
    }
}
