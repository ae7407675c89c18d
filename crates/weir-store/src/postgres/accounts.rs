//! Accounts in Postgres, and a connection that listens for their changes.

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions, PgRow};
use weir_ledger::accounts::{
    Account, AccountStore, Accounts, AuditEntry, Change, Changed, Kind, Notices, Repeatable, Slice,
};
use weir_ledger::{Answer, Micros, StoreError};

use super::{PostgresStore, statement};
use crate::accounts::{self, CHANNEL, Session};
use crate::error;
use crate::query::Arg;

impl Session for PgConnection {
    type Row = PgRow;
    const NOTIFY: Option<&'static str> = Some("SELECT pg_notify($1, $2)::text");

    async fn ask(&mut self, sql: String, args: Vec<Arg>) -> Result<Vec<PgRow>, sqlx::Error> {
        statement(sql, args).fetch_all(self).await
    }
}

/// A connection of its own that hears of changes.
struct Listening(PgListener);

impl Notices for Listening {
    fn next(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            let doing = "listen for changes";
            match self.0.try_recv().await {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(error::unavailable(doing, "the connection was lost")),
                Err(cause) => Err(error::failed(doing, cause)),
            }
        })
    }
}

impl PostgresStore {
    async fn make_change(&self, change: &Change) -> Result<Changed, StoreError> {
        let doing = "change an account";
        let mut connection = self.connection(doing).await?;
        let result = tokio::time::timeout(self.options.statement, on(&mut connection, change)).await;
        Self::settle(doing, connection, result)
    }

    async fn listen(&self) -> Result<Listening, StoreError> {
        let doing = "listen for changes";
        self.ready().await.map_err(|cause| error::unavailable(doing, cause))?;
        // Not one of the pool's connections, which have more urgent things to do.
        let own = PgPoolOptions::new().max_connections(1).acquire_timeout(self.options.connect);
        let own = own.connect_lazy_with((*self.pool.connect_options()).clone());
        let work = async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let listener = tokio::time::timeout(self.options.connect, work).await;
        let listener = listener.map_err(|elapsed| error::unavailable(doing, elapsed))?;
        Ok(Listening(listener.map_err(|cause| error::failed(doing, cause))?))
    }
}

async fn on(connection: &mut PgConnection, change: &Change) -> Result<Changed, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let changed = accounts::change_on(&mut *tx, change).await?;
    match changed {
        Changed::Done(_) => tx.commit().await?,
        _ => tx.rollback().await?,
    }
    Ok(changed)
}

impl AccountStore for PostgresStore {
    fn accounts(&self) -> Answer<'_, Accounts> {
        Box::pin(accounts::all(self))
    }

    fn version(&self) -> Answer<'_, i64> {
        Box::pin(accounts::version(self))
    }

    fn account<'a>(&'a self, kind: Kind, id: &'a str) -> Answer<'a, Option<Account>> {
        Box::pin(accounts::one(self, kind, id))
    }

    fn list<'a>(&'a self, kind: Kind, slice: &'a Slice) -> Answer<'a, Vec<Account>> {
        Box::pin(accounts::list(self, kind, slice))
    }

    fn change<'a>(&'a self, change: &'a Change) -> Answer<'a, Changed> {
        Box::pin(self.make_change(change))
    }

    fn repeatable<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Repeatable>> {
        Box::pin(accounts::repeatable(self, id, now))
    }

    fn audit<'a>(&'a self, slice: &'a Slice) -> Answer<'a, Vec<AuditEntry>> {
        Box::pin(accounts::audit(self, slice))
    }

    fn notices(&self) -> Answer<'_, Option<Box<dyn Notices>>> {
        Box::pin(async { Ok(Some(Box::new(self.listen().await?) as Box<dyn Notices>)) })
    }
}
