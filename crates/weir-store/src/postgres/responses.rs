//! Kept answers in Postgres.

use weir_ledger::responses::{KeptResponse, ResponseStore};
use weir_ledger::{Answer, Micros};

use super::PostgresStore;
use crate::query::Database;
use crate::{error, responses};

impl ResponseStore for PostgresStore {
    fn keep<'a>(&'a self, response: &'a KeptResponse) -> Answer<'a, ()> {
        Box::pin(async {
            let (sql, args) = responses::keep(response);
            self.ask("keep an answer", sql, args).await?;
            let (sql, args) = responses::sweep(response.created_at);
            self.ask("forget old answers", sql, args).await.map(drop)
        })
    }

    fn chain<'a>(&'a self, owner: &'a str, id: &'a str, now: Micros) -> Answer<'a, Vec<KeptResponse>> {
        Box::pin(async move {
            let (doing, (sql, args)) = ("look up an answer", responses::chain(owner, id, now));
            responses::read(&self.ask(doing, sql, args).await?).map_err(|cause| error::failed(doing, cause))
        })
    }

    fn forget<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let (sql, args) = responses::forget(owner, id);
            Ok(!self.ask("forget an answer", sql, args).await?.is_empty())
        })
    }
}
