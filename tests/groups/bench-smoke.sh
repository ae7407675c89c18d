#!/usr/bin/env bash
# tests/bench/run --quick: that it runs and measures; its figures are no promise
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$ROOT"
check "bench, quick" bash tests/bench/run --quick --out "$CACHE/bench-quick.json"
if [ -f "$CACHE/bench-quick.json" ]; then
    check "its result is complete" python3 tests/bench/lib/check_result.py "$CACHE/bench-quick.json"
    python3 tests/bench/lib/table.py "$CACHE/bench-quick.json" || true
fi
checks_done
