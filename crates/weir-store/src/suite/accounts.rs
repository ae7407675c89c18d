//! The part of the suite that is about accounts.

use weir_ledger::accounts::{
    Account, Accounts, AuditEntry, Change, Changed, Kind, REPEATABLE_FOR, Repeatable, Slice,
};
use weir_ledger::key::KeyHash;

use super::Fixture;

fn account(kind: Kind, n: u32, name: &str) -> Account {
    Account {
        kind,
        id: format!("{n:04}"),
        name: name.into(),
        hash: (kind == Kind::Key).then(|| KeyHash::of(name)),
        body: format!("{{\"n\":{n},\"odd\":\"'; DROP TABLE accounts; -- ü\"}}"),
        created_at: 1_000,
        updated_at: 1_000,
        removed_at: None,
        version: 0,
    }
}

fn change(account: Account, replaces: Option<i64>, n: u32) -> Change {
    let entry = AuditEntry {
        id: format!("a{n:04}"),
        at: i64::from(n),
        actor: "master".into(),
        action: "create".into(),
        kind: account.kind,
        object_id: account.id.clone(),
        name: account.name.clone(),
        before: replaces.map(|_| "{}".into()),
        after: Some(account.body.clone()),
    };
    Change { account, replaces, entry, repeatable: None }
}

pub(super) async fn changes_follow_each_other(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let accounts = store.accounts();
    assert_eq!(accounts.accounts().await.unwrap(), Accounts::default());
    let ci = account(Kind::Key, 1, "ci");
    assert_eq!(accounts.change(&change(ci.clone(), None, 1)).await.unwrap(), Changed::Done(1));
    // A team may have a key's name; a second key may not, nor its hash.
    let team = account(Kind::Team, 2, "ci");
    assert_eq!(accounts.change(&change(team, None, 2)).await.unwrap(), Changed::Done(2));
    let same_name = Account { hash: Some(KeyHash::of("other")), ..account(Kind::Key, 3, "ci") };
    assert_eq!(accounts.change(&change(same_name, None, 3)).await.unwrap(), Changed::NameTaken);
    let same_hash = Account { name: "cd".into(), ..account(Kind::Key, 3, "ci") };
    assert_eq!(accounts.change(&change(same_hash, None, 3)).await.unwrap(), Changed::HashTaken);
    // What was refused counted nothing and logged nothing.
    assert_eq!(accounts.version().await.unwrap(), 2);
    let changed = Account { body: "{}".into(), ..ci.clone() };
    assert_eq!(accounts.change(&change(changed.clone(), Some(9), 4)).await.unwrap(), Changed::Stale);
    assert_eq!(accounts.change(&change(changed.clone(), Some(1), 4)).await.unwrap(), Changed::Done(3));
    assert_eq!(accounts.change(&change(changed.clone(), Some(1), 5)).await.unwrap(), Changed::Stale);
    let found = accounts.account(Kind::Key, "0001").await.unwrap().unwrap();
    assert_eq!(found, Account { version: 3, ..changed.clone() });
    assert_eq!(accounts.account(Kind::Team, "0001").await.unwrap(), None);
    let revoked = Account { removed_at: Some(5), ..changed };
    assert_eq!(accounts.change(&change(revoked, Some(3), 6)).await.unwrap(), Changed::Done(4));
    let now = accounts.accounts().await.unwrap();
    assert_eq!((now.version, now.live.len(), now.any_key), (4, 1, true));
    // The name is free again.
    let again = account(Kind::Key, 7, "ci");
    assert_eq!(accounts.change(&change(again, None, 7)).await.unwrap(), Changed::Done(5));
    let log = accounts.audit(&Slice { limit: 10, beyond: None }).await.unwrap();
    let ids: Vec<&str> = log.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["a0007", "a0006", "a0004", "a0002", "a0001"]);
    assert_eq!((log[2].before.as_deref(), log[4].before.as_deref()), (Some("{}"), None));
    let rest = accounts.audit(&Slice { limit: 2, beyond: Some("a0004".into()) }).await.unwrap();
    assert_eq!(rest.iter().map(|entry| entry.at).collect::<Vec<_>>(), [2, 1]);
}

pub(super) async fn accounts_come_in_pages(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    for n in 0..25 {
        let made = change(account(Kind::User, n, &format!("user {n}")), None, n);
        store.accounts().change(&made).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut beyond = None;
    loop {
        let slice = Slice { limit: 10, beyond: beyond.clone() };
        let page = store.accounts().list(Kind::User, &slice).await.unwrap();
        let Some(last) = page.last() else { break };
        beyond = Some(last.id.clone());
        seen.extend(page.into_iter().map(|account| account.id));
    }
    assert_eq!(seen, (0..25).map(|n| format!("{n:04}")).collect::<Vec<_>>());
    for odd in ["%", "_", "'; DROP TABLE accounts; --", "\u{10ffff}"] {
        let slice = Slice { limit: 0, beyond: Some(odd.into()) };
        assert!(store.accounts().list(Kind::User, &slice).await.unwrap().len() <= 1, "{odd}");
        assert_eq!(store.accounts().account(Kind::User, odd).await.unwrap(), None);
    }
}

pub(super) async fn a_repeated_request_changes_nothing(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let accounts = store.accounts();
    let request = |at| Repeatable { id: "r".into(), digest: "d".into(), answer: "sealed".into(), at };
    let with = |n: u32, name: &str, at| Change {
        repeatable: Some(request(at)),
        ..change(account(Kind::Key, n, name), None, n)
    };
    let now = 10 * REPEATABLE_FOR;
    assert_eq!(accounts.change(&with(1, "a", now)).await.unwrap(), Changed::Done(1));
    let again = accounts.change(&with(2, "b", now + 1)).await.unwrap();
    assert_eq!(again, Changed::Repeated(request(now)));
    assert_eq!(accounts.repeatable("r", now + 1).await.unwrap(), Some(request(now)));
    assert_eq!(accounts.repeatable("other", now + 1).await.unwrap(), None);
    assert_eq!(accounts.accounts().await.unwrap().live.len(), 1);
    // A day later it is a new request.
    let later = now + REPEATABLE_FOR;
    assert_eq!(accounts.repeatable("r", later).await.unwrap(), None);
    assert_eq!(accounts.change(&with(2, "b", later)).await.unwrap(), Changed::Done(2));
}

/// Writers at the same time: each version once, no name twice.
pub(super) async fn writers_do_not_step_on_each_other(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let writers: Vec<_> = (0..8u32)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for n in 0..5 {
                    let made = change(
                        account(Kind::Team, writer * 10 + n, &format!("team {n}")),
                        None,
                        writer * 10 + n,
                    );
                    if let Changed::Done(version) = store.accounts().change(&made).await.unwrap() {
                        done.push(version);
                    }
                }
                done
            })
        })
        .collect();
    let mut versions = Vec::new();
    for writer in writers {
        versions.extend(writer.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    assert_eq!(store.accounts().accounts().await.unwrap().live.len(), 5);
}

pub(super) async fn changes_are_told(fixture: &impl Fixture) {
    let (store, other) = (fixture.open().await.unwrap(), fixture.open().await.unwrap());
    let Some(mut notices) = store.accounts().notices().await.unwrap() else {
        // Who can't be told asks.
        other.accounts().change(&change(account(Kind::Key, 1, "ci"), None, 1)).await.unwrap();
        assert_eq!(store.accounts().version().await.unwrap(), 1);
        return;
    };
    other.accounts().change(&change(account(Kind::Key, 1, "ci"), None, 1)).await.unwrap();
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), notices.next()).await;
    told.expect("a change is told within seconds").unwrap();
    assert_eq!(store.accounts().version().await.unwrap(), 1);
}
