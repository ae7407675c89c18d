//! A credential that is found once and renewed by itself: callers wait only before the first.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use weir_adapter::Credential;
use weir_adapter::credential::{Identity, Renewed};
use weir_gateway::credentials::Chain;

/// How long before its end a credential is renewed; a fifth of its life where that is shorter.
const AHEAD: Duration = Duration::from_secs(300);
/// How often one without an end is looked for anew: files and variables change.
const UNENDING: Duration = Duration::from_secs(600);
/// The shortest and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long one search may take: an instance's own service is asked last, and is slow to be missing.
const PATIENCE: Duration = Duration::from_secs(20);
/// How soon after a refused credential another is fetched for the same reason.
const REFUSALS: Duration = Duration::from_secs(30);

/// What a search found.
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) ends: Option<SystemTime>,
}

/// Who finds a credential: once each time it is asked.
pub(super) trait Find: Send + Sync + 'static {
    /// How messages call it.
    const NAME: &'static str;

    /// Searches; else says why nothing was found.
    fn find(&self) -> impl Future<Output = Result<Found, String>> + Send;
}

type Search = Pin<Box<dyn Future<Output = Result<Found, String>> + Send>>;

/// A search, begun by each call.
pub(super) type Resolve = Box<dyn Fn() -> Search + Send + Sync>;

/// How the last search went: none ended yet, well, or why not.
type Last = Option<Result<(), String>>;

/// Searches of `who`, each with a limited time.
pub(super) fn within<T: Find>(who: T) -> Resolve {
    let who = Arc::new(who);
    Box::new(move || {
        let who = who.clone();
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, who.find()).await {
                Ok(found) => found,
                Err(_) => Err(format!("{} did not answer within {} s", T::NAME, PATIENCE.as_secs())),
            }
        })
    })
}

/// One provider's credential, and the task that renews it while somebody holds this.
pub(super) struct Renewal {
    /// Whose, for the log.
    name: String,
    held: Arc<Renewed>,
    /// The credential that its provider did not take any more, by its number.
    refused: AtomicU64,
    refused_at: Mutex<Option<Instant>>,
    resolve: Resolve,
    last: watch::Sender<Last>,
    begun: std::sync::Once,
    /// Renew now.
    wake: Arc<Notify>,
    itself: Weak<Renewal>,
}

impl Renewal {
    /// Nothing is searched before somebody waits.
    pub(super) fn open(name: &str, resolve: Resolve) -> Arc<Renewal> {
        Arc::new_cyclic(|itself| Renewal {
            name: name.to_owned(),
            held: Arc::default(),
            refused: AtomicU64::new(0),
            refused_at: Mutex::new(None),
            resolve,
            last: watch::Sender::new(None),
            begun: std::sync::Once::new(),
            wake: Arc::default(),
            itself: itself.clone(),
        })
    }

    /// Searches once, and says when to search again.
    async fn renew(&self, failures: &mut u32) -> Duration {
        match (self.resolve)().await {
            Ok(found) => {
                *failures = 0;
                let pause = pause(found.ends, SystemTime::now());
                self.held.set(found.identity, found.ends);
                self.last.send_replace(Some(Ok(())));
                pause
            }
            Err(why) => {
                tracing::warn!(kind = %self.name, why, "a provider's credential can't be renewed");
                // What was refused is the best there is.
                self.refused.store(0, Ordering::Release);
                self.last.send_replace(Some(Err(why)));
                *failures += 1;
                PAUSES.1.min(PAUSES.0 * 2_u32.saturating_pow((*failures - 1).min(10)))
            }
        }
    }
}

/// How long a credential is left alone.
fn pause(ends: Option<SystemTime>, now: SystemTime) -> Duration {
    let Some(end) = ends else { return UNENDING };
    let life = end.duration_since(now).unwrap_or_default();
    life.saturating_sub(AHEAD.min(life / 5)).max(PAUSES.0)
}

async fn keep(renewal: Weak<Renewal>) {
    let mut failures = 0;
    while let Some(held) = renewal.upgrade() {
        let pause = held.renew(&mut failures).await;
        let wake = held.wake.clone();
        drop(held);
        let _ = tokio::time::timeout(pause, wake.notified()).await;
    }
}

impl Chain for Renewal {
    fn credential(&self) -> Credential {
        Credential::renewed("chain", self.held.clone())
    }

    fn ready(&self) -> bool {
        self.held.holds(SystemTime::now()) && self.refused.load(Ordering::Acquire) != self.held.count()
    }

    fn number(&self) -> u64 {
        self.held.count()
    }

    fn refused(&self, number: u64) -> bool {
        if number != self.held.count() {
            return true;
        }
        let mut refused_at = self.refused_at.lock();
        if self.refused.load(Ordering::Acquire) == number {
            // Another call was told the same, and it is being replaced.
            return true;
        }
        if refused_at.is_some_and(|at| at.elapsed() < REFUSALS) {
            return false;
        }
        *refused_at = Some(Instant::now());
        tracing::warn!(kind = %self.name, "the provider refuses a credential before its end: it is renewed");
        self.last.send_replace(None);
        self.refused.store(number, Ordering::Release);
        self.wake.notify_one();
        true
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        self.begun.call_once(|| drop(tokio::spawn(keep(self.itself.clone()))));
        // What was well and has ended since, as while the machine slept, is looked for now and not when it was planned.
        let ended = |last: &mut Last| !self.ready() && last.take_if(|last| last.is_ok()).is_some();
        if self.last.send_if_modified(ended) {
            self.wake.notify_one();
        }
        Box::pin(async {
            let mut last = self.last.subscribe();
            let seen = last.wait_for(Option::is_some).await.map(|last| last.clone());
            match seen {
                _ if self.ready() => Ok(()),
                Ok(Some(Err(why))) => Err(why),
                _ => Err("it has ended, and was not renewed".to_owned()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    type Answers = fn(u32) -> Result<Found, String>;

    /// A chain that counts how often it is asked, and answers by that count.
    fn counted(answers: Answers) -> (Arc<Renewal>, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let resolve: Resolve = Box::new(move || {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                answers(n)
            })
        });
        (Renewal::open("test", resolve), asked)
    }

    fn found(n: u32, ends: Option<SystemTime>) -> Found {
        Found { identity: Identity::Bearer(format!("token-{n}")), ends }
    }

    /// Waits for something that comes by itself within a few seconds.
    async fn until(what: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !what() {
            assert!(began.elapsed() < Duration::from_secs(60), "it never came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn soon() -> Option<SystemTime> {
        Some(SystemTime::now() + Duration::from_secs(1))
    }

    #[tokio::test]
    async fn however_many_wait_one_asks() {
        let (chain, asked) = counted(|n| Ok(found(n, None)));
        assert!(!chain.ready() && chain.credential().bearer().is_none());
        let waits = (0..50).map(|_| {
            let chain = chain.clone();
            tokio::spawn(async move { chain.wait().await })
        });
        for wait in waits.collect::<Vec<_>>() {
            assert_eq!(wait.await.unwrap(), Ok(()));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(chain.credential().bearer().as_deref(), Some("token-0"));
        assert!(chain.ready());
    }

    #[tokio::test]
    async fn it_is_renewed_without_being_asked() {
        let (chain, _) = counted(|n| Ok(found(n, soon())));
        chain.wait().await.unwrap();
        let credential = chain.credential();
        until(|| credential.bearer().as_deref() == Some("token-2")).await;
    }

    #[tokio::test]
    async fn one_that_ended_unnoticed_is_replaced_while_calls_wait() {
        let (chain, _) = counted(|n| {
            let life = if n == 0 { Duration::from_millis(20) } else { Duration::from_secs(60) };
            Ok(found(n, Some(SystemTime::now() + life)))
        });
        chain.wait().await.unwrap();
        until(|| !chain.ready()).await;
        let began = Instant::now();
        chain.wait().await.unwrap();
        assert!(chain.ready() && began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_failure_is_told_at_once_and_tried_again_later() {
        let (chain, asked) =
            counted(|n| if n < 2 { Err("no profile".to_owned()) } else { Ok(found(n, None)) });
        assert_eq!(chain.wait().await, Err("no profile".to_owned()));
        assert_eq!(chain.wait().await, Err("no profile".to_owned()));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the second was told what the first was");
        until(|| chain.ready()).await;
        assert_eq!(chain.wait().await, Ok(()));
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn who_is_gone_asks_no_more() {
        let (chain, _) = counted(|n| Ok(found(n, soon())));
        let kept = tokio::spawn(keep(Arc::downgrade(&chain)));
        until(|| chain.ready()).await;
        drop(chain);
        tokio::time::timeout(Duration::from_secs(60), kept).await.expect("it ends").unwrap();
    }

    #[tokio::test]
    async fn one_that_is_refused_is_replaced_at_once_and_once() {
        let (chain, asked) = counted(|n| Ok(found(n, None)));
        chain.wait().await.unwrap();
        let number = chain.number();
        assert!(chain.refused(number) && !chain.ready());
        assert!(chain.refused(number), "who is told later waits, too");
        chain.wait().await.unwrap();
        assert_eq!(chain.credential().bearer().as_deref(), Some("token-1"));
        assert!(chain.refused(number), "it has been replaced since");
        assert!(!chain.refused(chain.number()), "the next is refused, too: another won't help");
        assert!(chain.ready());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn one_that_is_refused_stays_where_no_other_is_found() {
        let (chain, _) = counted(|n| if n == 0 { Ok(found(n, None)) } else { Err("down".to_owned()) });
        chain.wait().await.unwrap();
        assert!(chain.refused(chain.number()));
        chain.wait().await.unwrap();
        assert_eq!(chain.credential().bearer().as_deref(), Some("token-0"));
    }

    #[test]
    fn pauses_end_ahead_of_the_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |seconds| pause(Some(now + Duration::from_secs(seconds)), now).as_secs();
        assert_eq!([after(3600), after(1000), after(10), after(0)], [3300, 800, 8, 1]);
        assert_eq!(pause(None, now), UNENDING);
    }
}
