"""Counts user-space instructions a call, by callgrind, and compares them with the committed baseline.  See README.md.

`serving` is what the connection's task does, from the first byte of a request to the last of its answer: it is the same in
each run to a tenth of a percent, and may be 5 % over its baseline. `whole process` has the ledger's way to its database,
too, which depends on how many rows happen to meet in a batch: it is shown and not judged.

With --admission it counts what keys, limits and budgets add to a small chat: the difference between `admission.yaml`, where
all of them are on, and the same file without them. The goal is 15,000 instructions. With --telemetry it does so for what weir
tells of calls beside its ledger (`telemetry.yaml`).
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import bodies
from subjects import BENCH, Sim, Weir, free_port, request

BASELINE = BENCH / "instructions.json"
# What runs for a connection; everything that answers a call happens below it.
SERVING = "hyper_util::server::graceful::GracefulConnectionFuture<C,F> as core::future::future::Future>::poll"
ALLOWED = 1.05
# What keys, limits and budgets may add in the end, and what they add today; not more than that by a twentieth.
ADMISSION_GOAL = 15_000
ADMISSION = 14_700
# What telling of calls may add to the whole process: a log of all, a trace of each hundredth. The whole process differs
# from run to run by some percent, so what is a failure lies a little higher.
TELEMETRY = 0.10
TELEMETRY_FAILS = 0.12
CALLS = 300
EVENTS = 103


class Watched(Weir):
    """weir under callgrind, which counts only when told to."""

    def __init__(self, sim: Sim, folder: Path, config: str | None = None):
        super().__init__(sim, folder)
        self.config = config

    def command(self):
        command, environment = super().command()
        if self.config is not None:
            file = self.folder / "weir.yaml"
            file.write_text(self.config)
            command = [*command[:-1], file]
        self.out = self.folder / "callgrind.out"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.out}"]
        # Whoever collects traces is nobody: a port that takes connections and says nothing would do no more.
        environment["BENCH_COLLECTOR"] = f"127.0.0.1:{free_port()}"
        return [*tool, *command], {**environment, "TOKIO_WORKER_THREADS": "1"}

    def control(self, *words: str) -> None:
        subprocess.run(["callgrind_control", *words, str(self.process.pid)], check=True, capture_output=True)


def call(connection: socket.socket, wire: bytes) -> None:
    """Sends a request and reads its answer to the end."""
    connection.sendall(wire)
    got = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            raise RuntimeError(f"the connection ended: {got[:200]}")
        got += piece
        head, found, body = got.partition(b"\r\n\r\n")
        if not found:
            continue
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not answered: {got[:200]}")
        length = re.search(rb"content-length: (\d+)", head)
        if (length and len(body) >= int(length[1])) or (not length and body.endswith(b"0\r\n\r\n")):
            return


def count(body: bytes, warm: bytes, config: str | None = None) -> dict[str, float]:
    """Instructions a call, with this configuration or else that of the bench."""
    with Sim() as sim, tempfile.TemporaryDirectory() as folder:
        weir = Watched(sim, Path(folder), config)
        weir.start(warm)
        with socket.create_connection(("127.0.0.1", weir.port), timeout=60) as connection:
            wire = request(body)
            for _ in range(60):
                call(connection, wire)
            # What the first calls left to be done is none of the others' business.
            time.sleep(1.5)
            weir.control("-i", "on")
            for _ in range(CALLS):
                call(connection, wire)
            # The rows' way to the database belongs to what a call costs.
            time.sleep(1.5)
            weir.control("-d")
            weir.control("-i", "off")
        weir.process.kill()
        weir.process.wait()
        weir.log.close()
        weir.process = None
        shown = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", f"{weir.out}.1"]
        text = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    lines = {"whole process": "PROGRAM TOTALS", "serving": SERVING}
    found = {}
    for name, mark in lines.items():
        line = next((line for line in text.splitlines() if mark in line), None)
        if line is None:
            raise RuntimeError(f"callgrind does not show {mark}; was the binary stripped of its symbols?")
        found[name] = int(line.split()[0].replace(",", "")) / CALLS
    return found


def adds(file: str, put: dict[str, str] | None = None) -> tuple[dict[str, float], dict[str, int]]:
    """Instructions of a small chat with the first part of a configuration, and how many its second part adds."""
    whole = (BENCH / file).read_text()
    for name, value in (put or {}).items():
        whole = whole.replace(f"@{name}@", value)
    bare, mark, _ = whole.partition("# --- what is added\n")
    if not mark:
        raise RuntimeError(f"{file} does not say where what is added begins")
    body = bodies()["small"]
    off, on = (count(body, body, config) for config in (bare, whole))
    return off, {name: round(on[name] - off[name]) for name in on}


def admission() -> bool:
    """Whether keys, limits and budgets add no more than they may."""
    off, added = adds("admission.yaml")
    most = max(ADMISSION_GOAL, ADMISSION * ALLOWED)
    over = added["serving"] > most
    for name, value in added.items():
        print(f"keys, limits and budgets, {name}: {value:,} instructions a call on top of {off[name]:,.0f}")
    missed = added["serving"] > ADMISSION_GOAL
    print(f"the goal is {ADMISSION_GOAL:,}{', MISSED' if missed else ''}; more than {most:,.0f} is {'TOO MANY' if over else 'a failure'}")
    return not over


def telemetry() -> bool:
    """Whether what is told of each call costs no more than it may: a log of all calls, a trace of each hundredth."""
    met = True
    for share, judged in (("0.01", True), ("1", False)):
        off, added = adds("telemetry.yaml", {"SAMPLE": share})
        # Of the whole process: lines and spans are written aside.
        part = added["whole process"] / off["whole process"]
        met &= not judged or part <= TELEMETRY_FAILS
        goal = f", at most {TELEMETRY:.0%}{'' if part <= TELEMETRY else ', MISSED'}" if judged else ""
        print(f"call log and traces of {float(share):.0%} of calls: {part:+.1%} instructions of the whole process{goal}; serving {added['serving']:+,}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="makes what is measured the baseline")
    parser.add_argument("--admission", action="store_true", help="counts what keys, limits and budgets add")
    parser.add_argument("--telemetry", action="store_true", help="counts what a log of calls and traces add")
    options = parser.parse_args()
    if options.admission or options.telemetry:
        return 0 if (admission() if options.admission else telemetry()) else 1
    load = bodies()
    measured = {
        "small chat": count(load["small"], load["small"]),
        "call from the cache": count(load["kept"], load["small"]),
        "event of a stream": {name: value / EVENTS for name, value in count(load["stream"], load["small"]).items()},
    }
    measured = {what: {name: round(value) for name, value in each.items()} for what, each in measured.items()}
    if options.update:
        BASELINE.write_text(json.dumps(measured, indent=1) + "\n")
    baseline = json.loads(BASELINE.read_text())
    too_many = False
    for what, each in measured.items():
        for name, value in each.items():
            before = baseline[what][name]
            over = name == "serving" and value > before * ALLOWED
            too_many |= over
            print(f"{what}, {name}: {value:,} instructions, baseline {before:,} ({value / before - 1:+.1%}){'  TOO MANY' if over else ''}")
    if too_many:
        print("more than the baseline allows: make it cheaper, or say why it is worth it and run with --update")
    return 1 if too_many else 0


if __name__ == "__main__":
    sys.exit(main())
