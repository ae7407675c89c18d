"""Walks docs/first-quarter-of-an-hour.md: runs its commands, in their order, in one shell, and fails where one fails.

`sh background` starts something that goes on, `sh restart` ends that and starts it again. Pictures that it shows must be there.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WALK = ROOT / "docs/first-quarter-of-an-hour.md"
WEIR = Path(os.environ.get("WEIR_BIN", ROOT / "target/release/weir")).resolve()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Background:
    """What goes on in the reader's first terminal."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int):
        self.folder, self.environment, self.port, self.process = folder, environment, port, None

    def start(self, command: str) -> None:
        with open(self.folder / "first-terminal.log", "ab") as log:
            self.process = subprocess.Popen(["bash", "-c", f"exec {command.strip()}"], cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=1)
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError((self.folder / "first-terminal.log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)


def walk(folder: Path, text: str) -> list[str]:
    port = free_port()
    (folder / "bin").mkdir()
    (folder / "bin/weir").symlink_to(WEIR)
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = kept | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "WEIR_LISTEN": f"127.0.0.1:{port}"}
    # The commands ask where the reader's gateway is: at the usual address, which may be taken here.
    shell = environment | {"WEIR_URL": f"http://127.0.0.1:{port}"}
    first, problems = Background(folder, environment, port), []
    place = folder / "empty"
    place.mkdir()
    first.folder = place
    steps = re.findall(r"^```sh( \w+)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    try:
        for how, commands in steps:
            commands = commands.replace("127.0.0.1:4000", f"127.0.0.1:{port}")
            if how.strip() == "restart":
                first.stop()
            if how.strip():
                first.start(commands)
                continue
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=place, env=shell, capture_output=True, text=True, timeout=120)
            if done.returncode or '"error"' in done.stdout:
                problems.append(f"{commands}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    finally:
        first.stop()
    if "2 attempts" not in done_logs(problems, place, environment):
        problems.append("no call of step 5 needed a second attempt")
    print(f"{len(steps)} steps")
    return problems


def done_logs(problems: list[str], place: Path, environment: dict[str, str]) -> str:
    """What the store says in the end, without a gateway."""
    done = subprocess.run([WEIR, "logs", "-n", "200"], cwd=place, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode:
        problems.append(done.stderr)
    return done.stdout


def main() -> int:
    text = WALK.read_text()
    problems = [f"there is no picture {name}" for name in re.findall(r"!\[.*?\]\((.*?)\)", text) if not (WALK.parent / name).is_file()]
    with tempfile.TemporaryDirectory() as folder:
        problems += walk(Path(folder), text)
    print("\n".join(problems) or "the walk works as it is written")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
