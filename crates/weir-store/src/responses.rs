//! Kept answers in SQL: the same statements on both databases.

use weir_ledger::Micros;
use weir_ledger::responses::{KeptResponse, MAX_CHAIN};

use crate::query::Arg;
use crate::rows::{Columns, Take};

const COLUMNS: &str = "\"owner\", \"id\", \"previous\", \"created_at\", \"expires_at\", \"input\", \"body\"";

/// A statement and its arguments.
pub(crate) type Asked = (String, Vec<Arg>);

fn text(text: &str) -> Arg {
    Arg::Text(text.to_owned())
}

pub(crate) fn keep(response: &KeptResponse) -> Asked {
    let sql = format!(
        "INSERT INTO responses ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"
    );
    let args = vec![
        text(&response.owner),
        text(&response.id),
        Arg::MaybeText(response.previous.clone()),
        Arg::Int(response.created_at),
        Arg::Int(response.expires_at),
        text(&response.input),
        text(&response.body),
    ];
    (sql, args)
}

/// Forgets some that have expired: few enough to be quick, more than come in.
pub(crate) fn sweep(now: Micros) -> Asked {
    let some = "SELECT \"owner\", \"id\" FROM responses WHERE \"expires_at\" <= $1 LIMIT 20";
    (format!("DELETE FROM responses WHERE (\"owner\", \"id\") IN ({some})"), vec![Arg::Int(now)])
}

pub(crate) fn forget(owner: &str, id: &str) -> Asked {
    let sql = "DELETE FROM responses WHERE \"owner\" = $1 AND \"id\" = $2 RETURNING \"id\"";
    (sql.to_owned(), vec![text(owner), text(id)])
}

pub(crate) fn chain(owner: &str, id: &str, now: Micros) -> Asked {
    let sql = format!(
        "WITH RECURSIVE chain AS (\
         SELECT {COLUMNS}, 0 AS depth FROM responses WHERE \"owner\" = $1 AND \"id\" = $2 AND \"expires_at\" > $3 \
         UNION ALL SELECT r.\"owner\", r.\"id\", r.\"previous\", r.\"created_at\", r.\"expires_at\", r.\"input\", r.\"body\", c.depth + 1 \
         FROM responses r JOIN chain c ON r.\"owner\" = c.\"owner\" AND r.\"id\" = c.\"previous\" \
         WHERE r.\"expires_at\" > $3 AND c.depth < {MAX_CHAIN}\
         ) SELECT {COLUMNS} FROM chain ORDER BY depth DESC"
    );
    (sql, vec![text(owner), text(id), Arg::Int(now)])
}

pub(crate) fn read<R: Columns>(rows: &[R]) -> Result<Vec<KeptResponse>, sqlx::Error> {
    let one = |row| {
        let mut take = Take::new(row);
        Ok(KeptResponse {
            owner: take.string()?,
            id: take.string()?,
            previous: take.opt_string()?,
            created_at: take.int()?,
            expires_at: take.int()?,
            input: take.string()?,
            body: take.string()?,
        })
    };
    rows.iter().map(one).collect()
}
