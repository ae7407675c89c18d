#!/usr/bin/env bash
# the reliability cases in their short form (tests/e2e), against the release binary and simulated providers
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT"

need_nextest
need_postgres
need_faketime
need_redis
need_haproxy
apt_need taskset util-linux
log="$CACHE/cases.log"
rc=0
# Of the whole workspace, so that nothing is built twice with other features.
linted cargo nextest run --workspace --locked --no-fail-fast --status-level fail --final-status-level slow --show-progress none \
    -E 'package(weir-e2e) & binary(cases)' 2>&1 | tee "$log" || rc=$?
# What the filter leaves to the group `unit` is not skipped.
python3 "$ROOT/tests/lib/tally.py" nextest-part "$log" || rc=1
exit "$rc"
