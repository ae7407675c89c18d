//! libFuzzer before one of weir's targets, which `WEIR_FUZZ_TARGET` names. `tests/long/run fuzz` builds and runs it.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("WEIR_FUZZ_TARGET").expect("WEIR_FUZZ_TARGET names a target"));

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_fuzz::run(&TARGET, input));
