#!/usr/bin/env bash
# instructions a call by callgrind: what keys, limits and budgets add, and what a call costs before the committed baseline
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$ROOT"
check "keys, limits and budgets add no more than they do" bash tests/bench/instructions --admission
# Told, and not judged until the baseline is what main does: it is from before features that landed since.
bash tests/bench/instructions || true
checks_done
