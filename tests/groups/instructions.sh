#!/usr/bin/env bash
# instructions a call by callgrind: what keys, limits and budgets add, what telling of calls adds, and what a call costs
# before the committed baseline
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$ROOT"
check "keys, limits and budgets add no more than they do" bash tests/bench/instructions --admission
check "a log of all calls and traces of a hundredth cost a tenth at most" bash tests/bench/instructions --telemetry
check "a call costs no more than the baseline" bash tests/bench/instructions
checks_done
