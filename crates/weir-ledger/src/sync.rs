//! The lock of the budgets: `parking_lot`'s. In tests of this crate it is one whose order can be chosen, so that small
//! models run the real code in every order of locks (`model`).

#[cfg(test)]
pub(crate) mod model;

#[cfg(test)]
pub(crate) use model::Mutex;
#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;
