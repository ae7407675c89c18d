//! The layers of the stack, each at the stage whose type has what it needs.

pub mod breaker;
pub mod budget;
pub mod cache;
pub mod encode;
pub mod failover;
pub mod fault;
pub mod hold;
pub mod limit;
pub mod observe;
pub mod record;
pub mod route;

/// What layers return.
pub type Future<T, E> = std::pin::Pin<Box<dyn std::future::Future<Output = Result<T, E>> + Send>>;

/// Takes the service that was polled ready and leaves a clone, as tower's contract asks.
fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    std::mem::replace(inner, clone)
}
