//! The process: HTTP front, commands, telemetry, wiring.
fn main() {}
