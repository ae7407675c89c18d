//! A provider that dies under load: no call fails, latency falls back within seconds, and load comes back as a ramp.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use weir_e2e::{Bench, binary, client, free_port, scale};
use weir_tools::audit::read_drive;
use weir_tools::drive::{self, Line, Mix, Seen};

/// A simulator in a process of its own, which can die.
struct Provider {
    child: Option<Child>,
    port: u16,
    truth: PathBuf,
}

impl Provider {
    async fn start(&mut self) {
        let beside = binary().with_file_name("weir-sim");
        let program = std::env::var_os("WEIR_SIM_BIN").map_or(beside, PathBuf::from);
        let mut command = Command::new(program);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--truth"]).arg(&self.truth);
        self.child = Some(command.stdout(Stdio::null()).spawn().expect("weir-sim starts"));
        let health = format!("http://127.0.0.1:{}/_sim/health", self.port);
        while client().get(&health).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        drop(child.wait());
    }

    /// When calls reached it, in microseconds since 1970.
    fn reached(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(&self.truth).unwrap_or_default();
        let starts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        starts.filter(|line| line["event"] == "start").filter_map(|line| line["at_us"].as_u64()).collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// The 99th percentile of the calls that were sent in this span, in milliseconds.
fn p99(lines: &[Line], from: u64, to: u64) -> f64 {
    let mut took: Vec<u64> =
        lines.iter().filter(|line| (from..to).contains(&line.at_us)).map(|line| line.total_us).collect();
    took.sort_unstable();
    assert!(took.len() > 50, "{} calls in this span", took.len());
    took[took.len() * 99 / 100] as f64 / 1000.0
}

const RATE: f64 = 200.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_dies_under_load_fails_no_call_and_gets_it_back_step_by_step() {
    let (before, dead, after) = scale((3, 7, 8), (20, 30, 30));
    let mut bench = Bench::prepare("", None).await;
    let truth = bench.weir.folder().join("first.jsonl");
    let mut first = Provider { child: None, port: free_port(), truth };
    first.start().await;
    let more = format!(
        "  a: {{ kind: openai, base_url: \"http://127.0.0.1:{}/v1\", api_key: k }}\nmodels:\n  x: {{ targets: [a/gpt-4o-mini, anthropic/claude-haiku-4-5], breaker: {{ cooldown: 3s }} }}\n",
        first.port
    );
    bench.weir.configure(&weir_e2e::config(&bench.sim.url(), &more));
    bench.weir.run().await;
    let mut load = bench.load(200, u64::MAX, 400, &["", "delay=5ms"]);
    let mix = ["stream:x:3", "chat:x:3", "messages:x:2", "messages-stream:x:2"];
    load.plan.mix = mix.iter().map(|text| Mix::parse(text).unwrap()).collect();
    load.rate = Some(RATE);
    load.duration = Some(Duration::from_secs(before + dead + after));
    let log = load.log.clone().unwrap();
    let driving = tokio::spawn(drive::run(load));
    tokio::time::sleep(Duration::from_secs(before)).await;
    let killed = now_us();
    first.kill();
    tokio::time::sleep(Duration::from_secs(dead)).await;
    let back = now_us();
    first.start().await;
    let summary = driving.await.unwrap().unwrap();
    let lines = read_drive(&[log]).unwrap();
    // Whose first word had come when the provider died can't be answered by another: it is told so, once.
    let cut: Vec<&Line> = lines.iter().filter(|line| line.end != Seen::Complete).collect();
    for line in &cut {
        let begun = line.end == Seen::Broken && line.status == 200 && line.at_us.abs_diff(killed) < 500_000;
        assert!(begun, "{:?} {line:?}", summary.errors);
    }
    assert!(cut.len() <= 3, "{cut:?}");
    let second = 1_000_000;
    let normal = p99(&lines, killed - (before - 1) * second, killed);
    let during = p99(&lines, killed, killed + second);
    let later = p99(&lines, killed + 5 * second, killed + dead * second);
    let returning = p99(&lines, back, back + after * second);
    println!(
        "{} calls, {} cut after their first word; p99 {normal:.1} ms, {during:.1} ms in the first second, {later:.1} ms after five, {returning:.1} ms while it came back",
        lines.len(),
        cut.len()
    );
    assert!(later < normal * 2.0 + 30.0, "{later} ms, {normal} ms before");
    assert!(returning < normal * 2.0 + 30.0, "{returning} ms, {normal} ms before");
    let reached: Vec<u64> = first.reached().into_iter().filter(|at| *at > back).collect();
    let begins = reached[0];
    let slices: Vec<usize> =
        (0..5).map(|slice| reached.iter().filter(|at| (**at - begins) / second == slice).count()).collect();
    println!("calls a second at the provider once it is back: {slices:?}");
    assert!((slices[0] as f64) < RATE * 0.6, "it comes back by steps: {slices:?}");
    assert!(slices[4] as f64 > RATE * 0.8, "it has all of it back: {slices:?}");
    assert!(slices[0] < slices[2] || slices[1] < slices[3], "{slices:?}");
}
