//! What the process may use, and how long work waits in it: the facts by which calls are refused.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use weir_config::Server;
use weir_gateway::overload::{BUSY, Bounds, Seen, TICK};

use crate::app::App;

/// How often it is looked whether the workers have any time left.
const LOOK: Duration = Duration::from_millis(20);
/// The size of a page in `/proc/self/statm`.
const PAGE: usize = 4096;
/// The most that bodies may take where nothing is said.
const MOST_BODIES: usize = 2 << 30;

/// Sets the bounds at once, then watches memory and waits, for as long as the process runs: on a thread of its own, so
/// that it is on time where nothing else is.
///
/// # Errors
/// There is no thread to be had.
pub fn watch(app: Arc<App>, server: &Server) -> std::io::Result<()> {
    let bounds = bounds(server);
    app.overload.tick(&bounds, Seen { delay: Duration::ZERO, busy: 0, under_way: 0, memory: resident() });
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("overload".to_owned())
        .spawn(move || watch_on(&app, &runtime, &bounds))?;
    Ok(())
}

fn watch_on(app: &App, runtime: &Handle, bounds: &Bounds) {
    let (mut tick, mut look) = (Load::of(runtime), Load::of(runtime));
    let mut probe = Probe::default();
    loop {
        std::thread::sleep(LOOK);
        // Where processors are idle nothing waits for them, and nobody is woken to find that out.
        if look.again(runtime) >= BUSY {
            probe.send(runtime);
        }
        if tick.since.elapsed() >= TICK {
            let (shortest, busy) = (probe.shortest(), tick.again(runtime));
            let delay = if busy >= BUSY { shortest } else { Duration::ZERO };
            let under_way = usize::try_from(app.metrics.inflight.get()).unwrap_or(0);
            app.overload.tick(bounds, Seen { delay, busy, under_way, memory: resident() });
        }
    }
}

/// How busy the runtime's workers are.
struct Load {
    since: Instant,
    busy: Duration,
}

impl Load {
    fn of(runtime: &Handle) -> Load {
        let metrics = runtime.metrics();
        let busy = (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        Load { since: Instant::now(), busy }
    }

    /// For how many in a hundred parts of the time the workers had work, since the last time.
    fn again(&mut self, runtime: &Handle) -> u8 {
        let before = std::mem::replace(self, Load::of(runtime));
        let all = (self.since - before.since).as_micros() * runtime.metrics().num_workers() as u128;
        let busy = self.busy.saturating_sub(before.busy).as_micros() * 100 / all.max(1);
        u8::try_from(busy.min(100)).unwrap_or(100)
    }
}

/// Work that does nothing, sent now and then to see how long it waits: behind all that has come from outside, then behind
/// all that its worker has at hand.
#[derive(Default)]
struct Probe {
    /// The last one, and how many microseconds it took, once it is done.
    last: Option<(Instant, Arc<AtomicU64>)>,
    shortest: Option<Duration>,
}

impl Probe {
    /// Sends one, unless the last one still waits.
    fn send(&mut self, runtime: &Handle) {
        self.look();
        if self.last.is_some() {
            return;
        }
        let (sent, took) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        self.last = Some((sent, took.clone()));
        runtime.spawn(async move {
            tokio::task::yield_now().await;
            let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
            took.store(micros.max(1), Ordering::Relaxed);
        });
    }

    fn look(&mut self) {
        if let Some((_, took)) = &self.last
            && let took @ 1.. = took.load(Ordering::Relaxed)
        {
            let took = Duration::from_micros(took);
            self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
            self.last = None;
        }
    }

    /// The shortest wait since the last time; of one that still waits, so far.
    fn shortest(&mut self) -> Duration {
        self.look();
        let waits = self.last.as_ref().map(|(sent, _)| sent.elapsed());
        self.shortest.take().or(waits).unwrap_or_default()
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
