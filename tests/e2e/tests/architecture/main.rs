//! The invariants of ARCHITECTURE.md that the compiler does not hold: who may depend on whom, who may do what.

mod graph;
mod source;
