#!/usr/bin/env bash
# the reliability cases in their short form: every tests/cases/*.sh and *.py, each a counted test
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT"

need_postgres
main_venv
export PATH="$(dirname "$PYTHON"):$PATH" PYTHONDONTWRITEBYTECODE=1
shopt -s nullglob
ran=0
for case in tests/cases/*.sh tests/cases/*.py; do
    name="$(basename "$case")"
    # A file that begins with `_` is shared by the cases.
    [ "${name#_}" = "$name" ] || continue
    began=$SECONDS
    case "$case" in
        *.sh) check "$name" bash "$case" ;;
        *.py) check "$name" "$PYTHON" "$case" ;;
    esac
    say "      $((SECONDS - began)) s"
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || die "there is no case in tests/cases"
checks_done
