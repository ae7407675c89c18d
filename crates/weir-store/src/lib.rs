//! The SQL: the `Store` trait on Postgres and on SQLite.
//!
//! Two typed pools, one meaning: `rows` says once which columns a row has, `query` which questions are asked; `sqlite`
//! and `postgres` each say it in their own words. `suite` runs the same tests on both.
//!
//! Every answer comes within a bounded time. A connection that did not answer is thrown away, since nobody knows what
//! it is still doing; that is what lets the drain go on by itself once a hung server comes back.

mod accounts;
mod budgets;
mod closed;
mod error;
mod migrate;
mod postgres;
mod query;
mod recent;
mod repeats;
mod responses;
mod rollup;
mod rows;
mod spend;
mod sqlite;
#[cfg(test)]
mod suite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod totals;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_ledger::Store;

pub use error::OpenError;
pub use postgres::{PostgresOptions, PostgresStore};
pub use sqlite::SqliteStore;

/// Opens the store that `url` names: `sqlite://PATH`, where a relative path starts at `data_dir`, or `postgres://…`.
/// Brings its schema up to date.
///
/// A Postgres that can't be reached is [`OpenError::Unavailable`]; [`PostgresStore::lazy`] goes on without it.
pub async fn open(url: &str, data_dir: &Path) -> Result<Arc<dyn Store>, OpenError> {
    match Address::parse(url, data_dir)? {
        Address::Sqlite(path) => Ok(Arc::new(SqliteStore::open(&path).await?)),
        Address::Postgres => {
            let store = PostgresStore::lazy(url, PostgresOptions::default())?;
            store.ready().await?;
            Ok(Arc::new(store))
        }
    }
}

/// The Postgres store that `url` names, whether it can be reached now or not: it connects when first used.
pub fn later(url: &str, data_dir: &Path) -> Result<Arc<dyn Store>, OpenError> {
    match Address::parse(url, data_dir)? {
        Address::Sqlite(_) => Err(OpenError::Url),
        Address::Postgres => Ok(Arc::new(PostgresStore::lazy(url, PostgresOptions::default())?)),
    }
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres,
}

impl Address {
    /// What `url` names. A relative SQLite path starts at `data_dir`.
    pub fn parse(url: &str, data_dir: &Path) -> Result<Address, OpenError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Address::Postgres);
        }
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
        let path = path.map(|path| path.split('?').next().unwrap_or(path)).filter(|path| !path.is_empty());
        path.map(|path| Address::Sqlite(data_dir.join(path))).ok_or(OpenError::Url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let check = |url: &str| Address::parse(url, Path::new("/data")).ok();
        assert_eq!(check("sqlite://weir.db"), Some(Address::Sqlite("/data/weir.db".into())));
        assert_eq!(check("sqlite:///var/weir.db?mode=rwc"), Some(Address::Sqlite("/var/weir.db".into())));
        assert_eq!(check("postgresql://u@h/db"), Some(Address::Postgres));
        for url in ["", "sqlite://", "mysql://x", "weir.db"] {
            assert_eq!(check(url), None, "{url}");
        }
    }
}
