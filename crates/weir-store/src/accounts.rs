//! Accounts in SQL: the same statements on both databases, each change in a transaction of its own.

use std::future::Future;

use weir_ledger::accounts::{
    Account, Accounts, AuditEntry, Change, Changed, Kind, REPEATABLE_FOR, Repeatable, Slice,
};
use weir_ledger::key::KeyHash;
use weir_ledger::{Micros, StoreError};

use crate::error;
use crate::query::{Arg, Database};
use crate::rows::{Columns, Take};

const ACCOUNT: &str = "\"kind\", \"id\", \"name\", \"hash\", \"body\", \"created_at\", \"updated_at\", \"removed_at\", \"version\"";
const ENTRY: &str =
    "\"id\", \"at\", \"actor\", \"action\", \"kind\", \"object_id\", \"name\", \"before\", \"after\"";

/// Where Postgres tells of changes.
pub(crate) const CHANNEL: &str = "weir_accounts";

/// A connection within a transaction.
pub(crate) trait Session: Send {
    type Row: Columns + Send;
    /// What tells other processes of a change, if anything does.
    const NOTIFY: Option<&'static str>;

    /// The rows that answer `sql`.
    fn ask(
        &mut self,
        sql: String,
        args: Vec<Arg>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;
}

// === reading ===

pub(crate) async fn all<D: Database>(db: &D) -> Result<Accounts, StoreError> {
    let doing = "read the accounts";
    let columns = ACCOUNT.replace("\"version\"", "a.\"version\"");
    // One statement sees one moment; the counter stands in each row, and alone where there is no account.
    let sql = format!(
        "SELECT v.\"version\", CAST(EXISTS (SELECT 1 FROM accounts WHERE \"kind\" = 'key') AS INTEGER) + v.\"version\" * 0, {columns} \
         FROM accounts_version v LEFT JOIN accounts a ON a.\"removed_at\" IS NULL ORDER BY \"id\""
    );
    let rows = db.ask(doing, sql, Vec::new()).await?;
    let mut accounts = Accounts::default();
    let mut read = |row: &D::Row| -> Result<(), sqlx::Error> {
        let mut take = Take::new(row);
        accounts.version = take.int()?;
        accounts.any_key = take.int()? > 0;
        if row.text(2)?.is_some() {
            accounts.live.push(account(&mut take)?);
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut read).map_err(|cause| error::failed(doing, cause))?;
    Ok(accounts)
}

pub(crate) async fn version<D: Database>(db: &D) -> Result<i64, StoreError> {
    let doing = "read the accounts' version";
    let rows = db.ask(doing, "SELECT \"version\" FROM accounts_version".into(), Vec::new()).await?;
    let read = rows.first().map_or(Ok(0), |row| Take::new(row).int());
    read.map_err(|cause| error::failed(doing, cause))
}

pub(crate) async fn one<D: Database>(db: &D, kind: Kind, id: &str) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {ACCOUNT} FROM accounts WHERE \"kind\" = $1 AND \"id\" = $2");
    let found = accounts_of(db, "read an account", sql, vec![text(kind.name()), text(id)]).await?;
    Ok(found.into_iter().next())
}

pub(crate) async fn list<D: Database>(db: &D, kind: Kind, slice: &Slice) -> Result<Vec<Account>, StoreError> {
    let live = if kind == Kind::Key { "" } else { " AND \"removed_at\" IS NULL" };
    let sql = format!(
        "SELECT {ACCOUNT} FROM accounts WHERE \"kind\" = $1 AND \"id\" > $2{live} ORDER BY \"id\" LIMIT $3"
    );
    let beyond = text(slice.beyond.as_deref().unwrap_or(""));
    accounts_of(db, "list accounts", sql, vec![text(kind.name()), beyond, Arg::Int(limit(slice))]).await
}

async fn accounts_of<D: Database>(
    db: &D,
    doing: &'static str,
    sql: String,
    args: Vec<Arg>,
) -> Result<Vec<Account>, StoreError> {
    let rows = db.ask(doing, sql, args).await?;
    let read = rows.iter().map(|row| account(&mut Take::new(row))).collect::<Result<_, _>>();
    read.map_err(|cause| error::failed(doing, cause))
}

pub(crate) async fn audit<D: Database>(db: &D, slice: &Slice) -> Result<Vec<AuditEntry>, StoreError> {
    let doing = "read the log of changes";
    let (condition, mut args) = match &slice.beyond {
        None => ("", Vec::new()),
        Some(id) => (" WHERE \"id\" < $2", vec![text(id)]),
    };
    args.insert(0, Arg::Int(limit(slice)));
    let sql = format!("SELECT {ENTRY} FROM audit{condition} ORDER BY \"id\" DESC LIMIT $1");
    let rows = db.ask(doing, sql, args).await?;
    let read = rows.iter().map(|row| entry(&mut Take::new(row))).collect::<Result<_, _>>();
    read.map_err(|cause| error::failed(doing, cause))
}

pub(crate) async fn repeatable<D: Database>(
    db: &D,
    id: &str,
    now: Micros,
) -> Result<Option<Repeatable>, StoreError> {
    let doing = "look up a repeated request";
    let rows = db.ask(doing, REPEATED.into(), vec![text(id), Arg::Int(now - REPEATABLE_FOR)]).await?;
    let read = rows.first().map(|row| repeated(&mut Take::new(row))).transpose();
    read.map_err(|cause| error::failed(doing, cause))
}

const REPEATED: &str =
    "SELECT \"id\", \"digest\", \"answer\", \"at\" FROM repeatable WHERE \"id\" = $1 AND \"at\" > $2";

fn limit(slice: &Slice) -> i64 {
    i64::from(slice.limit.clamp(1, 1_001))
}

fn text(text: &str) -> Arg {
    Arg::Text(text.to_owned())
}

fn maybe(text: Option<&str>) -> Arg {
    Arg::MaybeText(text.map(str::to_owned))
}

fn strange(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

fn kind_of(word: &str) -> Result<Kind, sqlx::Error> {
    Kind::from_name(word).ok_or_else(|| strange("an unknown kind of account"))
}

fn account<R: Columns>(take: &mut Take<'_, R>) -> Result<Account, sqlx::Error> {
    let kind = kind_of(&take.string()?)?;
    let (id, name) = (take.string()?, take.string()?);
    let hash = take.opt_string()?.map(|hex| KeyHash::from_hex(&hex).ok_or_else(|| strange("not a hash")));
    Ok(Account {
        kind,
        id,
        name,
        hash: hash.transpose()?,
        body: take.string()?,
        created_at: take.int()?,
        updated_at: take.int()?,
        removed_at: take.opt_int()?,
        version: take.int()?,
    })
}

fn entry<R: Columns>(take: &mut Take<'_, R>) -> Result<AuditEntry, sqlx::Error> {
    Ok(AuditEntry {
        id: take.string()?,
        at: take.int()?,
        actor: take.string()?,
        action: take.string()?,
        kind: kind_of(&take.string()?)?,
        object_id: take.string()?,
        name: take.string()?,
        before: take.opt_string()?,
        after: take.opt_string()?,
    })
}

fn repeated<R: Columns>(take: &mut Take<'_, R>) -> Result<Repeatable, sqlx::Error> {
    Ok(Repeatable { id: take.string()?, digest: take.string()?, answer: take.string()?, at: take.int()? })
}

// === writing ===

/// Makes a change within a transaction, which is to be committed only if the answer is [`Changed::Done`].
pub(crate) async fn change_on<S: Session>(session: &mut S, change: &Change) -> Result<Changed, sqlx::Error> {
    // First, so that whoever comes second waits here, and sees all that the first has done.
    let counted = "UPDATE accounts_version SET \"version\" = \"version\" + 1 RETURNING \"version\"";
    let counted = session.ask(counted.into(), Vec::new()).await?;
    let version = counted.first().map_or_else(|| Err(strange("no counter")), |row| Take::new(row).int())?;
    if let Some(request) = &change.repeatable {
        let past = request.at - REPEATABLE_FOR;
        let found = session.ask(REPEATED.into(), vec![text(&request.id), Arg::Int(past)]).await?;
        if let Some(row) = found.first() {
            return Ok(Changed::Repeated(repeated(&mut Take::new(row))?));
        }
    }
    if let Some(taken) = taken(session, &change.account).await? {
        return Ok(taken);
    }
    if !put(session, change, version).await? {
        return Ok(Changed::Stale);
    }
    log(session, &change.entry).await?;
    if let Some(request) = &change.repeatable {
        keep(session, request).await?;
    }
    if let Some(notify) = S::NOTIFY {
        session.ask(notify.into(), vec![text(CHANNEL), text(&version.to_string())]).await?;
    }
    Ok(Changed::Done(version))
}

async fn taken<S: Session>(session: &mut S, account: &Account) -> Result<Option<Changed>, sqlx::Error> {
    if account.removed_at.is_some() {
        return Ok(None);
    }
    let own = "\"removed_at\" IS NULL AND NOT (\"kind\" = $1 AND \"id\" = $2)";
    let args = || vec![text(account.kind.name()), text(&account.id)];
    let sql = format!("SELECT \"id\" FROM accounts WHERE \"kind\" = $1 AND \"name\" = $3 AND {own}");
    if !session.ask(sql, [args(), vec![text(&account.name)]].concat()).await?.is_empty() {
        return Ok(Some(Changed::NameTaken));
    }
    let Some(hash) = account.hash else { return Ok(None) };
    let sql = format!("SELECT \"id\" FROM accounts WHERE \"hash\" = $3 AND {own}");
    let found = session.ask(sql, [args(), vec![text(&hash.to_hex())]].concat()).await?;
    Ok(if found.is_empty() { None } else { Some(Changed::HashTaken) })
}

/// Whether it could be written: a change of what somebody else has changed can't.
async fn put<S: Session>(session: &mut S, change: &Change, version: i64) -> Result<bool, sqlx::Error> {
    let account = &change.account;
    let hash = account.hash.map(|hash| hash.to_hex());
    let mut args = vec![
        text(account.kind.name()),
        text(&account.id),
        text(&account.name),
        maybe(hash.as_deref()),
        text(&account.body),
        Arg::Int(account.created_at),
        Arg::Int(account.updated_at),
        Arg::MaybeInt(account.removed_at),
        Arg::Int(version),
    ];
    let sql = match change.replaces {
        None => format!(
            "INSERT INTO accounts ({ACCOUNT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING \"id\""
        ),
        Some(replaced) => {
            args.push(Arg::Int(replaced));
            "UPDATE accounts SET \"name\" = $3, \"hash\" = $4, \"body\" = $5, \"created_at\" = $6, \"updated_at\" = $7, \
             \"removed_at\" = $8, \"version\" = $9 WHERE \"kind\" = $1 AND \"id\" = $2 AND \"version\" = $10 RETURNING \"id\""
                .to_owned()
        }
    };
    Ok(!session.ask(sql, args).await?.is_empty())
}

async fn log<S: Session>(session: &mut S, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    let sql = format!("INSERT INTO audit ({ENTRY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let args = vec![
        text(&entry.id),
        Arg::Int(entry.at),
        text(&entry.actor),
        text(&entry.action),
        text(entry.kind.name()),
        text(&entry.object_id),
        text(&entry.name),
        maybe(entry.before.as_deref()),
        maybe(entry.after.as_deref()),
    ];
    session.ask(sql, args).await.map(drop)
}

async fn keep<S: Session>(session: &mut S, request: &Repeatable) -> Result<(), sqlx::Error> {
    let old = "DELETE FROM repeatable WHERE \"at\" <= $1";
    session.ask(old.into(), vec![Arg::Int(request.at - REPEATABLE_FOR)]).await?;
    let sql = "INSERT INTO repeatable (\"id\", \"digest\", \"answer\", \"at\") VALUES ($1, $2, $3, $4)";
    let args = vec![text(&request.id), text(&request.digest), text(&request.answer), Arg::Int(request.at)];
    session.ask(sql.into(), args).await.map(drop)
}
