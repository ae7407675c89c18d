#!/usr/bin/env bash
# format, documents, licences of dependencies; clippy's lints are part of `unit`'s build
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT"

check "cargo fmt" cargo fmt --all --check
check "Cargo.lock is current" cargo metadata --locked --format-version 1
check "shell scripts parse" bash -c 'for f in tests/run .ci/run tests/long/run tests/groups/*.sh tests/lib/*.sh tests/bench/run; do [ ! -f "$f" ] || ! head -1 "$f" | grep -q bash || bash -n "$f" || exit 1; done'
check "Python files compile" python3 -m compileall -q -f tests/clients/python tests/clients/frameworks tests/lib tests/bench tests/docs tests/long
find tests -name __pycache__ -type d -not -path '*/.cache/*' -prune -exec rm -rf {} +
check "requirement matrix" python3 tests/docs/check_requirements.py
check "links in documents" python3 tests/docs/check_links.py

check "licences, sources and bans of dependencies" python3 tests/docs/check_dependencies.py
if cargo deny --version > /dev/null 2>&1; then
    check "cargo deny" cargo deny --offline --locked check licenses bans sources
else
    left_out "cargo deny" "not installed; check_dependencies.py has checked deny.toml's licences, sources and bans"
fi
checks_done
