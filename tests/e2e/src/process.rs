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

/// The project's root: where the tests run, which is not where they were compiled if they come from an archive.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let package =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&package).join("../..")
    })
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

/// A running gateway. When it is dropped, all that it wrote is searched for secrets (W-077): configured ones begin with
/// `canary-` in all suites, so neither its log nor any file of its data may hold that.
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
    /// A socket that it is started with, where it does not open its own.
    socket: Option<std::net::TcpListener>,
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
            socket: None,
        }
    }

    /// Opens its socket before it and passes it on at each start, as systemd does.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn with_socket(&mut self) {
        let listener = std::net::TcpListener::bind(&self.address).expect("the address is free");
        self.socket = Some(listener);
    }

    /// The process that runs, which is no longer this gateway's: another can be started beside it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn let_go(&mut self) -> Child {
        self.child.take().expect("weir runs")
    }

    /// With a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Weir {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// From its next start on with a variable of its environment.
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
        let mut command = match &self.socket {
            None => Command::new(binary()),
            // The first descriptor that is passed on is 3, by systemd's rules.
            Some(_) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\""]);
                shell.arg(binary());
                shell
            }
        };
        let input = self.socket.as_ref().map(|socket| socket.try_clone().expect("a descriptor is free"));
        command.env_clear().current_dir(self.folder.path()).kill_on_drop(true);
        for kept in ["PATH", "HOME", "TMPDIR"] {
            command.envs(std::env::var(kept).map(|value| (kept, value)));
        }
        command
            .env("WEIR_LISTEN", &self.address)
            .env("WEIR_DATA_DIR", &self.data)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(input.map_or_else(Stdio::null, |socket| Stdio::from(std::os::fd::OwnedFd::from(socket))))
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

impl Drop for Weir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut folders = vec![self.folder.path().to_owned(), self.data.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                // The configuration is the test's own.
                let written_by_weir = path.extension().is_none_or(|kind| kind != "yaml" && kind != "new");
                if path.is_dir() {
                    folders.push(path);
                } else if written_by_weir && let Some(line) = secret_in(&path) {
                    panic!("a secret is in {}: {line}", path.display());
                }
            }
        }
    }
}

/// What stands around a secret in a file, if there is one.
fn secret_in(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let at = memchr::memmem::find(&bytes, b"canary-")?;
    let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + 60)];
    Some(String::from_utf8_lossy(around).into_owned())
}
