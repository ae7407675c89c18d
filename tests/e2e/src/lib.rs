//! weir-e2e
