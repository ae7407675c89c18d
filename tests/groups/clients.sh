#!/usr/bin/env bash
# the official SDKs, curl, keys and bad input against the real binary with nothing configured
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT/tests/clients/python"

apt_need curl curl
main_venv
rc=0

run_pytest() {
    local name="$1" python="$2"
    shift 2
    say "--- $name"
    "$python" -m pytest -q --junitxml="$CACHE/$name.xml" "$@" || rc=1
    python3 "$ROOT/tests/lib/tally.py" junit "$CACHE/$name.xml" || rc=1
}

export PYTHONDONTWRITEBYTECODE=1
run_pytest python "$PYTHON" --openai-major 3 -m "not model" --ignore api .
openai2_venv
run_pytest python-openai-2 "$PYTHON" --openai-major 2 test_openai.py
api_venv
run_pytest admin-api "$PYTHON" -c pytest.ini --rootdir api --confcutdir api api

say "--- node"
need_node_modules
cd "$ROOT/tests/clients/node"
node --test --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=junit --test-reporter-destination="$CACHE/node.xml" || rc=1
python3 "$ROOT/tests/lib/tally.py" junit "$CACHE/node.xml" || rc=1
exit "$rc"
