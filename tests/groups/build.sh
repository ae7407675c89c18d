#!/usr/bin/env bash
# the release binaries that the next groups start; counts no tests
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$ROOT"
if [ -n "${WEIR_TEST_NO_BUILD:-}" ]; then
    say "using $WEIR_BIN as it is"
    [ -x "$WEIR_BIN" ] || die "there is no $WEIR_BIN"
    exit 0
fi
cargo build --release --locked --bins -p weir -p weir-sim -p weir-tools
ls -l "$WEIR_BIN" "$WEIR_SIM_BIN"
# The command of the README must find the gateway among the binaries of the workspace.
cargo run --release --locked --quiet -- --version
