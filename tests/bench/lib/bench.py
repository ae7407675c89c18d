"""Measures what a gateway costs: direct, nginx and weir before the same simulator, in one run. See README.md."""

import argparse
import json
import os
import platform
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import table
from subjects import BENCH, DRIVE, OTHER_CPU, SUBJECTS, WEIR, Sim, Subject, pinned, request

CONNECTIONS = 32
SLOW_STREAMS = 1000
RATE = 200
TEXT = "The quick brown fox jumps over the lazy dog while the river flows quietly under the old stone bridge. "


def chat(model: str, text: str, **more) -> bytes:
    messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}]
    return json.dumps({"model": model, "messages": messages, **more}, separators=(",", ":")).encode()


def bodies() -> dict[str, bytes]:
    """Small: 288 bytes, as a first question is. Large: 100 KB of conversation."""
    small = chat("bench", "", temperature=0.7, max_tokens=256)
    turns = [{"role": ("user", "assistant")[at % 2], "content": TEXT * 10} for at in range(98)]
    large = json.dumps({"model": "bench", "messages": turns}, separators=(",", ":")).encode()
    return {
        "small": chat("bench", (TEXT * 3)[: 288 - len(small)], temperature=0.7, max_tokens=256),
        "kept": chat("bench-kept", (TEXT * 3)[: 288 - len(small)], temperature=0.7, max_tokens=256),
        "large": large,
        "stream": chat("bench-stream-100", "Tell me a story.", stream=True, stream_options={"include_usage": True}),
        "slow": chat("bench-slow-60", "Tell me a long story.", stream=True, stream_options={"include_usage": True}),
    }


def closed_loop(subject: Subject, body: bytes, seconds: float) -> dict:
    """As fast as it goes over some connections: requests a second, and CPU time a request."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()

        def wrk(duration: float) -> dict:
            command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration:g}s", "--timeout", "20s", "-s", BENCH / "lib/post.lua"]
            url = f"http://127.0.0.1:{subject.port}/v1/chat/completions"
            done = subprocess.run(
                pinned(OTHER_CPU, [*command, url]),
                env={**os.environ, "BENCH_BODY": file.name},
                capture_output=True,
                text=True,
                check=True,
            )
            line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
            return json.loads(line.removeprefix("RESULT "))

        wrk(1)
        before = subject.cpu()
        found = wrk(max(1, round(seconds)))
        after = subject.cpu()
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{subject.name}: {found['failed']} of {found['requests']} requests failed")
    result = {"rps": found["requests"] / found["duration_us"] * 1e6, "p50_us": found["p50_us"], "p99_us": found["p99_us"]}
    if before is not None:
        result["cpu_us"] = (after - before) * 1e6 / found["requests"]
    return result


def fixed_rate(subject: Subject, seconds: float) -> dict:
    """What a call takes when there are few of them."""
    command = [
        DRIVE, "--url", f"http://127.0.0.1:{subject.port}", "--key", "bench-key-of-the-caller", "--mix", "chat:bench",
        "--rate", RATE, "--duration", f"{seconds:g}s", "--concurrency", 64, "--light",
    ]  # fmt: skip
    done = subprocess.run(pinned(OTHER_CPU, command), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["ends"].get("complete", 0) != found["requests"]:
        raise RuntimeError(f"{subject.name}: not all calls were answered: {found['ends']} {found['errors']}")
    return {"p50_us": found["total_us"]["p50"], "p99_us": found["total_us"]["p99"], "requests": found["requests"]}


def slow_streams(subject: Subject, body: bytes, seconds: float) -> dict:
    """Many streams at once, each with an event a second: memory and CPU."""
    rest = subject.resident()
    selector = selectors.DefaultSelector()
    open_streams, events, peak = [], 0, rest
    for _ in range(SLOW_STREAMS):
        connection = socket.create_connection(("127.0.0.1", subject.port), timeout=10)
        connection.sendall(request(body))
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        open_streams.append(connection)
    seen = set()

    def read_until(deadline: float) -> None:
        nonlocal events
        while time.monotonic() < deadline:
            for key, _ in selector.select(timeout=0.05):
                piece = key.fileobj.recv(65536)
                if not piece:
                    raise RuntimeError(f"{subject.name} closed a stream early")
                events += piece.count(b"data: ")
                if key.fd not in seen and piece.startswith(b"HTTP/1.1 200"):
                    seen.add(key.fd)

    read_until(time.monotonic() + 3)
    if len(seen) != SLOW_STREAMS:
        raise RuntimeError(f"{subject.name}: only {len(seen)} of {SLOW_STREAMS} streams began")
    events, before = 0, subject.cpu()
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        read_until(min(now + 0.5, end))
        peak = max(peak, subject.resident())
    spent = subject.cpu() - before
    for connection in open_streams:
        connection.close()
    return {
        "kib_per_stream": (peak - rest) / SLOW_STREAMS,
        "cpu_us_per_event": spent * 1e6 / max(1, events),
        "events": events,
        "rest_mib": rest / 1024,
        "peak_mib": peak / 1024,
    }


def measure(name: str, sim: Sim, options, load: dict[str, bytes]) -> dict:
    """All workloads at one subject, each in a fresh process where memory matters."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        subject = SUBJECTS[name](sim, Path(folder))
        starts = []
        for _ in range(options.starts if name != "direct" else 0):
            starts.append(subject.start(load["small"]) * 1000)
            subject.stop()
        if starts:
            result["start_ms"] = sorted(starts)[len(starts) // 2]
        subject.start(load["small"])
        result["rest_mib"] = (subject.resident() or 0) / 1024
        for workload in ("small", "large", "stream"):
            result[workload] = closed_loop(subject, load[workload], options.seconds)
        if subject.caches:
            # The first call is asked of the provider, all others are answered from what is kept.
            result["kept"] = closed_loop(subject, load["kept"], options.seconds)
        result["rate"] = fixed_rate(subject, options.seconds)
        result["peak_mib"] = (subject.resident() or 0) / 1024
        subject.stop()
        if name != "direct":
            subject.start(load["small"])
            result["slow"] = slow_streams(subject, load["slow"], options.seconds)
            subject.stop()
    return result


def machine() -> dict:
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}


def version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run: shows that it works, measures roughly")
    parser.add_argument("--runs", type=int, help="how often each is measured; medians are shown [5, quick 1]")
    parser.add_argument("--seconds", type=float, help="how long each workload runs [5, quick 2]")
    parser.add_argument("--only", default="direct,nginx,weir", help="which subjects [direct,nginx,weir]")
    parser.add_argument("--out", type=Path, help="where the JSON goes [tests/bench/results/TIME.json]")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else 5)
    options.seconds = options.seconds or (2 if options.quick else 5)
    options.starts = 3 if options.quick else 5
    load, names = bodies(), options.only.split(",")
    began = datetime.now(timezone.utc)
    runs = {name: [] for name in names}
    for number in range(options.runs):
        # One after another in each run, so that a noisy minute hits all of them.
        for name in names:
            with Sim() as sim:
                print(f"run {number + 1} of {options.runs}: {name}", file=sys.stderr, flush=True)
                runs[name].append(measure(name, sim, options, load))
    result = {
        "date": began.isoformat(timespec="seconds"),
        "quick": options.quick,
        "machine": machine(),
        "versions": {"weir": version([str(WEIR), "--version"]), "nginx": version(["nginx", "-v"])},
        "settings": {
            "runs": options.runs,
            "seconds": options.seconds,
            "connections": CONNECTIONS,
            "rate": RATE,
            "slow_streams": SLOW_STREAMS,
            "bytes": {name: len(body) for name, body in load.items()},
        },
        "subjects": runs,
    }
    out = options.out or BENCH / "results" / f"{began:%Y-%m-%d-%H%M%S}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(table.render(result))
    print(f"\nJSON: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
