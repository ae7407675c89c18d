//! Runs a few threads in every order in which they can take locks, but for those that change between threads that could
//! go on more often than a model allows (most faults need no more than two such changes).
//!
//! Only one of the threads runs at a time. Before each lock it asks who goes on; the answers of one run make the path to
//! the next, until there is no other path. What happens between two locks is of one thread alone, so this sees all that
//! code can do that shares nothing but what locks hold. A deadlock ends the test, as does a panic.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex as StdMutex, MutexGuard as StdGuard, PoisonError};

thread_local! {
    static ME: RefCell<Option<(Arc<Run>, usize)>> = const { RefCell::new(None) };
}

/// A lock; outside a model an ordinary one.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, T> {
        let Some((run, me)) = ME.with_borrow(Clone::clone) else { return self.0.lock() };
        run.step(me, State::Ready);
        loop {
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
            if run.board().failed {
                return self.0.lock();
            }
            run.step(me, State::Blocked);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// Until somebody else has made a step.
    Blocked,
    Done,
}

#[derive(Debug)]
struct Board {
    turn: usize,
    threads: Vec<State>,
    /// What was chosen so far, and of how many.
    path: Vec<(usize, usize)>,
    at: usize,
    /// How often this run may still leave a thread that could go on.
    changes: usize,
    /// A thread panicked: the others end as they like.
    failed: bool,
}

#[derive(Debug)]
struct Run {
    board: StdMutex<Board>,
    changed: Condvar,
}

impl Run {
    fn board(&self) -> StdGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread stands before a lock, or has ended: who goes on? Returns when it is this thread's turn again.
    fn step(&self, me: usize, state: State) {
        let mut board = self.board();
        if board.failed {
            return;
        }
        board.threads[me] = state;
        if state != State::Blocked {
            for other in &mut board.threads {
                if *other == State::Blocked {
                    *other = State::Ready;
                }
            }
        }
        board.choose(me);
        if board.turn != me {
            self.changed.notify_all();
        }
        if state != State::Done {
            self.wait(me, board);
        }
    }

    fn wait(&self, me: usize, mut board: StdGuard<'_, Board>) {
        while board.turn != me && !board.failed {
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
        board.threads[me] = State::Ready;
    }
}

impl Board {
    fn choose(&mut self, me: usize) {
        let goes_on = self.threads[me] == State::Ready;
        let others = (0..self.threads.len()).filter(|at| *at != me && self.threads[*at] == State::Ready);
        let mut options: Vec<usize> = goes_on.then_some(me).into_iter().chain(others).collect();
        if goes_on && self.changes == 0 {
            options.truncate(1);
        }
        if options.is_empty() {
            assert!(!self.threads.contains(&State::Blocked), "a deadlock: {self:?}");
            self.turn = usize::MAX;
            return;
        }
        if self.at == self.path.len() {
            self.path.push((0, options.len()));
        }
        let (chosen, of) = self.path[self.at];
        assert_eq!(of, options.len(), "the same path leads elsewhere: the model is not deterministic");
        self.at += 1;
        self.changes -= usize::from(goes_on && chosen != 0);
        self.turn = options[chosen];
    }
}

/// What a thread of a model does.
pub(crate) type Steps = Box<dyn FnOnce() + Send>;

/// Runs the threads that `set_up` makes in every order with up to `changes` changes between threads that could go on;
/// `check` looks at what they leave. How many orders there were.
pub(crate) fn every_order<S>(
    changes: usize,
    set_up: impl Fn() -> (S, Vec<Steps>),
    check: impl Fn(S),
) -> usize {
    let mut path = Vec::new();
    for runs in 1.. {
        let (state, threads) = set_up();
        path = one_order(changes, path, threads);
        check(state);
        while path.last().is_some_and(|(chosen, of)| chosen + 1 == *of) {
            path.pop();
        }
        match path.last_mut() {
            Some((chosen, _)) => *chosen += 1,
            None => return runs,
        }
    }
    unreachable!("paths end")
}

fn one_order(changes: usize, path: Vec<(usize, usize)>, threads: Vec<Steps>) -> Vec<(usize, usize)> {
    let states = vec![State::Ready; threads.len()];
    let board = Board { turn: 0, threads: states, path, at: 0, changes, failed: false };
    let run = Arc::new(Run { board: StdMutex::new(board), changed: Condvar::new() });
    std::thread::scope(|scope| {
        for (me, steps) in threads.into_iter().enumerate() {
            let run = run.clone();
            scope.spawn(move || {
                let done = Done(run.clone(), me);
                ME.set(Some((run.clone(), me)));
                run.wait(me, run.board());
                steps();
                drop(done);
            });
        }
    });
    let mut board = run.board();
    std::mem::take(&mut board.path)
}

/// Lets the others go on, also where a thread panics.
struct Done(Arc<Run>, usize);

impl Drop for Done {
    fn drop(&mut self) {
        ME.set(None);
        if std::thread::panicking() {
            self.0.board().failed = true;
            self.0.changed.notify_all();
        }
        self.0.step(self.1, State::Done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adding(one_lock: bool) -> (Arc<Mutex<u32>>, Vec<Steps>) {
        let sum = Arc::new(Mutex::new(0));
        let thread = || -> Steps {
            let sum = sum.clone();
            Box::new(move || {
                if one_lock {
                    *sum.lock() += 1;
                } else {
                    let read = *sum.lock();
                    *sum.lock() = read + 1;
                }
            })
        };
        (sum.clone(), vec![thread(), thread(), thread()])
    }

    #[test]
    fn a_lost_update_is_found_and_where_none_can_be_none_is() {
        let lost = StdMutex::new(0);
        let orders =
            every_order(2, || adding(false), |sum| *lost.lock().unwrap() += u32::from(*sum.lock() != 3));
        assert!(orders > 20 && *lost.lock().unwrap() > 5, "{orders} orders, {lost:?} lost");
        every_order(2, || adding(true), |sum| assert_eq!(*sum.lock(), 3));
    }

    #[test]
    #[should_panic]
    fn a_deadlock_is_found() {
        every_order(
            2,
            || {
                let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
                let thread = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| -> Steps {
                    let (first, second) = (first.clone(), second.clone());
                    Box::new(move || {
                        let held = first.lock();
                        drop(second.lock());
                        drop(held);
                    })
                };
                ((), vec![thread(&a, &b), thread(&b, &a)])
            },
            |()| {},
        );
    }
}
