//! A Postgres of one's own for tests: made in a folder of its own on a free port, gone when dropped.
//!
//! Uses the server's programs as the distribution installed them (or those in `WEIR_TEST_POSTGRES_BIN`). As root, it
//! runs them as the user `postgres`, since the server refuses root. Not durable (`fsync=off`): it is for tests of what
//! weir does, not of what Postgres does.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A running Postgres.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    dir: TempDir,
    port: u16,
    as_postgres: bool,
}

impl Postgres {
    /// Makes and starts one. Fails with a sentence that says what is missing.
    pub fn start() -> io::Result<Postgres> {
        let bin = find_bin()?;
        let dir = tempfile::Builder::new().prefix("weir-postgres-").tempdir()?;
        let as_postgres = output(Command::new("id").arg("-u"))?.trim() == "0";
        if as_postgres {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
            run(Command::new("chown").arg("postgres").arg(dir.path()))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Postgres { bin, dir, port, as_postgres };
        let data = server.data();
        run(server
            .program("initdb")
            .args(["-A", "trust", "-U", "weir", "-E", "UTF8", "--no-sync", "-D"])
            .arg(&data))?;
        server.resume()?;
        Ok(server)
    }

    /// The address of its first database.
    pub fn url(&self) -> String {
        self.database("postgres")
    }

    /// The address of its database `name`.
    pub fn database(&self, name: &str) -> String {
        format!("postgres://weir@127.0.0.1:{}/{name}", self.port)
    }

    /// Makes a new, empty database; its address.
    pub fn create(&self, name: &str) -> io::Result<String> {
        run(self.program("createdb").args([
            "-h",
            "127.0.0.1",
            "-U",
            "weir",
            "-p",
            &self.port.to_string(),
            name,
        ]))?;
        Ok(self.database(name))
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a crash would: connections are cut, nothing is flushed.
    pub fn kill(&self) -> io::Result<()> {
        run(self.program("pg_ctl").args(["stop", "-m", "immediate", "-w", "-D"]).arg(self.data()))
    }

    /// Starts it again after [`Postgres::kill`].
    pub fn resume(&self) -> io::Result<()> {
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=50",
            self.port,
            self.dir.path().display()
        );
        let log = self.dir.path().join("log");
        run(self
            .program("pg_ctl")
            .args(["start", "-w", "-o", &settings, "-l"])
            .arg(log)
            .arg("-D")
            .arg(self.data()))
    }

    /// Stops all its processes where they are, so that it hangs without a word.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal("-STOP")
    }

    /// Lets its processes go on.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    /// The process ids of the server: the first is the postmaster's, the others its children's.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let file = fs::read_to_string(self.data().join("postmaster.pid"))?;
        let postmaster: u32 = file
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        let mut pids = vec![postmaster];
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            if parent(&path) == Some(postmaster) {
                pids.push(pid);
            }
        }
        Ok(pids)
    }

    /// The postmaster first, so that it makes no more children; one that ended meanwhile is no failure.
    fn signal(&self, signal: &str) -> io::Result<()> {
        let mut done = Vec::new();
        for _ in 0..2 {
            for pid in self.pids()? {
                if done.contains(&pid) {
                    continue;
                }
                let sent = run(Command::new("kill").arg(signal).arg(pid.to_string()));
                if Path::new("/proc").join(pid.to_string()).exists() {
                    sent?;
                }
                done.push(pid);
            }
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if self.as_postgres {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.dir.path()).env("LC_ALL", "C");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.thaw();
        let _ = self.kill();
    }
}

/// The newest installed server's programs.
fn find_bin() -> io::Result<PathBuf> {
    if let Some(bin) = std::env::var_os("WEIR_TEST_POSTGRES_BIN") {
        return Ok(bin.into());
    }
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        found.push((version, entry.path().join("bin")));
    }
    found.retain(|(_, bin)| bin.join("initdb").exists());
    found.sort();
    found.pop().map(|(_, bin)| bin).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no Postgres server is installed: install the package `postgresql`, or set WEIR_TEST_POSTGRES_BIN to the folder of initdb",
        )
    })
}

fn parent(process: &Path) -> Option<u32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn run(command: &mut Command) -> io::Result<()> {
    // The server started by `pg_ctl` would keep an inherited pipe open.
    let errors = tempfile::NamedTempFile::new()?;
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.reopen()?).status()?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(errors.path()).unwrap_or_default();
    Err(io::Error::other(format!("{command:?} failed ({status}): {}", text.trim())))
}

fn output(command: &mut Command) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
}
