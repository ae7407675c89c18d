"""Starts the real `weir` for a test, in a folder of its own, on a free port, and stops it again."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("WEIR_BIN", ROOT / "target" / "release" / "weir"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment() -> dict[str, str]:
    """The environment without anything that configures weir or turns a provider on."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "RUST_BACKTRACE")
    return {name: os.environ[name] for name in kept if name in os.environ}


class Answer:
    """Status, headers and body of one HTTP answer, whatever the status."""

    def __init__(self, status: int, headers, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def error(self) -> dict:
        return self.json()["error"]


class Weir:
    """A running gateway. With `config`, the text of its weir.yaml; without, nothing is configured."""

    def __init__(self, folder: Path, config: str | None = None, environment: dict[str, str] | None = None):
        self.folder, self.port = Path(folder), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = clean_environment() | {"WEIR_LISTEN": f"127.0.0.1:{self.port}"} | (environment or {})
        if config is not None:
            (self.folder / "weir.yaml").write_text(config)
        self.log = open(self.folder / "weir.log", "wb")
        self.process = subprocess.Popen(
            [BINARY], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )

    def __enter__(self) -> "Weir":
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"weir ended with {self.process.returncode}:\n{self.output()}")
            try:
                if self.get("/health/ready").status == 200:
                    return self
            except (OSError, urllib.error.URLError):
                time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(f"weir was not ready after 30 s:\n{self.output()}")

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"weir did not end within 20 s of SIGTERM:\n{self.output()}") from None
        self.log.close()
        self.search_for_secrets()

    def search_for_secrets(self) -> None:
        """W-077: the secrets of all suites begin with `canary-`. Nothing that weir wrote may hold one."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.suffix != ".yaml" and (at := path.read_bytes().find(b"canary-")) >= 0:
                raise RuntimeError(f"a secret is in {path} at {at}")

    def output(self) -> str:
        """What weir wrote to the terminal."""
        return (self.folder / "weir.log").read_text(errors="replace")

    def request(self, method: str, path: str, body=None, headers: dict[str, str] | None = None) -> Answer:
        """One request; `body` is bytes, or anything that becomes JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=sent | (headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, refused.read())

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body, headers: dict[str, str] | None = None) -> Answer:
        return self.request("POST", path, body, headers)

    def chat(self, model: str, text: str = "hello", headers: dict[str, str] | None = None, **more) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.post("/v1/chat/completions", body, headers)

    def spend(self, *arguments: str) -> dict:
        """`weir spend --json`, asked of this gateway."""
        done = self.run("spend", "--json", "--url", self.url, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def spend_when(self, calls: int, *arguments: str) -> dict:
        """The same, once the rows of that many calls have reached the store."""
        deadline = time.monotonic() + 10
        while True:
            found = self.spend(*arguments)
            if found["total"]["calls"] >= calls or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return run_weir(self.folder, *arguments, environment=self.environment)


@contextmanager
def over_simulators(folder: Path, config: str):
    """A gateway whose `{port}` in `config` is where all simulated providers are."""
    port = free_port()
    simulator = subprocess.Popen(
        [BINARY, "simulate", "all", "--listen", f"127.0.0.1:{port}"],
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Weir(folder, config.format(port=port)) as running:
            yield running
    finally:
        simulator.terminate()
        simulator.wait(10)


def run_weir(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """A command of weir that ends by itself."""
    return subprocess.run(
        [BINARY, *arguments],
        cwd=folder,
        env=environment or clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def raw(port: int, payload: bytes, timeout: float = 10.0) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(payload)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return received
