//! What answers each route.

pub mod cache;
pub mod console;
pub mod count;
pub mod gemini_array;
pub mod generation;
pub mod health;
pub mod inference;
pub mod metrics;
pub mod models;
pub mod openapi;
pub mod responses;
pub mod spend;
