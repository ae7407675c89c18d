//! Starts a command and does harm to it at moments chosen by a seed: kills it and starts it again, or freezes it.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::process::{Child, Command};

/// What is done to the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// SIGKILL, and a new start.
    Kill,
    /// SIGTERM, a wait for its end, and a new start.
    Terminate,
    /// SIGSTOP for a while, then SIGCONT.
    Freeze(Duration),
}

/// What to run, and what to do to it.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Chooses the moments.
    pub seed: u64,
    /// What is done.
    pub harm: Harm,
    /// How often.
    pub times: u32,
    /// Time between two harms: at least, at most.
    pub between: (Duration, Duration),
    /// Time from a kill to the next start.
    pub pause: Duration,
    /// How long it runs on after the last harm; none: till a signal comes.
    pub after: Option<Duration>,
}

/// The moments, counted from the command's latest start or harm.
pub fn moments(chaos: &Chaos) -> Vec<Duration> {
    let mut random = StdRng::seed_from_u64(chaos.seed);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let (from, to) = (micros(chaos.between.0), micros(chaos.between.1));
    (0..chaos.times).map(|_| Duration::from_micros(random.random_range(from..=to))).collect()
}

/// Runs it all; prints what is done and when.
///
/// # Errors
/// When the command cannot be started, or ends by itself before its time.
pub async fn run(chaos: &Chaos) -> Result<(), String> {
    let began = Instant::now();
    let say = |what: &str| {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "chaos {:9.3} {what}", began.elapsed().as_secs_f64());
        let _ = out.flush();
    };
    say(&format!("seed {}", chaos.seed));
    let mut child = start(&chaos.command)?;
    say(&format!("started, process {}", child.id().unwrap_or(0)));
    for (index, moment) in moments(chaos).into_iter().enumerate() {
        tokio::select! {
            () = tokio::time::sleep(moment) => {}
            status = child.wait() => return Err(format!("the command ended by itself: {status:?}")),
            () = stopped() => return end(child).await,
        }
        match chaos.harm {
            Harm::Kill => {
                child.kill().await.map_err(|cause| cause.to_string())?;
                say(&format!("killed, {} of {}", index + 1, chaos.times));
            }
            Harm::Terminate => {
                signal(&[child.id().unwrap_or(0)], "TERM").await?;
                let status = child.wait().await;
                say(&format!("terminated, {} of {}: {status:?}", index + 1, chaos.times));
            }
            Harm::Freeze(time) => {
                let processes = family(child.id().unwrap_or(0));
                signal(&processes, "STOP").await?;
                say(&format!("froze {} processes, {} of {}", processes.len(), index + 1, chaos.times));
                tokio::time::sleep(time).await;
                signal(&processes, "CONT").await?;
                say("woke them");
                continue;
            }
        }
        tokio::time::sleep(chaos.pause).await;
        child = start(&chaos.command)?;
        say(&format!("started, process {}", child.id().unwrap_or(0)));
    }
    say("no more harm");
    tokio::select! {
        () = tokio::time::sleep(chaos.after.unwrap_or(Duration::MAX)) => {}
        status = child.wait() => return Err(format!("the command ended by itself: {status:?}")),
        () = stopped() => {}
    }
    end(child).await
}

fn start(command: &[String]) -> Result<Child, String> {
    let (program, arguments) = command.split_first().ok_or("no command given")?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| format!("starting {program}: {cause}"))
}

/// Ends the command as an operator would.
async fn end(mut child: Child) -> Result<(), String> {
    if let Some(process) = child.id() {
        signal(&[process], "TERM").await?;
    }
    match tokio::time::timeout(Duration::from_secs(30), child.wait()).await {
        Ok(_) => Ok(()),
        Err(_) => child.kill().await.map_err(|cause| cause.to_string()),
    }
}

/// Waits for SIGTERM or SIGINT.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn signal(processes: &[u32], name: &str) -> Result<(), String> {
    let list: Vec<String> = processes.iter().map(u32::to_string).collect();
    // The shell's own `kill` is there on every machine.
    let script = format!("kill -{name} {}", list.join(" "));
    let status = Command::new("sh").arg("-c").arg(script).stderr(Stdio::null()).status().await;
    status.map(|_| ()).map_err(|cause| format!("sending {name}: {cause}"))
}

/// The process and all its descendants, as `/proc` tells.
pub fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let child: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name may hold spaces and brackets; the parent is the second word after its last bracket.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((child, parent))
        })
        .collect();
    let mut at = 0;
    while let Some(parent) = all.get(at).copied() {
        all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chaos(command: &[&str], harm: Harm) -> Chaos {
        Chaos {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            seed: 3,
            harm,
            times: 3,
            between: (Duration::from_millis(20), Duration::from_millis(60)),
            pause: Duration::ZERO,
            after: Some(Duration::from_millis(50)),
        }
    }

    #[test]
    fn the_seed_chooses_the_moments() {
        let one = chaos(&["x"], Harm::Kill);
        assert_eq!(moments(&one), moments(&one));
        assert_ne!(moments(&one), moments(&Chaos { seed: 4, ..one.clone() }));
        assert!(moments(&one).iter().all(|moment| (20..=60).contains(&moment.as_millis())));
    }

    #[tokio::test]
    async fn a_killed_command_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("starts");
        let script = format!("echo start >> {}; exec sleep 60", file.display());
        run(&chaos(&["sh", "-c", &script], Harm::Kill)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 4);
        assert!(run(&chaos(&["sh", "-c", "exit 3"], Harm::Kill)).await.is_err());
    }

    #[tokio::test]
    async fn a_frozen_command_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("starts");
        let script = format!("echo start >> {}; exec sleep 60", file.display());
        run(&chaos(&["sh", "-c", &script], Harm::Freeze(Duration::from_millis(20)))).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    }
}
