"""What is measured: nothing in between (`direct`), nginx, weir. Starts and stops them, and reads what they use."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BENCH = ROOT / "tests" / "bench"
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
WEIR = Path(os.environ.get("WEIR_BIN", RELEASE / "weir"))
SIM = Path(os.environ.get("WEIR_SIM_BIN", RELEASE / "weir-sim"))
DRIVE = RELEASE / "drive"
TICKS = os.sysconf("SC_CLK_TCK")
# The gateway has one core for itself, the simulator and the load generator share the other.
GATEWAY_CPU, OTHER_CPU = ("0", "1") if len(os.sched_getaffinity(0)) > 1 else ("0", "0")


def pinned(cpu: str, command: list) -> list[str]:
    return ["taskset", "-c", cpu, *map(str, command)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole process tree."""
    total = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_kib(pid: int) -> int:
    total = 0
    for one in tree(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def request(body: bytes, close: bool = False) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer bench-key-of-the-caller\r\ncontent-length: {len(body)}\r\n"
    )
    return head.encode() + (b"connection: close\r\n" if close else b"") + b"\r\n" + body


def answers(port: int, body: bytes) -> bool:
    """Whether one call is answered with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request(body, close=True))
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


class Sim:
    """The provider: weir-sim, with answers made beforehand."""

    def __enter__(self):
        self.port = free_port()
        command = [SIM, "--listen", f"127.0.0.1:{self.port}", "--provider", "openai"]
        self.process = subprocess.Popen(pinned(OTHER_CPU, command), stdout=subprocess.PIPE)
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Subject:
    """A gateway that runs, or none."""

    name = "direct"
    caches = False
    process: subprocess.Popen | None = None

    def __init__(self, sim: Sim, folder: Path):
        self.sim, self.folder, self.port = sim, folder, sim.port

    def command(self) -> tuple[list, dict[str, str]] | None:
        return None

    def start(self, body: bytes) -> float:
        """Starts it and returns the seconds until the first call was answered."""
        prepared = self.command()
        if prepared is None:
            return 0.0
        command, environment = prepared
        self.log = open(self.folder / f"{self.name}.log", "ab")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            pinned(GATEWAY_CPU, command), cwd=self.folder, env=environment, stdout=self.log, stderr=self.log
        )
        while not answers(self.port, body):
            if self.process.poll() is not None or time.perf_counter() - began > 30:
                raise RuntimeError(f"{self.name} did not start: {(self.folder / (self.name + '.log')).read_text()}")
            time.sleep(0.0005)
        return time.perf_counter() - began

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.log.close()
            self.process = None

    def cpu(self) -> float | None:
        return cpu_seconds(self.process.pid) if self.process else None

    def resident(self) -> int | None:
        return resident_kib(self.process.pid) if self.process else None


class Nginx(Subject):
    name = "nginx"

    def command(self):
        self.port = free_port()
        text = (BENCH / "nginx.conf").read_text()
        for name, value in {"PORT": self.port, "UPSTREAM": f"127.0.0.1:{self.sim.port}", "DIR": self.folder}.items():
            text = text.replace(f"@{name}@", str(value))
        config = self.folder / "nginx.conf"
        config.write_text(text)
        # The worker of a root's nginx runs as another user.
        self.folder.chmod(0o755)
        return ["nginx", "-p", self.folder, "-c", config, "-g", "user root;" if os.getuid() == 0 else ""], dict(os.environ)


class Weir(Subject):
    name = "weir"
    caches = True

    def command(self):
        self.port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "BENCH_LISTEN": f"127.0.0.1:{self.port}",
            "BENCH_UPSTREAM": f"127.0.0.1:{self.sim.port}",
            "WEIR_DATA_DIR": str(self.folder),
        }
        return [WEIR, "serve", "--config", BENCH / "weir.yaml"], environment


SUBJECTS = {subject.name: subject for subject in (Subject, Nginx, Weir)}
