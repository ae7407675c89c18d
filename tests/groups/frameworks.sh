#!/usr/bin/env bash
# frameworks (LangChain, LlamaIndex, …) and coding agents (Codex, Claude Code, …), unmodified, before other vendors' models
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
export PYTHONDONTWRITEBYTECODE=1
rc=0

began=$SECONDS
frameworks_venvs
need_agents
mkdir -p "$CACHE/home"
say "installed in $((SECONDS - began)) s"

# NAME COMMAND...: runs beside the others; its output is shown when all are done.
NAMES=()
beside() {
    local name="$1"
    shift
    NAMES+=("$name")
    rm -f "$CACHE/$name.xml"
    (began=$SECONDS; code=0; "$@" > "$CACHE/$name.log" 2>&1 || code=$?; echo "$code $((SECONDS - began))" > "$CACHE/$name.end") &
}

# With a home of its own: CrewAI leaves files there.
pytests() { (cd "$ROOT/tests/clients/frameworks" && HOME="$CACHE/home" "$1" -m pytest -q --junitxml="$CACHE/$2.xml" "${@:3}"); }
agents() {
    cd "$ROOT/tests/clients/agents"
    node --test --test-concurrency=2 --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=junit --test-reporter-destination="$CACHE/agents.xml"
}

beside frameworks pytests "$FRAMEWORKS" frameworks --ignore openai2 .
beside frameworks-openai-2 pytests "$FRAMEWORKS_OPENAI2" frameworks-openai-2 openai2
beside agents agents
wait
for name in "${NAMES[@]}"; do
    read -r code seconds < "$CACHE/$name.end"
    say "--- $name ($seconds s)"
    cat "$CACHE/$name.log"
    [ "$code" = 0 ] || rc=1
    python3 "$ROOT/tests/lib/tally.py" junit "$CACHE/$name.xml" || rc=1
done
exit "$rc"
