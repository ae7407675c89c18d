"""Fixtures: a gateway with nothing configured, and one with keys."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from weir_process import BINARY, Weir  # noqa: E402

MASTER, CI_KEY = "canary-master-key-of-the-tests", "canary-ci-key-of-the-tests"

WITH_KEYS = """
server:
  master_key: ${WEIR_MASTER_KEY}
  max_body: 64KiB
providers:
  demo: {}
  nonsense: { kind: openai-compatible, base_url: "http://127.0.0.1:${NONSENSE_PORT}/v1", api_key: any }
models:
  greeting: demo/echo
  broken: nonsense/any
keys:
  - name: ci
    key: ${CI_KEY}
    team: platform
    models: ["greeting", "demo/tools"]
teams:
  - name: platform
"""


def keys_environment(nonsense) -> dict[str, str]:
    """What WITH_KEYS takes from the environment."""
    return {"WEIR_MASTER_KEY": MASTER, "CI_KEY": CI_KEY, "NONSENSE_PORT": str(nonsense.server_address[1])}


def pytest_configure(config):
    if not BINARY.exists():
        pytest.exit(f"there is no {BINARY}; build it with `cargo build --release -p weir`", returncode=3)


@pytest.fixture(scope="session")
def weir(tmp_path_factory):
    """A gateway as it comes: no file, no key, nothing in the environment."""
    with Weir(tmp_path_factory.mktemp("bare")) as running:
        yield running


@pytest.fixture(scope="session")
def nonsense():
    """A provider that answers 200 with something that is no completion. Its `answers` is what comes next."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            kind, body = self.server.answer
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = ("application/json", json.dumps({"surprise": True}).encode())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory, nonsense):
    """A gateway with a master key, one declared key, a small body limit and a provider that answers nonsense."""
    with Weir(tmp_path_factory.mktemp("guarded"), WITH_KEYS, keys_environment(nonsense)) as running:
        yield running


def pytest_addoption(parser):
    parser.addoption("--openai-major", default=None, help="the major version of the OpenAI SDK that must be installed")
