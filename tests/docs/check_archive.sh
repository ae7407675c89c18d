#!/usr/bin/env bash
# The release archive: made twice it has the same bytes, its checksums hold, and what is in it runs.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
"$ROOT/deploy/release/archive" "$WEIR_BIN" "$WORK/one"
"$ROOT/deploy/release/archive" "$WEIR_BIN" "$WORK/two"
diff -r "$WORK/one" "$WORK/two"
(cd "$WORK/one" && sha256sum --check --strict SHA256SUMS)
mkdir "$WORK/out"
tar -xzf "$WORK"/one/weir-*.tar.gz -C "$WORK/out"
cd "$WORK"/out/weir-*
./weir --version
WEIR_MASTER_KEY=any OPENAI_API_KEY=any ./weir schema config | cmp - schema.json
test -s man/weir.1 && test -s completions/weir.bash
[ -z "$(find . -perm /022)" ]
