//! A Redis of a test's own.

#[path = "../../../../tests/e2e/src/redis_process.rs"]
mod redis_process;

use std::process::{Child, Command};

use redis_process::spawn;

/// A Redis of the test's own.
pub struct Server {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one.
    pub fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Server { child: spawn(port, folder.path()), port, _folder: folder }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(done.unwrap().success());
    }

    /// Ends it at once.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub fn restart(&mut self) {
        self.child = spawn(self.port, self._folder.path());
    }

    /// Empties it.
    pub fn flush(&self) {
        let port = self.port.to_string();
        let done = Command::new("redis-cli").args(["-p", &port, "FLUSHALL"]).output().unwrap();
        assert!(done.stdout.starts_with(b"OK"), "{done:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
