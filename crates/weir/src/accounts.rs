//! The store's accounts in this process: read at the start, followed while it runs, kept for a start without the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use weir_gateway::accounts::Book;
use weir_ledger::StoreError;
use weir_ledger::accounts::{Account, Accounts, Kind};
use weir_ledger::key::KeyHash;

use crate::app::App;
use crate::seal::Seal;

/// How often the counter is asked for where nobody tells of changes, or a notice was lost.
const EVERY: Duration = Duration::from_secs(2);
/// How long to wait before listening again.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the store's accounts until the gateway drains.
pub async fn watch(app: Arc<App>) {
    let told = Arc::new(Notify::new());
    let listener = tokio::spawn(listen(app.clone(), told.clone()));
    while !app.draining() {
        tokio::select! {
            () = told.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = follow(&app).await {
            tracing::debug!(%error, cause = %error.cause, "the accounts can't be read now");
        }
    }
    listener.abort();
}

/// Passes the store's notices on.
async fn listen(app: Arc<App>, told: Arc<Notify>) {
    loop {
        match app.ledger.store().accounts().notices().await {
            Ok(None) => return,
            Ok(Some(mut notices)) => {
                // What changed before somebody listened was told to nobody.
                told.notify_one();
                while notices.next().await.is_ok() {
                    told.notify_one();
                }
            }
            Err(error) => tracing::debug!(%error, cause = %error.cause, "no notices of changes now"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads the accounts if they are newer than those that are known.
async fn follow(app: &App) -> Result<(), StoreError> {
    let known = app.book().map(|book| book.version);
    if known.is_some() && known == Some(app.ledger.store().accounts().version().await?) {
        return Ok(());
    }
    refresh(app).await
}

/// Reads the accounts, and lets them act.
///
/// # Errors
/// A store that does not answer.
pub async fn refresh(app: &App) -> Result<(), StoreError> {
    let accounts = app.ledger.store().accounts().accounts().await?;
    if app.adopt(read(&accounts)) {
        app.keep(&accounts).await;
    }
    Ok(())
}

/// The book of these accounts.
pub fn read(accounts: &Accounts) -> Book {
    let (book, odd) = Book::read(accounts);
    if !odd.is_empty() {
        tracing::error!(accounts = odd.join(", "), "these accounts can't be read and do not hold");
    }
    book
}

/// The last accounts that were good, encrypted on the disk, for a start while the store can't be reached.
pub struct LastGood {
    file: PathBuf,
    seal: Seal,
}

impl LastGood {
    /// In the data folder, under this secret.
    pub fn new(data_dir: &Path, secret: &str) -> LastGood {
        LastGood { file: data_dir.join("weir.snapshot"), seal: Seal::new("weir snapshot", &[secret]) }
    }

    /// Writes them, whole or not at all.
    pub async fn write(&self, accounts: &Accounts) {
        let sealed = self.seal.seal(to_json(accounts).to_string().as_bytes());
        let new = self.file.with_extension("snapshot.new");
        let done = match tokio::fs::write(&new, sealed).await {
            Ok(()) => tokio::fs::rename(&new, &self.file).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(%error, file = %self.file.display(), "the last good accounts can't be kept");
        }
    }

    /// Reads them.
    ///
    /// # Errors
    /// Why not, for the log.
    pub async fn read(&self) -> Result<Accounts, String> {
        let file = self.file.display();
        let sealed = tokio::fs::read(&self.file).await.map_err(|error| format!("{file}: {error}"))?;
        let text = self.seal.open(&sealed);
        let text = text
            .ok_or_else(|| format!("{file} was written with another `store.snapshot_key`, or is damaged"))?;
        let value = serde_json::from_slice(&text).ok();
        value.as_ref().and_then(from_json).ok_or_else(|| format!("{file} was written by another version"))
    }
}

fn to_json(accounts: &Accounts) -> Value {
    let one = |account: &Account| {
        json!([
            account.kind,
            account.id,
            account.name,
            account.hash.map(|hash| hash.to_hex()),
            account.body,
            account.created_at,
            account.updated_at,
            account.version,
        ])
    };
    let live: Vec<Value> = accounts.live.iter().map(one).collect();
    json!({ "version": accounts.version, "any_key": accounts.any_key, "live": live })
}

fn from_json(value: &Value) -> Option<Accounts> {
    let one = |value: &Value| {
        let text = |at: usize| value[at].as_str().map(str::to_owned);
        Some(Account {
            kind: Kind::from_name(value[0].as_str()?)?,
            id: text(1)?,
            name: text(2)?,
            hash: value[3].as_str().and_then(KeyHash::from_hex),
            body: text(4)?,
            created_at: value[5].as_i64()?,
            updated_at: value[6].as_i64()?,
            removed_at: None,
            version: value[7].as_i64()?,
        })
    };
    Some(Accounts {
        version: value["version"].as_i64()?,
        any_key: value["any_key"].as_bool()?,
        live: value["live"].as_array()?.iter().map(one).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_good_accounts_come_back_only_with_their_secret() {
        let folder = tempfile::tempdir().unwrap();
        let key = Account {
            kind: Kind::Key,
            id: "1".into(),
            name: "ci".into(),
            hash: Some(KeyHash::of("k")),
            body: "{}".into(),
            created_at: 1,
            updated_at: 2,
            removed_at: None,
            version: 7,
        };
        let accounts = Accounts { version: 7, live: vec![key], any_key: true };
        let kept = LastGood::new(folder.path(), "secret");
        assert!(kept.read().await.is_err(), "there is none yet");
        kept.write(&accounts).await;
        assert_eq!(kept.read().await.unwrap(), accounts);
        assert!(LastGood::new(folder.path(), "other").read().await.unwrap_err().contains("snapshot_key"));
        let bytes = std::fs::read(folder.path().join("weir.snapshot")).unwrap();
        assert!(!bytes.windows(3).any(|piece| piece == b"ci\""));
    }
}
