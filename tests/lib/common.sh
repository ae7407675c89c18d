# Shared by tests/run and the groups: where things are, what was counted, what was left out.
# Sourced, never run.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="$ROOT/tests/.cache"
BIN="${CARGO_TARGET_DIR:-$ROOT/target}/release"
export WEIR_BIN="${WEIR_BIN:-$BIN/weir}"
export WEIR_SIM_BIN="${WEIR_SIM_BIN:-$BIN/weir-sim}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
# Nothing that the machine happens to hold may turn a provider on.
unset WEIR_CONFIG WEIR_LISTEN WEIR_MASTER_KEY WEIR_DATA_DIR WEIR_URL WEIR_KEY
unset OPENAI_API_KEY OPENAI_BASE_URL ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL GEMINI_API_KEY GOOGLE_API_KEY
mkdir -p "$CACHE"

# linted COMMAND...: cargo for tests, with clippy as the compiler of our own crates. One build is lints and tests in one;
# clippy by itself compiles every dependency once more.
linted() { CLIPPY_ARGS="-Dwarnings__CLIPPY_HACKERY__" RUSTC_WORKSPACE_WRAPPER=clippy-driver "$@"; }

say() { printf '%s\n' "$*"; }
die() { printf 'tests: %s\n' "$*" >&2; exit 1; }

# counted PASSED FAILED SKIPPED: adds to the totals of this run.
counted() {
    [ -n "${WEIR_TALLY:-}" ] || return 0
    printf 'count %s %s %s\n' "$1" "$2" "${3:-0}" >> "$WEIR_TALLY"
}

# left_out WHAT WHY: is named at the end of the run.
left_out() {
    say "left out: $1 ($2)"
    [ -n "${WEIR_TALLY:-}" ] || return 0
    printf 'left %s (%s)\n' "$1" "$2" >> "$WEIR_TALLY"
}

# check NAME COMMAND...: runs a command as one counted test; its output shows only when it fails.
check() {
    local name="$1" log
    shift
    log="$(mktemp "$CACHE/check.XXXXXX")"
    if "$@" > "$log" 2>&1; then
        say "ok    $name"
        counted 1 0
    else
        say "FAIL  $name"
        sed 's/^/      /' "$log" | tail -60
        counted 0 1
        CHECKS_FAILED=1
    fi
    rm -f "$log"
}

# Ends a group with 1 if a check of it failed.
checks_done() { [ "${CHECKS_FAILED:-0}" = 0 ]; }
