//! Connections that wait for their next call, the one used last in front: so no more stay open than are needed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::conn::Conn;

/// The most connections that wait.
const MOST: usize = 4096;

/// The idle connections to one provider.
pub(in crate::upstream) struct Pool {
    idle: Mutex<Idle>,
    keep_for: Duration,
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
    pub(in crate::upstream) fn new(keep_for: Duration) -> Arc<Pool> {
        Arc::new_cyclic(|own| Pool { idle: Mutex::default(), keep_for, own: own.clone() })
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

    /// Lets go of what waited too long or was closed by the other side. False when nothing is left.
    fn tidy(&self) -> bool {
        let mut idle = self.idle.lock();
        let keep_for = self.keep_for;
        idle.list.retain_mut(|(conn, since)| since.elapsed() < keep_for && conn.is_fresh());
        idle.swept = !idle.list.is_empty();
        idle.swept
    }
}

/// Tidies up now and then, as long as there is something to look after.
async fn sweep(pool: Weak<Pool>, keep_for: Duration) {
    let pause = (keep_for / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
    loop {
        tokio::time::sleep(pause).await;
        if !pool.upgrade().is_some_and(|pool| pool.tidy()) {
            return;
        }
    }
}
