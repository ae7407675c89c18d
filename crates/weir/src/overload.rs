//! What the process may use, and how late it is: the facts by which calls are refused.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_config::Server;
use weir_gateway::overload::{Bounds, Seen, TICK};

use crate::app::App;

/// How often a timer is set to see how late it is.
const PROBE: Duration = Duration::from_millis(10);
/// The size of a page in `/proc/self/statm`.
const PAGE: usize = 4096;
/// The most that bodies may take where nothing is said.
const MOST_BODIES: usize = 2 << 30;

/// Sets the bounds at once, then watches memory and lateness, for as long as the process runs.
pub fn watch(app: Arc<App>, server: &Server) -> impl Future<Output = ()> + use<> {
    let bounds = bounds(server);
    app.overload.tick(&bounds, Seen { delay: Duration::ZERO, memory: resident() });
    watch_on(app, bounds)
}

async fn watch_on(app: Arc<App>, bounds: Bounds) {
    let mut promptest = Duration::MAX;
    let mut next = Instant::now() + TICK;
    loop {
        let due = Instant::now() + PROBE;
        tokio::time::sleep_until(due).await;
        promptest = promptest.min(due.elapsed());
        if Instant::now() >= next {
            // A timer is a millisecond coarse.
            let delay = promptest.saturating_sub(Duration::from_millis(1));
            app.overload.tick(&bounds, Seen { delay, memory: resident() });
            promptest = Duration::MAX;
            next = Instant::now() + TICK;
        }
    }
}

/// The bounds as written, else by what there is.
fn bounds(server: &Server) -> Bounds {
    let size = |size: weir_config::Size| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    let max_memory = server.max_memory.map_or_else(|| available() / 100 * 85, size);
    Bounds {
        max_delay: server.max_delay.value().map(|most| most.get()),
        max_body_memory: server.max_body_memory.map_or((max_memory / 4).min(MOST_BODIES), size),
        max_memory,
    }
}

/// How many connections are answered at the same time: half of the descriptors, since a call has two.
pub fn max_connections(server: &Server) -> usize {
    let written = server.max_connections.map(|most| most as usize);
    written.unwrap_or_else(|| {
        read("/proc/self/limits").and_then(|text| descriptors(&text)).unwrap_or(usize::MAX) / 2
    })
}

fn descriptors(limits: &str) -> Option<usize> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

/// Memory that this process takes, in bytes; 0 where the system doesn't say.
fn resident() -> usize {
    let pages = || read("/proc/self/statm")?.split_whitespace().nth(1)?.parse::<usize>().ok();
    pages().map_or(0, |pages| pages * PAGE)
}

/// Memory that there is: the machine's, or less where the process is in a container; without bound where the system
/// doesn't say.
fn available() -> usize {
    let machine = read("/proc/meminfo").and_then(|text| total(&text)).unwrap_or(usize::MAX);
    let group = read("/proc/self/cgroup").unwrap_or_default();
    let path = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let limit = |file: &Path| std::fs::read_to_string(file).ok()?.trim().parse::<usize>().ok();
    let root = Path::new("/sys/fs/cgroup");
    // A group is bounded by those that it is in, too.
    let own = root.join(path);
    let groups =
        own.ancestors().take_while(|group| group.starts_with(root)).map(|group| group.join("memory.max"));
    let older = root.join("memory/memory.limit_in_bytes");
    groups.chain([older]).filter_map(|file| limit(&file)).fold(machine, usize::min)
}

fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1024)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_system_says() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files     \n";
        assert_eq!(descriptors(limits), Some(1024));
        assert_eq!(descriptors("Max open files  unlimited unlimited files\n"), None);
        assert_eq!(total("MemTotal:       24684096 kB\nMemFree: 1 kB\n"), Some(24_684_096 * 1024));
        assert!(resident() > 1 << 20);
        assert!(available() > resident());
    }

    #[test]
    fn bounds_follow_from_each_other() {
        let mut server = Server { max_memory: Some(weir_config::Size(512 << 20)), ..Server::default() };
        assert_eq!(bounds(&server).max_body_memory, 128 << 20);
        server.max_body_memory = Some(weir_config::Size(5));
        assert_eq!(bounds(&server).max_body_memory, 5);
        server.max_connections = Some(7);
        assert_eq!(max_connections(&server), 7);
    }
}
