//! A Redis of a test's own.

use std::process::Child;

use tempfile::TempDir;

use crate::process::{free_port, signal};
use crate::redis_process::spawn;

/// A running `redis-server`, on a free port in a temporary folder.
pub struct RedisServer {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl RedisServer {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not answer within ten seconds.
    pub fn start() -> RedisServer {
        let folder = tempfile::Builder::new().prefix("redis-e2e-").tempdir().expect("a folder can be made");
        let port = free_port();
        let child = spawn(port, folder.path());
        RedisServer { child, port, _folder: folder }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
