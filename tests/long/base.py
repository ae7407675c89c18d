"""What the cases stand on: a folder each, the programs that they start, and what is known of earlier rounds."""

import getpass
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "tests" / ".cache" / "long"
BIN = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
BINARIES = ("weir", "weir-sim", "drive", "audit", "chaos")
PRICES = ROOT / "tests" / "tools" / "prices.json"
# Three in five are streams; OpenAI's and Anthropic's dialects, three providers.
MIX = [
    "stream:openai/gpt-4o-mini:25",
    "chat:openai/gpt-4o-mini:15",
    "stream:anthropic/claude-haiku-4-5:15",
    "messages:anthropic/claude-haiku-4-5:10",
    "messages-stream:anthropic/claude-haiku-4-5:10",
    "stream:gemini/gemini-2.5-flash:10",
    "chat:gemini/gemini-2.5-flash:10",
    "embeddings:openai/text-embedding-3-small:5",
]
WORDS = ["", "gap=1ms", "delay=5ms", "first=3ms+gap=500us"]


def say(text: str) -> None:
    print(text, flush=True)


def nextest(packages: list[str], tests: list[str]) -> list[str]:
    """The command that runs these tests of these packages, compiled already where `WEIR_TEST_ARCHIVE` names an archive."""
    chosen = " | ".join(f"test(/{test}/)" for test in tests)
    archive = os.environ.get("WEIR_TEST_ARCHIVE")
    if archive:
        # `-p` is for building only.
        within = " | ".join(f"package({package})" for package in packages)
        of = ["--archive-file", archive, "--workspace-remap", str(ROOT), "-E", f"({within}) & ({chosen})"]
    else:
        of = ["--locked", *(argument for package in packages for argument in ("-p", package)), "-E", chosen]
    return ["cargo", "nextest", "run", "--no-capture", "--no-fail-fast", *of]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str) -> dict | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.loads(answer.read())
    except (OSError, ValueError):
        return None


class Postgres:
    """A server of the case's own, in a folder that the server's user may read."""

    def __init__(self, state: dict):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[4]))
        self.bin = os.environ.get("WEIR_TEST_POSTGRES_BIN") or (found and found[-1])
        if not self.bin:
            sys.exit("tests/long: PostgreSQL's programs are missing; install the package `postgresql`")
        self.prefix = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
        folder = Path(state.get("postgres", ""))
        self.new = "postgres" not in state or not (folder / "data" / "PG_VERSION").exists()
        if self.new:
            folder = Path(tempfile.mkdtemp(prefix="weir-long-postgres-"))
            state["postgres"], state["postgres_port"] = str(folder), free_port()
            if self.prefix:
                os.chmod(folder, 0o755)
                shutil.chown(folder, "postgres")
        self.folder, self.port = folder, state["postgres_port"]
        self.url = f"postgres://weir@127.0.0.1:{self.port}/postgres"

    def program(self, *arguments: str) -> None:
        command = [*self.prefix, f"{self.bin}/{arguments[0]}", *arguments[1:]]
        done = subprocess.run(command, cwd=self.folder, env=os.environ | {"LC_ALL": "C"}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed")

    def __enter__(self) -> "Postgres":
        if self.new:
            self.program("initdb", "-A", "trust", "-U", "weir", "-E", "UTF8", "-D", f"{self.folder}/data")
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self.start()
        return self

    def start(self) -> None:
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c max_connections=50"
        self.program("pg_ctl", "start", "-w", "-o", settings, "-l", f"{self.folder}/log", "-D", f"{self.folder}/data")

    def kill(self) -> None:
        self.program("pg_ctl", "stop", "-m", "immediate", "-w", "-D", f"{self.folder}/data")

    def processes(self) -> list[int]:
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def signal(self, number: int) -> None:
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass  # a worker that ended meanwhile

    def __exit__(self, *_) -> None:
        self.signal(signal.SIGCONT)
        self.kill()


class Case:
    """One case: its folder, what is done already, and the programs that it runs."""

    def __init__(self, name: str, again: bool):
        self.name, self.folder = name, CACHE / name
        if again:
            shutil.rmtree(self.folder, ignore_errors=True)
            (CACHE / f"{name}.json").unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "state.json"
        self.state = json.loads(file.read_text()) if file.exists() else {"seed": int(time.time()), "drives": [], "truths": []}
        self.started = []
        # A build meanwhile must not change what runs.
        self.bin = self.folder / "bin"
        shutil.rmtree(self.bin, ignore_errors=True)
        self.bin.mkdir()
        for binary in BINARIES:
            shutil.copy2(BIN / binary, self.bin)
        say(f"{name}: seed {self.state['seed']}, {len(self.state['drives'])} rounds are done already")

    def save(self) -> None:
        (self.folder / "state.json").write_text(json.dumps(self.state))

    def spawn(self, *command: str, log: str, **options) -> subprocess.Popen:
        output = open(self.folder / log, "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
        self.started.append(process)
        return process

    def __enter__(self) -> "Case":
        return self

    def __exit__(self, *_) -> None:
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()

    def simulator(self, *more: str) -> None:
        """One simulator for this run; its truth goes into a file of its own."""
        truth = self.folder / f"truth-{len(self.state['truths'])}.jsonl"
        self.state["truths"].append(str(truth))
        self.save()
        self.sim = f"127.0.0.1:{free_port()}"
        self.spawn(str(self.bin / "weir-sim"), "--listen", self.sim, "--truth", str(truth), *more, log="sim.log")

    def configure(self, store: str | None, more: str = "", secure: Path | None = None) -> None:
        """Three providers at the simulator; `secure`: over TLS, by this authority."""
        self.data = self.folder / "data"
        self.data.mkdir(exist_ok=True)
        self.address = f"127.0.0.1:{free_port()}"
        self.db = store or f"sqlite:{self.data / 'weir.db'}"
        url = f"https://{self.sim}" if secure else f"http://{self.sim}"
        trust = f', ca_file: "{secure}"' if secure else ""
        (self.folder / "weir.yaml").write_text(
            f'store: {{ url: "{store or "sqlite://weir.db"}" }}\nproviders:\n'
            f'  openai: {{ base_url: "{url}/v1", api_key: k{trust} }}\n  anthropic: {{ base_url: "{url}", api_key: k{trust} }}\n'
            f'  gemini: {{ base_url: "{url}", api_key: k{trust} }}\n{more}'
        )

    def weir(self, *wrapper: str, log: str = "weir.log") -> subprocess.Popen:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        environment = kept | {"WEIR_LISTEN": self.address, "WEIR_DATA_DIR": str(self.data)}
        process = self.spawn(*wrapper, str(self.bin / "weir"), log=log, cwd=self.folder, env=environment)
        deadline = time.monotonic() + 60
        while get(f"http://{self.address}/health/ready") is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"weir does not get ready; see {self.folder / log}")
            time.sleep(0.02)
        return process

    def drive_command(self, round_name: str, requests: int, concurrency: int, *more: str, mix: list[str] | None = None) -> list[str]:
        self.log = self.folder / f"drive-{round_name}.jsonl"
        self.log.unlink(missing_ok=True)
        command = [str(self.bin / "drive"), "--url", f"http://{self.address}", "--requests", str(requests), "--concurrency", str(concurrency),
                   "--seed", str(self.state["seed"] + len(self.state["drives"])), "--prefix", f"{round_name}-{time.time_ns()}",
                   "--include-usage", "--body-bytes", "60", "--retry-connect", "--log", str(self.log), *more]
        return command + (mix or [part for entry in MIX for part in ("--mix", entry)])

    def drive(self, round_name: str, requests: int, concurrency: int, *more: str, words: list[str] = WORDS) -> dict:
        command = self.drive_command(round_name, requests, concurrency, *more)
        for word in words:
            command += ["--words", word]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if not done.stdout.strip():
            raise RuntimeError(f"drive failed: {done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def done(self, summary: dict) -> None:
        self.state["drives"].append({"log": str(self.log), "summary": summary})
        self.save()

    def drained(self, limit: float) -> float:
        """Seconds until no row waits."""
        began = time.monotonic()
        while True:
            health = get(f"http://{self.address}/health")
            if health and health["ledger"]["spooled_entries"] == 0:
                return time.monotonic() - began
            if time.monotonic() - began > limit:
                raise RuntimeError(f"rows are still waiting: {health and health['ledger']}")
            time.sleep(0.05)

    def audit(self, most_unsettled: int) -> dict:
        command = [str(self.bin / "audit"), "--db", self.db, "--prices", str(PRICES), "--totals", "--wait", "60s",
                   "--max-unsettled", str(most_unsettled)]
        for truth in self.state["truths"]:
            command += ["--truth", truth]
        for drive in self.state["drives"]:
            command += ["--drive", drive["log"]]
        say("$ " + " ".join(command))
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        say(done.stdout.strip() or done.stderr.strip())
        if done.returncode != 0:
            raise RuntimeError("the books are wrong")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def ends(self) -> dict:
        sums: dict[str, int] = {}
        for drive in self.state["drives"]:
            for end, count in drive["summary"]["ends"].items():
                sums[end] = sums.get(end, 0) + count
        return sums


def steady(case: Case, name: str, rate: int, seconds: int, *more: str, during=lambda: None) -> dict:
    """An open loop in the background while `during` goes on; each call is answered in full."""
    command = case.drive_command(name, 10**9, 400, "--rate", str(rate), "--duration", f"{seconds}s", "--expect-complete", *more)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    during()
    output = process.communicate()[0]
    if process.returncode != 0:
        raise RuntimeError(f"requests failed: {output[-2000:]}")
    summary = json.loads(output.strip().splitlines()[-1])
    case.done(summary)
    return summary
