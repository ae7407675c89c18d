//! Connections that wait for their next call, the one used last in front: so no more stay open than are needed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::conn::Conn;
use crate::upstream::names::Home;

/// The most connections that wait.
const MOST: usize = 4096;

/// The idle connections to one provider.
pub(in crate::upstream) struct Pool {
    idle: Mutex<Idle>,
    keep_for: Duration,
    /// What the provider's name stands for; `None` where it has none.
    home: Option<Home>,
    own: Weak<Pool>,
}

#[derive(Default)]
struct Idle {
    /// Each with the time since when it waits, oldest first.
    list: Vec<(Conn, Instant)>,
    /// A task looks after them.
    swept: bool,
}

impl Pool {
    /// An empty one, whose connections wait for `keep_for` at most.
    pub(in crate::upstream) fn new(keep_for: Duration, home: Option<Home>) -> Arc<Pool> {
        Arc::new_cyclic(|own| Pool { idle: Mutex::default(), keep_for, home, own: own.clone() })
    }

    /// A connection that is still open, as far as can be seen from here.
    pub(in crate::upstream) fn take(&self) -> Option<Conn> {
        loop {
            let (mut conn, since) = self.idle.lock().list.pop()?;
            if since.elapsed() < self.keep_for && conn.is_fresh() {
                return Some(conn);
            }
        }
    }

    /// Takes a connection back.
    pub(super) fn put(&self, conn: Conn) {
        if !self.is_home(&conn) {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.list.len() >= MOST {
            return;
        }
        idle.list.push((conn.used(), Instant::now()));
        if !idle.swept
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            idle.swept = true;
            runtime.spawn(sweep(self.own.clone(), self.keep_for));
        }
    }

    /// Whether the provider still is where this connection leads.
    fn is_home(&self, conn: &Conn) -> bool {
        let home = self.home.as_ref().zip(conn.peer());
        home.is_none_or(|(home, peer)| home.is_home(peer))
    }

    /// Lets go of what waited too long, leads to where the provider is no more, or was closed by the other side.
    fn tidy(&self) {
        let mut idle = self.idle.lock();
        let keep_for = self.keep_for;
        idle.list
            .retain_mut(|(conn, since)| since.elapsed() < keep_for && self.is_home(conn) && conn.is_fresh());
    }

    /// Whether something is left to look after.
    fn goes_on(&self) -> bool {
        self.tidy();
        let mut idle = self.idle.lock();
        idle.swept = !idle.list.is_empty();
        idle.swept
    }
}

/// Tidies up now and then, as long as there is something to look after.
async fn sweep(pool: Weak<Pool>, keep_for: Duration) {
    let pause = (keep_for / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
    loop {
        let Some(own) = pool.upgrade() else { return };
        let pause = match &own.home {
            None => pause,
            Some(home) => {
                home.refresh().await;
                own.tidy();
                pause.min(home.again())
            }
        };
        drop(own);
        tokio::time::sleep(pause).await;
        if !pool.upgrade().is_some_and(|pool| pool.goes_on()) {
            return;
        }
    }
}
