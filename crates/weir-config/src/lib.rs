//! The configuration as written: typed, strict, documented.
