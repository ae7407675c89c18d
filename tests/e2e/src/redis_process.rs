//! How tests start a `redis-server`: also included by the tests of `weir-redis`, which can't depend on this package.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A `redis-server` that answers at this port, on loopback, and keeps nothing on the disk.
///
/// # Panics
/// When it does not answer within ten seconds.
pub fn spawn(port: u16, folder: &Path) -> Child {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "Redis does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}
