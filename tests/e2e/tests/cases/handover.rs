//! W-068, in short: the listening socket outlives the process. An upgrade refuses nobody, breaks no call and loses no row.

use std::time::Duration;

use weir_e2e::{Bench, signal};
use weir_tools::drive;

/// How often; `WEIR_HANDOVERS` makes it the long form.
fn rounds() -> usize {
    std::env::var("WEIR_HANDOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn w068_sockets_are_handed_over_under_load() {
    let mut bench = Bench::prepare("", None).await;
    bench.weir.with_socket();
    bench.weir.run().await;
    let mut load = bench.load(68, 1_000_000, 64, &[]);
    let rounds = rounds();
    // Nothing is tried again: a connection that is refused is a failure.
    load.retry_connect = false;
    load.rate = Some(300.0);
    load.duration = Some(Duration::from_secs(2 + 2 * rounds as u64));
    let log = load.log.clone().unwrap();
    let driving = tokio::spawn(async move { drive::run(load).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    for round in 0..rounds {
        let mut old = bench.weir.let_go();
        bench.weir.run().await;
        signal(old.id().unwrap(), "TERM");
        let ended = tokio::time::timeout(Duration::from_secs(60), old.wait()).await;
        assert_eq!(ended.unwrap().unwrap().code(), Some(0), "round {round}: {}", bench.weir.log());
    }
    let summary = driving.await.unwrap().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let bad: Vec<&str> = text.lines().filter(|line| !line.contains("\"end\":\"complete\"")).take(5).collect();
    assert!(bad.is_empty(), "{bad:#?} {summary:?}");
    let calls = text.lines().count();
    assert!(calls > 300, "{calls} calls");
    bench.audit(&[log]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_at_another_address_is_refused() {
    let mut bench = Bench::prepare("", None).await;
    bench.weir.with_socket();
    let wrong = format!("127.0.0.1:{}", weir_e2e::free_port());
    bench.weir.address = wrong;
    bench.weir.spawn();
    while bench.weir.ended().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = bench.weir.log();
    assert!(
        bench.weir.ended() == Some(1) && log.contains("LISTEN_FDS") && log.contains("server.listen"),
        "{log}"
    );
}
