#!/usr/bin/env bash
# a real model (llama.cpp with SmolLM2) behind weir: chat, stream, JSON schema, /v1/messages, its cost line
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT/tests/clients/python"

model_venv
export PYTHONDONTWRITEBYTECODE=1
rc=0
"$PYTHON" -m pytest -q --junitxml="$CACHE/model.xml" test_model.py || rc=1
python3 "$ROOT/tests/lib/tally.py" junit "$CACHE/model.xml" || rc=1
exit "$rc"
