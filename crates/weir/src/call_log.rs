//! A JSON line for each call, to a file or to standard output (`logging.calls`).
//!
//! A thread of its own writes: a disk or a pipe that does not take the lines holds up nothing else. What finds no room
//! meanwhile is counted, and is in the ledger all the same.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use weir_config::{CallLog, LogContent, Logging};
use weir_gateway::watch::{Ended, Queue, Wants};

use crate::admin::line::{self, Json, Members as _, name};
use crate::app::App;

/// How often lines are written.
const EVERY: Duration = Duration::from_millis(200);
/// So many calls may wait for that.
const MOST: usize = 8_192;

/// How long a line is as a rule, in bytes.
const USUAL_LINE: usize = 2_048;

/// The thread that writes.
pub struct Writer {
    stopping: Arc<AtomicBool>,
    stopped: tokio::sync::oneshot::Receiver<()>,
}

impl Writer {
    /// Writes what is there, and waits for that as long as `patience`.
    pub async fn stop(self, patience: Duration) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(tokio::time::timeout(patience, self.stopped).await);
    }
}

/// Writes until it is stopped, as the configuration says then.
pub fn start(app: Arc<App>) -> Writer {
    let stopping = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let stops = stopping.clone();
    let first = begin(&app);
    let work = move || {
        run(&app, first, &stops);
        // Whether anybody waits for it changes nothing.
        let _ = stop.send(());
    };
    if let Err(error) = std::thread::Builder::new().name("weir-calls".to_owned()).spawn(work) {
        tracing::error!(%error, "no thread for the log of calls");
    }
    Writer { stopping, stopped }
}

/// How many calls are in no log, for want of room. Whoever asks sees it at once: while a sink is stuck, its thread is, too.
#[derive(Default)]
pub struct Missed(Mutex<(u64, Option<Arc<Queue>>)>);

impl Missed {
    /// So many since the start.
    pub fn count(&self) -> u64 {
        let (before, queue) = &*self.0.lock();
        before + queue.as_ref().map_or(0, |queue| queue.dropped())
    }

    /// Another queue has taken the place of the one before.
    fn watch(&self, queue: &Arc<Queue>) {
        let mut missed = self.0.lock();
        missed.0 += missed.1.replace(queue.clone()).map_or(0, |old| old.dropped());
    }
}

fn run(app: &App, mut log: Option<(Logging, Log)>, stopping: &AtomicBool) {
    loop {
        let stop = stopping.load(Ordering::Relaxed);
        let loaded = app.loaded.load_full();
        let wanted = Some(&loaded.config.logging).filter(|logging| logging.calls.is_some());
        if log.as_ref().map(|(written, _)| written) != wanted {
            if let Some((_, old)) = log.take() {
                app.metrics.watchers.remove(&old.queue);
            }
            log = begin(app);
        }
        if let Some((_, log)) = &mut log {
            log.write(log.queue.take());
        }
        if stop {
            return;
        }
        std::thread::sleep(EVERY);
    }
}

/// The log that the configuration wants, from the next call on.
fn begin(app: &App) -> Option<(Logging, Log)> {
    let loaded = app.loaded.load_full();
    let config = &loaded.config;
    let log = config.logging.calls.as_ref().map(|calls| Log::new(calls, config));
    let content = log.as_ref().filter(|log| log.content).map_or(0, |log| log.written.content_max.bytes());
    app.metrics.watchers.want_content("calls", usize::try_from(content).unwrap_or(usize::MAX));
    let log = log?;
    app.metrics.watchers.add(&log.queue);
    app.calls_not_logged.watch(&log.queue);
    Some((config.logging.clone(), log))
}

/// The log of one configuration.
struct Log {
    written: CallLog,
    content: bool,
    queue: Arc<Queue>,
    /// `None`: standard output.
    file: Option<Rotating>,
    warned: bool,
}

impl Log {
    fn new(calls: &CallLog, config: &weir_config::Config) -> Log {
        let file = (calls.to != "stdout").then(|| Rotating {
            path: config.data_dir.join(&calls.to),
            most: calls.max_size.bytes(),
            keep: calls.keep as usize,
            keep_for: calls.keep_for.map(weir_config::Duration::get),
            open: None,
        });
        Log {
            written: calls.clone(),
            content: config.logging.content != LogContent::Off,
            queue: Queue::new(Wants::All, MOST),
            file,
            warned: false,
        }
    }

    fn write(&mut self, calls: Vec<Arc<Ended>>) {
        let mut lines = Vec::with_capacity(calls.len() * USUAL_LINE);
        for ended in &calls {
            lines = self.line(ended, lines);
            lines.push(b'\n');
        }
        let done = match &mut self.file {
            Some(file) => file.write(&lines, Instant::now()),
            None if lines.is_empty() => Ok(()),
            None => standard_output().and_then(|mut output| output.write_all(&lines)),
        };
        match done {
            Ok(()) => self.warned = false,
            Err(error) if !std::mem::replace(&mut self.warned, true) => {
                tracing::error!(%error, to = self.written.to, "calls can't be logged; the ledger has them");
            }
            Err(_) => {}
        }
    }

    /// Appends the line of a call.
    fn line(&self, ended: &Ended, to: Vec<u8>) -> Vec<u8> {
        let mut line = Json::open(to);
        line::put(&ended.row, &ended.attempts, &mut line);
        if let Some(trace) = &ended.trace {
            line.text(name!("trace_id"), Some(&format!("{:032x}", trace.id)));
        }
        if let Some(said) = ended.content.as_ref().filter(|_| self.content && self.chosen(ended)) {
            let most = usize::try_from(self.written.content_max.bytes()).unwrap_or(usize::MAX);
            line::put_said(said, most, &mut line);
        }
        line.close()
    }

    /// Whether the content of this call is wanted.
    fn chosen(&self, ended: &Ended) -> bool {
        let keys = self.written.content_keys.as_ref();
        let of_key = keys.is_none_or(|keys| keys.iter().any(|key| **key == *ended.row.facts.key));
        // The last bits of an id are random.
        let drawn = ((ended.row.id.as_u128() as u64 & 0xffff_ffff) * 1_000_000) >> 32;
        of_key && drawn < u64::from(self.written.content_sample.millionths)
    }
}

/// Standard output, beside whoever holds its lock.
fn standard_output() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// A file that another takes the place of when it is full.
struct Rotating {
    path: PathBuf,
    most: u64,
    keep: usize,
    keep_for: Option<Duration>,
    open: Option<Open>,
}

struct Open {
    file: BufWriter<File>,
    bytes: u64,
    since: Instant,
}

impl Rotating {
    fn write(&mut self, lines: &[u8], now: Instant) -> io::Result<()> {
        let age = self.keep_for.map(|time| time / 10);
        let full = |open: &Open| {
            open.bytes >= self.most || age.is_some_and(|age| now.duration_since(open.since) >= age)
        };
        if self.open.as_ref().is_some_and(|open| open.bytes > 0 && full(open)) {
            self.open = None;
            let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%6f").to_string();
            fs::rename(&self.path, beside(&self.path, &time))?;
        }
        self.forget();
        if lines.is_empty() {
            return Ok(());
        }
        if self.open.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let bytes = file.metadata()?.len();
            self.open = Some(Open { file: BufWriter::new(file), bytes, since: now });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.bytes += lines.len() as u64;
        open.file.write_all(lines).and_then(|()| open.file.flush())
    }

    /// Deletes full files that are too many or too old.
    fn forget(&self) {
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else { return };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let is_full = |path: &PathBuf| {
            let own = path.file_name().and_then(|own| own.to_str()).and_then(|own| own.strip_prefix(name));
            let time = own.and_then(|own| own.strip_prefix('.')).unwrap_or_default();
            time.len() == 21 && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T')
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = entries.filter(is_full).collect();
        files.sort();
        let many = files.len().saturating_sub(self.keep);
        for (index, file) in files.iter().enumerate() {
            let written = fs::metadata(file).and_then(|about| about.modified());
            let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            let old = self.keep_for.zip(age).is_some_and(|(most, age)| age > most);
            if index < many || old {
                drop(fs::remove_file(file));
            }
        }
    }
}

fn beside(path: &Path, time: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(time);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        fs::write(folder.path().join("calls.jsonl.other"), "not ours").unwrap();
        let mut log = Rotating { path: path.clone(), most: 10, keep: 2, keep_for: None, open: None };
        for n in 0..6 {
            log.write(format!("line {n} and more\n").as_bytes(), Instant::now()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "line 5 and more\n");
        let names = files(folder.path());
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(names.contains(&"calls.jsonl.other".to_owned()));
        assert_eq!(fs::read_to_string(folder.path().join(&names[1])).unwrap(), "line 3 and more\n");
    }

    #[test]
    fn nothing_is_kept_longer_than_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        let keep_for = Some(Duration::from_millis(10));
        let mut log = Rotating { path: path.clone(), most: 1 << 20, keep: 9, keep_for, open: None };
        let start = Instant::now();
        log.write(b"said long ago\n", start).unwrap();
        // A tenth of the time: it is put aside although it is small.
        log.write(b"", start + Duration::from_millis(1)).unwrap();
        assert_eq!(files(folder.path()).len(), 1);
        let until = Instant::now() + Duration::from_secs(10);
        while !files(folder.path()).is_empty() && Instant::now() < until {
            log.write(b"", Instant::now()).unwrap();
        }
        assert_eq!(files(folder.path()), Vec::<String>::new());
    }
}
