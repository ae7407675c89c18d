"""Where weir's time goes under one workload of the bench: `perf` on the gateway's process, by symbol.  See README.md."""

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bench import bodies, closed_loop
from subjects import SUBJECTS, Sim


def tidy(line: str) -> str:
    return line.rstrip(" -").rstrip()[:160]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/profile", description=__doc__)
    parser.add_argument("--workload", default="small", choices=["small", "large", "stream"])
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--subject", default="weir", choices=["weir", "nginx"])
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("--callers", action="store_true", help="with call chains (by frame pointer, so only as far as those go)")
    options = parser.parse_args()
    load = bodies()
    with Sim() as sim, tempfile.TemporaryDirectory() as folder:
        subject = SUBJECTS[options.subject](sim, Path(folder))
        subject.start(load["small"])
        data = Path(folder) / "perf.data"
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-o", data, "-p", str(subject.process.pid)]
        command += ["-g"] if options.callers else []
        recorder = threading.Timer(
            1.5, lambda: subprocess.run([*command, "--", "sleep", str(options.seconds - 1)], check=False)
        )
        recorder.start()
        found = closed_loop(subject, load[options.workload], options.seconds + 0.5)
        recorder.join()
        print(f"{options.subject}, {options.workload}: {found['cpu_us']:.1f} µs of CPU a request, {found['rps']:,.0f} a second (perf running)")
        # A thread is named for what it does.
        for sort in ("comm", "comm,dso", "symbol"):
            report = ["perf", "report", "-i", data, "--stdio", "--no-children", "-q", "-g", "none", "--sort", sort, "--percent-limit", "0.3"]
            shown = subprocess.run(report, capture_output=True, text=True).stdout
            print("\n".join([tidy(line) for line in shown.splitlines() if line.strip()][: options.lines]) + "\n")
        if options.callers:
            chains = ["perf", "report", "-i", data, "--stdio", "--children", "-q", "-g", "caller,0.5,callee", "--max-stack", "30", "--percent-limit", "2"]
            print(subprocess.run(chains, capture_output=True, text=True).stdout)
        subject.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
