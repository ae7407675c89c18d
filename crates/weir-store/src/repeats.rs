//! Calls with an idempotency key in SQL: the same statements on both databases, each whole in itself.

use weir_ledger::repeats::{Claim, Claimed, REPEATS_FOR};
use weir_ledger::{Micros, StoreError};

use crate::error;
use crate::query::{Arg, Database};
use crate::rows::{Columns, Take};

fn text(text: &str) -> Arg {
    Arg::Text(text.to_owned())
}

/// Answers a row if the call is this process's to run. One that is too old is as none.
const CLAIM: &str = "INSERT INTO repeated_calls (\"id\", \"digest\", \"instance\", \"at\", \"beats\", \"ended\") \
    VALUES ($1, $2, $3, $4, 0, 0) ON CONFLICT (\"id\") DO UPDATE SET \"digest\" = excluded.\"digest\", \
    \"instance\" = excluded.\"instance\", \"at\" = excluded.\"at\", \"beats\" = 0, \"ended\" = 0, \"answer\" = NULL \
    WHERE repeated_calls.\"at\" <= $5 RETURNING \"id\"";
/// Forgets some that are too old: few enough to be quick, more than come in.
const SWEEP: &str = "DELETE FROM repeated_calls WHERE \"id\" IN \
    (SELECT \"id\" FROM repeated_calls WHERE \"at\" <= $1 LIMIT 500)";
const CLAIMED: &str = "SELECT \"digest\", \"instance\", \"beats\", \"ended\", \"answer\" FROM repeated_calls \
    WHERE \"id\" = $1 AND \"at\" > $2";
const BEAT: &str = "UPDATE repeated_calls SET \"beats\" = \"beats\" + 1 WHERE \"instance\" = $1 AND \"ended\" = 0 AND \"id\" IN";
const ANSWERED: &str = "UPDATE repeated_calls SET \"ended\" = 1, \"answer\" = $3 \
    WHERE \"id\" = $1 AND \"instance\" = $2 AND \"ended\" = 0";
const RELEASE: &str = "DELETE FROM repeated_calls WHERE \"id\" = $1 AND \"instance\" = $2 AND \"ended\" = 0";

pub(crate) async fn claim<D: Database>(db: &D, claim: &Claim) -> Result<Option<Claimed>, StoreError> {
    const DOING: &str = "claim a call";
    // Between the two statements it may be released.
    for _ in 0..3 {
        let (now, old) = (Arg::Int(claim.now), Arg::Int(claim.now - REPEATS_FOR));
        let args = vec![text(&claim.id), text(&claim.digest), text(&claim.instance), now, old];
        if !db.alter(DOING, CLAIM.to_owned(), args).await?.is_empty() {
            return Ok(None);
        }
        if let Some(claimed) = claimed(db, &claim.id, claim.now).await? {
            return Ok(Some(claimed));
        }
    }
    Err(error::unavailable(DOING, std::io::Error::other("others claim and release it all the time")))
}

pub(crate) async fn claimed<D: Database>(
    db: &D,
    id: &str,
    now: Micros,
) -> Result<Option<Claimed>, StoreError> {
    let doing = "look up a claimed call";
    let rows = db.ask(doing, CLAIMED.to_owned(), vec![text(id), Arg::Int(now - REPEATS_FOR)]).await?;
    let read = rows.first().map(read).transpose();
    read.map_err(|cause| error::failed(doing, cause))
}

fn read<R: Columns>(row: &R) -> Result<Claimed, sqlx::Error> {
    let mut take = Take::new(row);
    Ok(Claimed {
        digest: take.string()?,
        instance: take.string()?,
        beats: take.int()?,
        ended: take.int()? != 0,
        answer: take.opt_string()?,
    })
}

pub(crate) async fn beat<D: Database>(
    db: &D,
    instance: &str,
    ids: &[String],
    now: Micros,
) -> Result<(), StoreError> {
    const DOING: &str = "keep claimed calls";
    for ids in ids.chunks(100) {
        let places: Vec<_> = (0..ids.len()).map(|at| format!("${}", at + 2)).collect();
        let args = std::iter::once(text(instance)).chain(ids.iter().map(|id| text(id))).collect();
        db.alter(DOING, format!("{BEAT} ({})", places.join(", ")), args).await?;
    }
    db.alter(DOING, SWEEP.to_owned(), vec![Arg::Int(now - REPEATS_FOR)]).await.map(drop)
}

pub(crate) async fn answered<D: Database>(
    db: &D,
    id: &str,
    instance: &str,
    answer: Option<&str>,
) -> Result<(), StoreError> {
    let args = vec![text(id), text(instance), Arg::MaybeText(answer.map(str::to_owned))];
    db.alter("keep a call's answer", ANSWERED.to_owned(), args).await.map(drop)
}

pub(crate) async fn release<D: Database>(db: &D, id: &str, instance: &str) -> Result<(), StoreError> {
    db.alter("release a call", RELEASE.to_owned(), vec![text(id), text(instance)]).await.map(drop)
}

/// The trait for one of the stores: both do the same.
macro_rules! repeat_store {
    ($store:ty) => {
        impl RepeatStore for $store {
            fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<Claimed>> {
                Box::pin($crate::repeats::claim(self, claim))
            }

            fn claimed<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Claimed>> {
                Box::pin($crate::repeats::claimed(self, id, now))
            }

            fn beat<'a>(&'a self, instance: &'a str, ids: &'a [String], now: Micros) -> Answer<'a, ()> {
                Box::pin($crate::repeats::beat(self, instance, ids, now))
            }

            fn answered<'a>(
                &'a self,
                id: &'a str,
                instance: &'a str,
                answer: Option<&'a str>,
            ) -> Answer<'a, ()> {
                Box::pin($crate::repeats::answered(self, id, instance, answer))
            }

            fn release<'a>(&'a self, id: &'a str, instance: &'a str) -> Answer<'a, ()> {
                Box::pin($crate::repeats::release(self, id, instance))
            }
        }
    };
}

mod stores {
    use weir_ledger::repeats::{Claim, Claimed, RepeatStore};
    use weir_ledger::{Answer, Micros};

    use crate::{PostgresStore, SqliteStore};

    repeat_store!(SqliteStore);
    repeat_store!(PostgresStore);
}
