//! A gateway with simulated providers behind it, and its books.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_sim::{Sim, SimConfig};
use weir_tools::audit::{self, Attempt, Books, Call, Prices, Report};
use weir_tools::drive::{Drive, Mix, Plan};

use crate::answer::{Answer, client};
use crate::process::Weir;

/// The prices that audits recompute with.
pub const PRICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/prices.json");
/// How long rows may take to reach the store.
const DRAINED: Duration = Duration::from_secs(30);

/// A gateway, a simulator that is OpenAI, Anthropic and Gemini at once, and the simulator's truth log.
pub struct Bench {
    /// The gateway.
    pub weir: Weir,
    /// The simulator.
    pub sim: Sim,
    /// What the simulator would bill.
    pub truth: PathBuf,
    /// Where the ledger is, for the audit.
    pub books: String,
}

/// A `weir.yaml` with the three providers at `sim`, and `more` behind it, in which `{sim}` is the simulator's address. What
/// is indented at its beginning names further providers.
pub fn config(sim: &str, more: &str) -> String {
    format!(
        "providers:\n  openai: {{ base_url: \"{sim}/v1\", api_key: sim-key }}\n  anthropic: {{ base_url: \"{sim}\", api_key: sim-key }}\n  gemini: {{ base_url: \"{sim}\", api_key: sim-key }}\n{}",
        more.replace("{sim}", sim)
    )
}

impl Bench {
    /// With `more` in the configuration, on SQLite.
    pub async fn start(more: &str) -> Bench {
        let mut bench = Bench::prepare(more, None).await;
        bench.weir.run().await;
        bench
    }

    /// Not started yet; on the store of this address, else on SQLite.
    ///
    /// # Panics
    /// When a simulator can't be started.
    pub async fn prepare(more: &str, store: Option<&str>) -> Bench {
        let truth = tempfile::Builder::new().prefix("truth-").suffix(".jsonl").tempfile();
        let (_, truth) = truth.expect("a file can be made").keep().expect("it can be kept");
        let settings = SimConfig { truth_log: Some(truth.clone()), capture: 200, ..SimConfig::default() };
        let sim = Sim::start(settings).await.expect("a simulator can be started");
        let store_line = store.map(|url| format!("store: {{ url: \"{url}\" }}\n")).unwrap_or_default();
        let weir = Weir::prepare(&config(&sim.url(), &format!("{store_line}{more}")));
        let books = match store {
            Some(url) => url.to_owned(),
            None => format!("sqlite:{}", weir.folder().join("weir.db").display()),
        };
        Bench { weir, sim, truth, books }
    }

    /// Posts a body.
    ///
    /// # Panics
    /// When no answer begins.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// Posts a body with headers.
    ///
    /// # Panics
    /// When no answer begins.
    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let response = self.open(path, body, headers).await;
        Answer::read(response.unwrap_or_else(|cause| panic!("{cause:?}\n{}", self.weir.log()))).await
    }

    /// Posts a body; the answer is not read yet.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn open(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut request = client().post(format!("{}{path}", self.weir.url)).body(body.to_string());
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await
    }

    /// A chat with one message.
    pub async fn chat(&self, model: &str, text: &str, stream: bool) -> Answer {
        let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]});
        self.post("/v1/chat/completions", &body).await
    }

    /// A page as text.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> Answer {
        let response = client().get(format!("{}{path}", self.weir.url)).send().await;
        Answer::read(response.expect("weir answers")).await
    }

    /// The sum of a metric's lines whose labels hold all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.get("/metrics").await.text();
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Waits until no row is under way to the store.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn drained(&self) {
        let began = Instant::now();
        loop {
            let ledger = self.get("/health").await.json()["ledger"].clone();
            if ledger["spooled_entries"] == 0 && ledger["queue_entries"] == 0 {
                return;
            }
            assert!(began.elapsed() < DRAINED, "rows are still under way: {ledger}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All rows, once none is under way.
    ///
    /// # Panics
    /// When they can't be read.
    pub async fn rows(&self) -> (Vec<Call>, Vec<Attempt>) {
        self.drained().await;
        let books = Books::open(&self.books).await.expect("the store can be opened");
        audit::read(&books).await.expect("rows can be read")
    }

    /// All rows, once there are as many calls.
    ///
    /// # Panics
    /// When there are not.
    pub async fn rows_of(&self, calls: usize) -> (Vec<Call>, Vec<Attempt>) {
        let began = Instant::now();
        loop {
            let (found, attempts) = self.rows().await;
            if found.len() >= calls {
                assert_eq!(found.len(), calls);
                return (found, attempts);
            }
            assert!(began.elapsed() < DRAINED, "{} calls of {calls} have a row", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The audit: truth, what the client saw, rows and sums. Rows may take a while to get there.
    ///
    /// # Panics
    /// When it can't be made, or finds anything.
    pub async fn audit(&self, drive: &[PathBuf]) -> Report {
        let prices = Prices::read(Path::new(PRICES)).expect("prices can be read");
        let began = Instant::now();
        loop {
            let books = Books::open(&self.books).await.expect("the store can be opened");
            books.integrity().await.expect("the file is whole");
            let truths = audit::read_truth(&[&self.truth]).expect("the truth can be read");
            let lines = audit::read_drive(drive).expect("drive's log can be read");
            let (calls, attempts) = audit::read(&books).await.expect("rows can be read");
            let checked = audit::check(&truths, &lines, &calls, &attempts, Some(&prices));
            let mut report = checked.expect("prices are decimals");
            audit::check_totals(&books, &mut report).await.expect("sums can be read");
            if report.found.is_empty() {
                return report;
            }
            let shown: Vec<_> = report.found.iter().take(20).collect();
            assert!(began.elapsed() < DRAINED, "{} wrong: {shown:#?}", report.found.len());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A load of `requests` at `concurrency`: OpenAI, Anthropic and Gemini, three in five streamed; each with one of
    /// `words` for the simulator.
    ///
    /// # Panics
    /// Never: the mix reads.
    pub fn load(&self, seed: u64, requests: u64, concurrency: usize, words: &[&str]) -> Drive {
        let mix = [
            "stream:openai/gpt-4o-mini:25",
            "chat:openai/gpt-4o-mini:15",
            "stream:anthropic/claude-haiku-4-5:15",
            "messages:anthropic/claude-haiku-4-5:10",
            "messages-stream:anthropic/claude-haiku-4-5:10",
            "stream:gemini/gemini-2.5-flash:10",
            "chat:gemini/gemini-2.5-flash:10",
            "embeddings:openai/text-embedding-3-small:5",
        ];
        Drive {
            address: self.weir.address.clone(),
            key: None,
            requests,
            duration: None,
            concurrency,
            rate: None,
            plan: Plan {
                seed,
                prefix: format!("load-{seed}"),
                mix: mix.iter().map(|text| Mix::parse(text).expect("it reads")).collect(),
                words: words.iter().map(|word| (*word).to_owned()).collect(),
                body_bytes: 60,
                max_tokens: None,
                include_usage: true,
                abort_percent: 0,
                abort_within: Duration::from_millis(50),
                slow: None,
            },
            retry_connect: true,
            timeout: Duration::from_secs(60),
            http2: false,
            light: false,
            log: Some(self.weir.folder().join(format!("drive-{seed}.jsonl"))),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.truth));
    }
}

/// Attempts by their call's `x-request-id`.
pub fn rows_by_request<'r>(calls: &'r [Call], attempts: &'r [Attempt]) -> HashMap<&'r str, Vec<&'r Attempt>> {
    let ids: HashMap<&str, &str> =
        calls.iter().map(|call| (call.id.as_str(), call.request_id.as_str())).collect();
    let mut all: HashMap<&str, Vec<&Attempt>> =
        calls.iter().map(|call| (call.request_id.as_str(), Vec::new())).collect();
    for attempt in attempts {
        if let Some(id) = ids.get(attempt.call_id.as_str()) {
            all.entry(id).or_default().push(attempt);
        }
    }
    all
}
