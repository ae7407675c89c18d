//! W-066: two replicas behind HAProxy, each stopped and started again under load.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use weir_e2e::{Bench, Weir, client, config, free_port, scale};
use weir_tools::audit::{self, Books, Prices};
use weir_tools::drive::{self, Seen};

/// HAProxy before these addresses, on a port of its own.
struct HaProxy {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl HaProxy {
    async fn start(replicas: [&Weir; 2]) -> HaProxy {
        let folder = tempfile::Builder::new().prefix("haproxy-e2e-").tempdir().unwrap();
        let port = free_port();
        let file = folder.path().join("haproxy.cfg");
        let text = std::fs::read_to_string(weir_e2e::root().join("deploy/haproxy/haproxy.cfg")).unwrap();
        let text = text.replace("bind :4000", &format!("bind 127.0.0.1:{port}"));
        let text =
            text.replace("weir-a:4000", &replicas[0].address).replace("weir-b:4000", &replicas[1].address);
        std::fs::write(&file, text).unwrap();
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("haproxy is installed");
        let proxy = HaProxy { child, port, _folder: folder };
        let began = Instant::now();
        let url = format!("http://127.0.0.1:{port}/health/ready");
        while !client().get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(began.elapsed() < Duration::from_secs(20), "HAProxy finds a replica");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w066_replicas_that_stop_under_load_fail_no_call_and_lose_no_row() {
    let mut bench = Bench::prepare("", None).await;
    let more = "server: { drain_timeout: 20s }\n";
    bench.weir.configure(&config(&bench.sim.url(), more));
    let mut other = Weir::prepare(&config(&bench.sim.url(), more));
    bench.weir.run().await;
    other.run().await;
    let proxy = HaProxy::start([&bench.weir, &other]).await;
    let rounds = scale(1, 4);
    let mut load = bench.load(66, u64::MAX, 400, &["", "gap=20ms", "len=10+gap=60ms"]);
    load.address = format!("127.0.0.1:{}", proxy.port);
    load.rate = Some(scale(250.0, 500.0));
    load.duration = Some(Duration::from_secs(2 + 4 * rounds));
    load.retry_connect = false;
    let log = load.log.clone().unwrap();
    let driving = tokio::spawn(drive::run(load));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..rounds {
        for weir in [&mut bench.weir, &mut other] {
            let began = Instant::now();
            assert_eq!(weir.stop().await, Some(0), "{}", weir.log());
            println!("stopped within {:?}", began.elapsed());
            weir.run().await;
            // HAProxy sees it again.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let summary = driving.await.unwrap().unwrap();
    let all: u64 = summary.ends.values().sum();
    assert_eq!(
        summary.ended(Seen::Complete),
        all,
        "{:?} {:?} {:?}",
        summary.ends,
        summary.statuses,
        summary.errors
    );
    println!("{all} requests, {} stops", rounds * 2);
    // Each replica has a ledger of its own; together they hold every call.
    assert_eq!((bench.weir.stop().await, other.stop().await), (Some(0), Some(0)));
    let (mut calls, mut attempts) = (Vec::new(), Vec::new());
    for weir in [&bench.weir, &other] {
        let books = Books::open(&format!("sqlite:{}", weir.data().join("weir.db").display())).await.unwrap();
        let (more_calls, more_attempts) = audit::read(&books).await.unwrap();
        assert!(!more_calls.is_empty());
        calls.extend(more_calls);
        attempts.extend(more_attempts);
    }
    let prices = Prices::read(std::path::Path::new(weir_e2e::PRICES)).unwrap();
    let truths = audit::read_truth(&[&bench.truth]).unwrap();
    let lines = audit::read_drive(&[log]).unwrap();
    let report = audit::check(&truths, &lines, &calls, &attempts, Some(&prices)).unwrap();
    assert!(report.found.is_empty(), "{:#?}", report.found.iter().take(10).collect::<Vec<_>>());
}
