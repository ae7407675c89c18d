//! The schema's versions, embedded.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::error::OpenError;

const SQLITE: &[(i64, &str, &str)] = &[
    (1, "ledger", include_str!("../../../migrations/sqlite/0001_ledger.sql")),
    (2, "accounts", include_str!("../../../migrations/sqlite/0002_accounts.sql")),
    (3, "budgets", include_str!("../../../migrations/sqlite/0003_budgets.sql")),
    (6, "responses", include_str!("../../../migrations/sqlite/0006_responses.sql")),
    (7, "spend_by", include_str!("../../../migrations/sqlite/0007_spend_by.sql")),
    (8, "repeated_calls", include_str!("../../../migrations/sqlite/0008_repeated_calls.sql")),
    (9, "reach", include_str!("../../../migrations/sqlite/0009_reach.sql")),
    (10, "closed_days", include_str!("../../../migrations/sqlite/0010_closed_days.sql")),
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (1, "ledger", include_str!("../../../migrations/postgres/0001_ledger.sql")),
    (2, "accounts", include_str!("../../../migrations/postgres/0002_accounts.sql")),
    (3, "budgets", include_str!("../../../migrations/postgres/0003_budgets.sql")),
    (6, "responses", include_str!("../../../migrations/postgres/0006_responses.sql")),
    (7, "spend_by", include_str!("../../../migrations/postgres/0007_spend_by.sql")),
    (8, "repeated_calls", include_str!("../../../migrations/postgres/0008_repeated_calls.sql")),
    (9, "reach", include_str!("../../../migrations/postgres/0009_reach.sql")),
    (10, "closed_days", include_str!("../../../migrations/postgres/0010_closed_days.sql")),
];

/// The newest schema that this program knows.
pub(crate) const NEWEST: i64 = SQLITE[SQLITE.len() - 1].0;

pub(crate) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

pub(crate) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

fn migrator(files: &'static [(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = files.iter().map(|(version, name, sql)| {
        Migration::new(*version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    // What a newer program has added is none of this one's business, as long as it may work beside that.
    Migrator { migrations: migrations.collect(), ignore_missing: true, ..Migrator::DEFAULT }
}

/// Asks for the oldest schema whose programs work with a database.
pub(crate) const REACH: &str = "SELECT \"oldest\" FROM schema_reach";

/// Whether this program works with a database whose newest schema is `found` and that lets in programs from `oldest` on.
///
/// # Errors
/// [`OpenError::Newer`] where it does not.
pub(crate) fn admit(found: i64, oldest: Option<i64>) -> Result<(), OpenError> {
    match found > NEWEST && oldest.is_none_or(|oldest| oldest > NEWEST) {
        true => Err(OpenError::Newer { found, known: NEWEST }),
        false => Ok(()),
    }
}

/// What a failure to migrate means, `found` being the newest version that the database has.
pub(crate) fn failed(error: MigrateError, found: Option<i64>) -> OpenError {
    match found {
        Some(found) if found > NEWEST => OpenError::Newer { found, known: NEWEST },
        _ => OpenError::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables and columns of a file, and whether each must have a value. What fills a table from others comes last and
    /// is in each database's own words.
    fn outline(sql: &str) -> Vec<String> {
        // What fills or watches a table is said in each database's own way.
        let own = ["WITH ", "CREATE TRIGGER ", "CREATE FUNCTION "];
        let lines = sql.lines().take_while(|line| !own.iter().any(|word| line.starts_with(word)));
        let lines = lines.map(str::trim).filter(|line| !line.starts_with("--") && !line.is_empty());
        let plain = lines.map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            if name.starts_with('"') {
                format!("{name} {}", line.contains("NOT NULL"))
            } else {
                let plain = line.trim_end_matches(';').trim_end_matches("::text");
                plain.trim_end_matches(" STRICT, WITHOUT ROWID").trim_end_matches(" STRICT").to_owned()
            }
        });
        plain.collect()
    }

    #[test]
    fn both_schemas_mean_the_same() {
        assert_eq!(SQLITE.len(), POSTGRES.len());
        for (sqlite, postgres) in SQLITE.iter().zip(POSTGRES) {
            assert_eq!((sqlite.0, sqlite.1), (postgres.0, postgres.1));
            assert_eq!(outline(sqlite.2), outline(postgres.2));
            assert!(outline(sqlite.2).len() > 2);
        }
    }
}
