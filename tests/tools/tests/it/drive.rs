//! drive against a simulator.

use std::time::Duration;

use weir_sim::{Sim, SimConfig};
use weir_tools::audit::{read_drive, read_truth};
use weir_tools::drive::{self, Drive, Mix, Plan, Seen};

fn plan(mix: &[&str]) -> Plan {
    Plan {
        seed: 5,
        prefix: "t".into(),
        mix: mix.iter().map(|mix| Mix::parse(mix).unwrap()).collect(),
        words: Vec::new(),
        body_bytes: 40,
        questions: None,
        max_tokens: None,
        include_usage: true,
        abort_percent: 0,
        abort_within: Duration::from_millis(30),
        slow: None,
    }
}

fn drive(sim: &Sim, plan: Plan) -> Drive {
    Drive {
        address: sim.addr.to_string(),
        key: Some("key".into()),
        requests: 60,
        duration: None,
        concurrency: 8,
        rate: None,
        plan,
        retry_connect: false,
        timeout: Duration::from_secs(10),
        http2: false,
        light: false,
        gaps: false,
        log: None,
    }
}

#[tokio::test]
async fn every_kind_is_answered_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (log, truth) = (folder.path().join("drive.jsonl"), folder.path().join("truth.jsonl"));
    let sim = Sim::start(SimConfig { truth_log: Some(truth.clone()), ..SimConfig::default() }).await.unwrap();
    let mix = [
        "chat:gpt-4o",
        "stream:gpt-4o",
        "tools:gpt-4o",
        "embeddings:text-embedding-3-small",
        "completions:gpt-3.5-turbo-instruct",
    ];
    let summary = drive::run(Drive { log: Some(log.clone()), ..drive(&sim, plan(&mix)) }).await.unwrap();
    assert_eq!(summary.ended(Seen::Complete), 60, "{:?}", summary.errors);
    let lines = read_drive(&[log]).unwrap();
    let mut output: Vec<u64> = lines.iter().filter_map(|line| line.output).collect();
    let truths = read_truth(&[truth]).unwrap();
    assert_eq!((lines.len(), truths.len()), (60, 60));
    let ends = truths.iter().filter_map(|truth| truth.end.as_ref());
    let mut billed: Vec<u64> = ends
        .filter(|end| end.billed.output > 0)
        .map(|end| u64::try_from(end.billed.output).unwrap())
        .collect();
    output.sort_unstable();
    billed.sort_unstable();
    // Completions are not asked for usage when streamed, and here they are whole.
    assert_eq!(output, billed);
}

#[tokio::test]
async fn http2_open_loop_and_light_reading_work() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let mut wanted = drive(&sim, plan(&["stream:gpt-4o", "chat:gpt-4o"]));
    wanted.http2 = true;
    wanted.rate = Some(500.0);
    assert_eq!(drive::run(wanted.clone()).await.unwrap().ended(Seen::Complete), 60);
    wanted.http2 = false;
    wanted.light = true;
    assert_eq!(drive::run(wanted).await.unwrap().ended(Seen::Complete), 60);
}

#[tokio::test]
async fn the_time_between_events_and_until_refusals_is_told() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let mut wanted = drive(&sim, plan(&["stream:gpt-4o"]));
    (wanted.gaps, wanted.light, wanted.requests) = (true, true, 8);
    wanted.plan.words = vec!["gap=30ms+len=4".to_owned()];
    let told = drive::run(wanted.clone()).await.unwrap().json();
    assert!(told["gaps_us"]["p50"].as_u64().unwrap() >= 25_000, "{told}");
    wanted.plan.words = vec!["status=503+delay=40ms".to_owned()];
    let refused = drive::run(wanted).await.unwrap();
    assert!(refused.refused_after(0) >= Duration::from_millis(40) && refused.took(990) == Duration::ZERO);
    assert!(refused.json()["gaps_us"]["p50"].is_null());
}

#[tokio::test]
async fn bad_ends_are_told_apart() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let ends = [
        ("end_at=3", Seen::Broken),
        ("error_event_at=3", Seen::Broken),
        ("status=503", Seen::Refused),
        ("reset_at=3", Seen::Failed),
        ("garble", Seen::Broken),
    ];
    for (words, end) in ends {
        let mut plan = plan(&["stream:gpt-4o"]);
        plan.words = vec![words.to_owned()];
        let summary = drive::run(Drive { requests: 5, ..drive(&sim, plan) }).await.unwrap();
        assert_eq!(summary.ended(end), 5, "{words}: {:?} {:?}", summary.ends, summary.errors);
    }
    let mut leaving = plan(&["stream:gpt-4o"]);
    leaving.words = vec!["gap=20ms".to_owned()];
    leaving.abort_percent = 100;
    let summary = drive::run(Drive { requests: 20, ..drive(&sim, leaving) }).await.unwrap();
    assert_eq!(summary.ended(Seen::Left), 20);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_yet_is_waited_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Sim::start(SimConfig { listen: port, ..SimConfig::default() }).await.unwrap()
    });
    let wanted = Drive {
        address: port.to_string(),
        key: Some("key".into()),
        requests: 3,
        duration: None,
        concurrency: 3,
        rate: None,
        plan: plan(&["chat:gpt-4o"]),
        retry_connect: true,
        timeout: Duration::from_secs(10),
        http2: false,
        light: false,
        gaps: false,
        log: None,
    };
    let summary = drive::run(wanted).await.unwrap();
    assert_eq!(summary.ended(Seen::Complete), 3);
    drop(late.await.unwrap());
}
