//! The real binary: started, signalled, killed, started again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::answer::client;

/// How long a start may take, on a machine that does other things, too.
const START: Duration = Duration::from_secs(30);

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The binary under test: `WEIR_BIN`, else the release build, made if it is not there.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let named = std::env::var_os("WEIR_BIN").map(PathBuf::from);
        let path = named.unwrap_or_else(|| {
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
            target.join("release/weir")
        });
        if !path.exists() {
            let built = std::process::Command::new(env!("CARGO"))
                .args(["build", "--release", "--bin", "weir", "-p", "weir"])
                .current_dir(root())
                .status();
            assert!(built.is_ok_and(|status| status.success()), "the release binary can't be built");
        }
        path.canonicalize().unwrap_or(path)
    })
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

/// Sends a signal by name to a process.
pub fn signal(process: u32, name: &str) {
    let done = std::process::Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status();
    assert!(done.is_ok_and(|status| status.success()), "SIG{name} to {process}");
}

/// How many descriptors a process has open.
pub fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// How many connections over IPv4 loopback are open to this port.
pub fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let wanted = format!("0100007F:{port:04X}");
    let open = |line: &&str| {
        let mut words = line.split_whitespace().skip(2);
        words.next() == Some(wanted.as_str()) && words.next() == Some("01")
    };
    table.lines().filter(open).count()
}

/// A running gateway.
pub struct Weir {
    /// Its process.
    child: Option<Child>,
    /// Where it answers: `http://127.0.0.1:PORT`.
    pub url: String,
    /// `127.0.0.1:PORT`.
    pub address: String,
    folder: TempDir,
    data: PathBuf,
    environment: Vec<(String, String)>,
    starts: u32,
}

impl Weir {
    /// A gateway with this `weir.yaml`, ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn start(config: &str) -> Weir {
        let mut weir = Weir::prepare(config);
        weir.run().await;
        weir
    }

    /// A gateway with this `weir.yaml`, not started yet.
    pub fn prepare(config: &str) -> Weir {
        let folder = tempfile::Builder::new().prefix("weir-e2e-").tempdir().expect("a folder can be made");
        let address = format!("127.0.0.1:{}", free_port());
        std::fs::write(folder.path().join("weir.yaml"), config).expect("the folder can be written to");
        Weir {
            child: None,
            url: format!("http://{address}"),
            address,
            data: folder.path().to_owned(),
            folder,
            environment: Vec::new(),
            starts: 0,
        }
    }

    /// With a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Weir {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it a variable of its environment, from its next start on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// With its data in this folder.
    pub fn data_in(mut self, folder: &Path) -> Weir {
        self.data = folder.to_owned();
        self
    }

    /// Starts it, and waits till it is ready.
    ///
    /// # Panics
    /// When it does not get ready; with what it said.
    pub async fn run(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts it without waiting.
    ///
    /// # Panics
    /// When there is no binary.
    pub fn spawn(&mut self) {
        let name = format!("weir.{}.log", self.starts);
        self.starts += 1;
        let log = std::fs::File::create(self.folder.path().join(name)).expect("a log can be made");
        let errors = log.try_clone().expect("a descriptor is free");
        let mut command = Command::new(binary());
        command.env_clear().current_dir(self.folder.path()).kill_on_drop(true);
        for kept in ["PATH", "HOME", "TMPDIR"] {
            command.envs(std::env::var(kept).map(|value| (kept, value)));
        }
        command
            .env("WEIR_LISTEN", &self.address)
            .env("WEIR_DATA_DIR", &self.data)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        self.child = Some(command.spawn().unwrap_or_else(|cause| panic!("{}: {cause}", binary().display())));
    }

    /// Waits till it answers.
    ///
    /// # Panics
    /// When it ends, or takes too long.
    pub async fn ready(&mut self) {
        let began = Instant::now();
        let secure = self.url.replacen("http:", "https:", 1);
        loop {
            for url in [&self.url, &secure] {
                let answer = client().get(format!("{url}/health/ready")).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
            }
            let child = self.child.as_mut().expect("it was started");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("weir ended with {status}:\n{}", self.log());
            }
            assert!(began.elapsed() < START, "weir is not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("weir runs")
    }

    /// Its exit code, if it has ended by itself; -1 where a signal ended it.
    pub fn ended(&mut self) -> Option<i32> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(status.code().unwrap_or(-1))
    }

    /// Whether it was started and not killed.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("a child can be killed");
        }
    }

    /// SIGTERM, and its exit code.
    ///
    /// # Panics
    /// When it does not end within a minute.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        signal(child.id().expect("it was not waited for"), "TERM");
        let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
        status.expect("weir ends").expect("it can be waited for").code()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Writes its configuration anew.
    pub fn configure(&self, config: &str) {
        let (new, file) = (self.folder.path().join("weir.yaml.new"), self.folder.path().join("weir.yaml"));
        std::fs::write(&new, config).and_then(|()| std::fs::rename(&new, file)).expect("it can be written");
    }

    /// All that it said, over all starts.
    pub fn log(&self) -> String {
        let read = |number: u32| {
            let bytes = std::fs::read(self.folder.path().join(format!("weir.{number}.log")));
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        (0..self.starts).map(read).collect()
    }
}
