//! W-070, W-072, W-073, W-078: accounts over several gateways, through restarts, and while the database is away.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_e2e::{Answer, Weir, client, figure, scale};
use weir_store::testing::Postgres;

use crate::accounts::{MASTER, alone, ask, ask_with, call, make, on, within};

#[tokio::test(flavor = "multi_thread")]
async fn w078_a_revoked_key_is_refused_by_all_replicas_within_a_second() {
    let postgres = Postgres::start().unwrap();
    let config = on(&postgres.url(), "");
    let all = [Weir::start(&config).await, Weir::start(&config).await, Weir::start(&config).await];
    // Everybody listens by now, or asks within two seconds.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for round in 0..scale(3, 50) {
        let made = Instant::now();
        let (id, key) = make(&all[0], json!({"name": format!("ci-{round}")})).await;
        assert_eq!(call(&all[0], &key).await, 200, "it holds at once where it was made");
        for weir in &all {
            within("a new key that holds", Duration::from_secs(1), async || {
                (call(weir, &key).await == 200).then_some(())
            })
            .await;
        }
        figure(format_args!("round {round}: made everywhere after {:?}", made.elapsed()));
        let other = &all[1 + round % 2];
        assert_eq!(ask(other, MASTER, "DELETE", &format!("/admin/v1/keys/{id}"), None).await.status, 200);
        let revoked = Instant::now();
        assert_eq!(call(other, &key).await, 401);
        for weir in &all {
            within("a refusal", Duration::from_secs(1), async || {
                (call(weir, &key).await == 401).then_some(())
            })
            .await;
        }
        figure(format_args!("round {round}: refused everywhere after {:?}", revoked.elapsed()));
        // Calls and reloads don't bring it back.
        for weir in &all {
            assert_eq!(ask(weir, MASTER, "POST", "/admin/v1/config/reload", None).await.status, 200);
            assert_eq!(call(weir, &key).await, 401);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_by_the_clock_and_after_a_rotation() {
    let weir = Weir::start(&alone()).await;
    let (id, old) = make(&weir, json!({"name": "ci"})).await;
    let path = format!("/admin/v1/keys/{id}");
    let rotated = ask(&weir, MASTER, "POST", &format!("{path}/rotate"), Some(json!({"grace": "2s"}))).await;
    let new = rotated.json()["key"].as_str().unwrap().to_owned();
    assert_eq!([call(&weir, &old).await, call(&weir, &new).await], [200, 200], "both hold for a while");
    within("the end of grace", Duration::from_secs(5), async || {
        (call(&weir, &old).await == 401).then_some(())
    })
    .await;
    assert_eq!(call(&weir, &new).await, 200);
    let soon = "2020-01-01T00:00:00Z";
    let ended = ask(&weir, MASTER, "PATCH", &path, Some(json!({"expires_at": soon}))).await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    let refused = ask(&weir, &new, "GET", "/v1/models", None).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("expired"), "{}", refused.text());
    assert_eq!(ask(&weir, MASTER, "PATCH", &path, Some(json!({"expires_at": null}))).await.status, 200);
    assert_eq!(call(&weir, &new).await, 200);
    // What a key may call is what it sees.
    ask(&weir, MASTER, "PATCH", &path, Some(json!({"models": ["demo/e*"]}))).await;
    let seen = ask(&weir, &new, "GET", "/v1/models", None).await.json();
    let ids: Vec<&str> =
        seen["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["demo/echo", "demo/embed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn w072_admin_writes_survive_restarts_of_postgres_without_doubles() {
    let postgres = Postgres::start().unwrap();
    let weir = Weir::start(&on(&postgres.url(), "")).await;
    let url = weir.url.clone();
    let writer = tokio::spawn(async move {
        let (mut tries, mut refused, mut keys) = (0, 0, Vec::new());
        for n in 0..40 {
            loop {
                tries += 1;
                let answer = client()
                    .post(format!("{url}/admin/v1/keys"))
                    .bearer_auth(MASTER)
                    .header("idempotency-key", format!("once-{n}"))
                    .body(json!({"name": format!("key-{n}")}).to_string())
                    .send()
                    .await
                    .expect("weir answers");
                let answer = Answer::read(answer).await;
                match answer.status {
                    201 => {
                        keys.push(answer.json()["key"].as_str().unwrap().to_owned());
                        break;
                    }
                    503 => {
                        refused += 1;
                        assert!(!answer.header("retry-after").is_empty());
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        (tries, refused, keys)
    });
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        postgres.kill().unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        postgres.resume().unwrap();
    }
    let (tries, refused, keys) = writer.await.unwrap();
    println!("{tries} writes, {refused} of them 503");
    let listed = ask(&weir, MASTER, "GET", "/admin/v1/keys?limit=200", None).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 40);
    let log = ask(&weir, MASTER, "GET", "/admin/v1/audit?limit=200", None).await.json();
    assert_eq!(log["data"].as_array().unwrap().len(), 40);
    // Each answer, repeated or not, had the key that holds.
    for key in [&keys[0], &keys[20], &keys[39]] {
        assert_eq!(call(&weir, key).await, 200);
    }
    let first = json!({"name": "key-0"});
    let once = [("idempotency-key", "once-0")];
    let again = ask_with(&weir, MASTER, "POST", "/admin/v1/keys", Some(first), &once).await;
    assert_eq!((again.status, again.json()["key"].as_str()), (201, Some(keys[0].as_str())));
    let other = ask_with(&weir, MASTER, "POST", "/admin/v1/keys", Some(json!({"name": "x"})), &once).await;
    assert_eq!((other.status, other.json()["error"]["code"].as_str()), (409, Some("idempotency_key_reused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn w073_valid_keys_hold_while_others_take_all_of_postgres() {
    let postgres = Postgres::start().unwrap();
    let weir = Weir::start(&on(&postgres.url(), "")).await;
    let (_, key) = make(&weir, json!({"name": "ci"})).await;
    // Frozen, it has no connection left for anybody, and those that there are say nothing.
    postgres.freeze().unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(call(&weir, &key).await, 200);
    }
    println!("20 calls took {:?}", began.elapsed());
    assert_eq!(call(&weir, "sk-unknown").await, 401);
    let refused = ask(&weir, MASTER, "GET", "/admin/v1/keys", None).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    postgres.thaw().unwrap();
    within("the admin API", Duration::from_secs(15), async || {
        (ask(&weir, MASTER, "GET", "/admin/v1/keys", None).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w070_a_start_without_postgres_serves_the_last_good_keys_or_nobody() {
    let postgres = Postgres::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = on(&postgres.url(), ", snapshot_key: canary-snapshot-key-8d1");
    let mut weir = Weir::prepare(&config).data_in(folder.path());
    weir.run().await;
    let (_, key) = make(&weir, json!({"name": "ci"})).await;
    let (id, revoked) = make(&weir, json!({"name": "gone"})).await;
    ask(&weir, MASTER, "DELETE", &format!("/admin/v1/keys/{id}"), None).await;
    weir.stop().await;
    postgres.kill().unwrap();
    let kept = std::fs::read(folder.path().join("weir.snapshot")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("\"ci\""));
    weir.run().await;
    assert_eq!(call(&weir, &key).await, 200);
    assert_eq!(call(&weir, &revoked).await, 401);
    assert_eq!(call(&weir, "").await, 401);
    weir.kill().await;
    // Without the snapshot nobody is let in, and the reason is said.
    let mut closed = Weir::prepare(&on(&postgres.url(), ""));
    closed.spawn();
    let (said, _) = within("a reason", Duration::from_secs(20), async || {
        let answer = client().get(format!("{}/health/ready", closed.url)).send().await.ok()?;
        Some(Answer::read(answer).await).filter(|answer| answer.status == 503)
    })
    .await;
    assert!(said.text().contains("store can't be reached"), "{}", said.text());
    assert_eq!(call(&closed, &key).await, 503);
    postgres.resume().unwrap();
    closed.ready().await;
    assert_eq!(call(&closed, &key).await, 200);
    assert_eq!(call(&closed, &revoked).await, 401);
}

/// What a user may call is the store's to say, too; what it does not say, the file says for all.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_users_that_the_database_holds_act_everywhere_within_a_second() {
    let postgres = Postgres::start().unwrap();
    let config = format!(
        "{}limits: {{ user: {{ requests_per_minute: 3, concurrency: 5 }} }}\n",
        on(&postgres.url(), "")
    );
    let all = [Weir::start(&config).await, Weir::start(&config).await];
    let (_, key) = make(&all[0], json!({"name": "ci"})).await;
    within("the key", Duration::from_secs(3), async || (call(&all[1], &key).await == 200).then_some(()))
        .await;
    let body = json!({"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]});
    let by = async |weir: &Weir, user: &str| {
        let headers = [("x-weir-user", user)];
        ask_with(weir, &key, "POST", "/v1/chat/completions", Some(body.clone()), &headers).await
    };
    let made = json!({"name": "ann", "limits": {"requests_per_minute": 5, "requests_per_day": 100}});
    let made = ask(&all[0], MASTER, "POST", "/admin/v1/users", Some(made)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/admin/v1/users/{}", made.json()["id"].as_str().unwrap());
    for (weir, place) in all.iter().zip(["where it was made", "elsewhere"]) {
        // The header tells whose limit is told: the user's own as soon as it is known.
        let own = |answer: &Answer| answer.header("x-ratelimit-limit-requests") == "5";
        within(place, Duration::from_secs(3), async || own(&by(weir, "ann").await).then_some(())).await;
        let refused = within("the limit", Duration::from_secs(5), async || {
            Some(by(weir, "ann").await).filter(|answer| answer.status != 200)
        })
        .await
        .0;
        let message = refused.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(refused.status == 429 && message.contains("user `ann`"), "{message}");
        assert!(message.contains("5 requests per minute"), "{message}");
        // Others have what the file gives each.
        for status in [200, 200, 200, 429] {
            assert_eq!(by(weir, "bob").await.status, status);
        }
    }
    let more = json!({"limits": {"requests_per_minute": 1000}});
    assert_eq!(ask(&all[1], MASTER, "PATCH", &path, Some(more)).await.status, 200);
    for weir in &all {
        within("a raised limit", Duration::from_secs(3), async || {
            (by(weir, "ann").await.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(ask(&all[0], MASTER, "DELETE", &path, None).await.status, 200);
    for weir in &all {
        within("the file's limit", Duration::from_secs(3), async || {
            (by(weir, "ann").await.status == 429).then_some(())
        })
        .await;
    }
}
