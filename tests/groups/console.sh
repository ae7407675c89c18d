#!/usr/bin/env bash
# the console in headless Chromium: each page, keys, playground, script payloads, accessibility; and that its built files are current
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"

apt_need chromium chromium
node_modules crates/weir/console
node_modules tests/console

built_files_are_current() {
    local source="$ROOT/crates/weir/console" fresh
    fresh="$(mktemp -d "$CACHE/console.XXXXXX")"
    (cd "$source" && npx tsc --noEmit && npx vite build --outDir "$fresh" --emptyOutDir) &&
        diff -r "$source/dist" "$fresh" ||
        { echo "crates/weir/console/dist is not what its source makes: npm run build"; return 1; }
    rm -rf "$fresh"
}
check "console: its built files are what its source makes" built_files_are_current

rc=0
cd "$ROOT/tests/console"
node --test --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=junit --test-reporter-destination="$CACHE/console.xml" || rc=1
python3 "$ROOT/tests/lib/tally.py" junit "$CACHE/console.xml" || rc=1
checks_done || rc=1
exit "$rc"
