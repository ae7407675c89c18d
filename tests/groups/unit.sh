#!/usr/bin/env bash
# all Rust tests of the workspace, fixtures and both stores included; a warning of clippy's is an error
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT"

need_nextest
need_postgres
need_redis
if [ ! -d "$ROOT/../shared/fixtures" ]; then
    left_out "recorded traffic of providers" "there is no ../shared/fixtures beside the project"
fi

log="$CACHE/nextest.log"
rc=0
# The reliability cases have a group of their own.
linted cargo nextest run --workspace --locked --no-fail-fast --status-level fail --final-status-level slow --show-progress none \
    -E 'not (package(weir-e2e) & binary(cases))' 2>&1 | tee "$log" || rc=$?
python3 "$ROOT/tests/lib/tally.py" nextest-part "$log" || rc=1
# Doc tests are not nextest's business.
doc="$CACHE/doctest.log"
drc=0
linted cargo test --workspace --doc --locked --quiet > "$doc" 2>&1 || drc=$?
[ "$drc" = 0 ] || { rc=1; tail -40 "$doc"; }
python3 "$ROOT/tests/lib/tally.py" cargo "$doc" || [ "$drc" = 0 ] || rc=1
exit "$rc"
