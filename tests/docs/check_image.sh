#!/usr/bin/env bash
# Builds the image by docker/Dockerfile (stage `prebuilt`) on a Debian made by debootstrap, without any registry of
# images, runs it as the user that it names, calls it, and ends it by SIGTERM.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="$ROOT/tests/.cache/image"
mkdir -p "$CACHE/context"
build() { buildah --storage-driver vfs --root "$CACHE/store" --runroot "$CACHE/run" "$@"; }

if [ ! -f "$CACHE/context/base.tar" ]; then
    rm -rf "$CACHE/base"
    debootstrap --variant=minbase bookworm "$CACHE/base"
    tar -C "$CACHE/base" -cf "$CACHE/context/base.tar.part" .
    mv "$CACHE/context/base.tar.part" "$CACHE/context/base.tar"
    rm -rf "$CACHE/base"
fi
BIN="$(mktemp -d)"
# The last process below this one.
inside() {
    local child
    child="$(pgrep --parent "$1" | tail -1)" || true
    if [ -n "$child" ]; then inside "$child"; else echo "$1"; fi
}
RUN=""
finish() {
    [ -z "$RUN" ] || kill -9 "$(inside "$RUN")" "$RUN" 2> /dev/null || true
    build rm --all > /dev/null 2>&1 || true
    sleep 0.2
    rm -rf "$BIN" "$CACHE/store" "$CACHE/run"
}
trap finish EXIT

printf 'FROM scratch\nADD base.tar /\nCMD ["/bin/bash"]\n' > "$CACHE/context/Containerfile"
build bud --isolation chroot -t localhost/debian:bookworm -f "$CACHE/context/Containerfile" "$CACHE/context"
install -m 755 "$WEIR_BIN" "$BIN/weir"
build bud --isolation chroot --pull-never --target prebuilt --build-arg BASE=localhost/debian:bookworm \
    --build-context "weir-binary=$BIN" -f "$ROOT/docker/Dockerfile" -t weir:test "$ROOT"
build inspect --type image weir:test | grep -q '"User": "65532:65532"'

PORT="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
CONTAINER="$(build from --pull-never localhost/weir:test)"
build run --isolation chroot --network host --env "WEIR_LISTEN=127.0.0.1:$PORT" --env WEIR_MASTER_KEY=key-of-the-image-test \
    "$CONTAINER" -- /usr/local/bin/weir > "$BIN/log" 2>&1 &
RUN=$!
for _ in $(seq 300); do
    curl -fsS "http://127.0.0.1:$PORT/health/ready" > /dev/null 2>&1 && break
    kill -0 "$RUN" 2> /dev/null || { cat "$BIN/log"; exit 1; }
    sleep 0.1
done
curl -fsS "http://127.0.0.1:$PORT/v1/chat/completions" -H 'authorization: Bearer key-of-the-image-test' \
    -H 'content-type: application/json' -d '{"model": "demo/echo", "messages": [{"role": "user", "content": "from the image"}]}' |
    grep -q '"from the image"'
WEIR="$(inside "$RUN")"
[ "$(stat -c %u "/proc/$WEIR")" = 65532 ]
kill -TERM "$WEIR"
wait "$RUN"
RUN=""
echo "the image is built, runs as 65532, answers, and ends at SIGTERM"
