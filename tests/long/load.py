"""Cases of load: a million calls, ten thousand streams, and what the process keeps of them."""

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from base import ROOT, Case, get, say
from ledger import fresh

REQUESTS = int(os.environ.get("WEIR_LONG_REQUESTS", "1000000"))
STREAMS = int(os.environ.get("WEIR_LONG_STREAMS", "10000"))
# Of the streams, those whose delay counts.
APART = min(200, STREAMS // 10)
MINUTES = float(os.environ.get("WEIR_LONG_MINUTES", "10"))
TLS = ROOT / "tests" / "e2e" / "tls"


def resident(pid: int) -> int:
    """Bytes of memory that the process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(address: str, name: str, label: str = "") -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith((name + " ", name + "{")) and label in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


class Sampler:
    """Memory and descriptors of a process, twice a second while it is entered."""

    def __init__(self, pid: int):
        self.pid, self.samples, self.over = pid, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        began = time.monotonic()
        while not self.over.wait(0.5):
            try:
                self.samples.append((time.monotonic() - began, resident(self.pid), descriptors(self.pid)))
            except OSError:
                return

    def __enter__(self) -> "Sampler":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def third(self, number: int) -> float:
        """The mean memory of the first, second or last third, in bytes."""
        size = len(self.samples) // 3
        part = self.samples[number * size : (number + 1) * size]
        return sum(memory for _, memory, _ in part) / len(part)


def connections_to(address: str) -> int:
    """How many connections over IPv4 loopback are open to this port."""
    wanted = f"0100007F:{int(address.split(':')[1]):04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(words[2] == wanted and words[3] == "01" for words in lines)


def at_rest(case: Case, pid: int) -> dict:
    """What is held when nothing is asked any more, as soon as it is. Idle connections to the providers stay for later."""
    address = case.address
    deadline = time.monotonic() + 30
    while metric(address, "weir_inflight_requests") > 0:
        if time.monotonic() > deadline:
            raise RuntimeError("calls are still under way")
        time.sleep(0.1)
    return {"descriptors": descriptors(pid), "reserved_bytes": metric(address, "weir_ledger_reserved_bytes")}


def leased(database: Path) -> int:
    """Nano-dollars that budgets still hold for a process that has stopped."""
    with sqlite3.connect(database) as books:
        return books.execute("SELECT COALESCE(SUM(granted - returned - drained), 0) FROM budget_leases").fetchone()[0]


def w064(case: Case) -> dict:
    """one million mixed requests: memory, descriptors and reservations are those of before"""
    fresh(case)
    case.simulator()
    case.configure(None, "budgets: [{ limit: 1000000, period: month }]\n")
    process = case.weir()
    case.done(case.drive("warm-up", max(REQUESTS // 20, 1000), 64))
    before = at_rest(case, process.pid)
    began = processor(process.pid)
    with Sampler(process.pid) as sampler:
        summary = case.drive("million", REQUESTS, 64)
    case.done(summary)
    spent = processor(process.pid) - began
    waited = case.drained(120)
    time.sleep(2)
    after = at_rest(case, process.pid)
    thirds = [round(sampler.third(number) / 2**20, 2) for number in range(3)]
    (case.folder / "samples.json").write_text(json.dumps(sampler.samples))
    result = {"clients_saw": summary["ends"], "seconds": summary["seconds"], "per_second": summary["per_second"], "p99_us": summary["total_us"]["p99"],
              "cpu_us_a_call": round(spent * 1e6 / REQUESTS, 1), "mib_by_third": thirds, "before": before, "after": after,
              "drained_after_seconds": round(waited, 2)}
    say(json.dumps(result))
    if set(summary["ends"]) != {"complete"}:
        raise RuntimeError(f"not all were answered: {summary['ends']} {summary['errors']}")
    if thirds[2] > thirds[1] * 1.05:
        raise RuntimeError(f"memory grew by more than a twentieth: {thirds} MiB")
    process.send_signal(signal.SIGTERM)
    result["exit"], result["leased_after_the_stop"] = process.wait(60), leased(case.data / "weir.db")
    if after["descriptors"] > before["descriptors"] + 8 or after["reserved_bytes"] > before["reserved_bytes"] or result["leased_after_the_stop"]:
        raise RuntimeError(f"something is held: {result}")
    return result | {"audit": case.audit(0)}


def w061(case: Case) -> dict:
    """10,000 streams at once, an event a second each, for 10 minutes, over HTTP/2 to the provider"""
    fresh(case)
    chunks = int(MINUTES * 60)
    case.simulator("--workers", "2", "--tls-cert", str(TLS / "cert.pem"), "--tls-key", str(TLS / "key.pem"))
    case.configure(None, f"models:\n  slow: {{ targets: [openai/bench-slow-{chunks}], timeouts: {{ total: 24h }} }}\n"
                   f"server: {{ max_connections: {STREAMS + 1000} }}\n", secure=TLS / "ca.pem")
    process = case.weir()

    def command(streams: int) -> list[str]:
        return [str(case.bin / "drive"), "--url", f"http://{case.address}", "--requests", str(streams), "--concurrency", str(streams),
                "--rate", str(streams / 20), "--mix", "stream:slow", "--include-usage", "--light", "--gaps",
                "--timeout", f"{chunks + 300}s", "--retry-connect", "--expect-complete"]

    rest, began = resident(process.pid), processor(process.pid)
    with Sampler(process.pid) as sampler:
        # What reads ten thousand streams is late itself where processors are few: the delay is that of some, read by a process of their own.
        apart = subprocess.Popen(command(APART), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        done = subprocess.run(command(STREAMS - APART), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        few, wrong = apart.communicate()
    if not done.stdout.strip() or not few.strip():
        raise RuntimeError(f"drive failed: {done.stderr} {wrong}")
    summary, few = (json.loads(text.strip().splitlines()[-1]) for text in (done.stdout, few))
    spent, peak = processor(process.pid) - began, max(memory for _, memory, _ in sampler.samples)
    added, all_added = ({name: round(value / 1000 - 1000, 1) for name, value in seen["gaps_us"].items()} for seen in (few, summary))
    summary["ends"] = {end: summary["ends"].get(end, 0) + few["ends"].get(end, 0) for end in summary["ends"] | few["ends"]}
    summary["events"] += few["events"]
    result = {"streams": STREAMS, "chunks": chunks, "clients_saw": summary["ends"], "seconds": summary["seconds"],
              "kib_a_stream": round((peak - rest) / 1024 / STREAMS, 1), "peak_mib": round(peak / 2**20), "added_gap_ms": added, "added_gap_ms_with_the_readers": all_added,
              "cpu_us_an_event": round(spent * 1e6 / max(1, summary["events"]), 1), "most_descriptors": max(fds for _, _, fds in sampler.samples)}
    say(json.dumps(result))
    if summary["ends"] != {"complete": STREAMS}:
        raise RuntimeError(f"streams failed: {summary['ends']} {summary['errors']} {few['errors']}")
    if result["kib_a_stream"] > 60:
        raise RuntimeError(f"{result['kib_a_stream']} KiB a stream")
    if added["p99"] > 50:
        raise RuntimeError(f"events came {added['p99']} ms late at the 99th percentile")
    health = get(f"http://{case.address}/health")
    return result | {"rows_waiting": health and health["ledger"]["spooled_entries"], "drained_after_seconds": round(case.drained(120), 2)}


def cache(case: Case) -> dict:
    """one million calls at names with a cache, hits and misses mixed: each answer is the provider's"""
    fresh(case)
    case.simulator()
    models = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}
    names = "".join(f"  {name}: {{ targets: [{name}/{model}], cache: {{ mode: exact, ttl: 1h }} }}\n  {name}-plain: {name}/{model}\n" for name, model in models.items())
    # Room for a sixth of the 24,000 answers, of 1 KiB each: most are dropped, asked again, and kept again.
    case.configure(None, f"cache: {{ exact: {{ max_size: 4MiB }} }}\nmodels:\n{names}")
    case.weir()
    kinds, questions = ("stream", "chat", "messages", "messages-stream"), 4000

    def ask(name: str, requests: int, suffix: str, *more: str) -> tuple[dict, dict]:
        mix = [part for kind in kinds for model in models for part in ("--mix", f"{kind}:{model}{suffix}:1")]
        command = case.drive_command(name, requests, 48, "--expect-complete", *more, mix=mix)
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        summary = json.loads(done.stdout.strip().splitlines()[-1])
        if done.returncode != 0:
            raise RuntimeError(f"calls failed: {summary['ends']} {summary['errors']}")
        said: dict[tuple, set] = {}
        with open(case.log) as log:
            for line in map(json.loads, log):
                said.setdefault((line["model"].removesuffix("-plain"), line["question"]), set()).add((line["text_hash"], line["output"]))
        case.done(summary)
        return summary, said

    # Three seeds for the plain form, so that each name is asked each question, most likely.
    plain: dict[tuple, set] = {}
    for number in range(3):
        for key, values in ask(f"plain-{number}", questions * 6, "-plain", "--questions", str(questions))[1].items():
            plain.setdefault(key, set()).update(values)
    hits = lambda result: metric(case.address, "weir_cache_requests_total", f'result="{result}"')  # noqa: E731
    summary, said = ask("mixed", REQUESTS, "", "--questions", str(questions))
    odd = {str(key): [sorted(map(str, values)), sorted(map(str, plain.get(key, ())))] for key, values in said.items() if len(values) > 1 or (key in plain and values != plain[key])}
    result = {"clients_saw": summary["ends"], "seconds": summary["seconds"], "per_second": summary["per_second"], "hits": hits("hit"), "misses": hits("miss"),
              "questions": len(said), "compared_with_the_providers": sum(key in plain for key in said), "wrong": len(odd)}
    say(json.dumps(result))
    if odd:
        raise RuntimeError(f"answers differ: {dict(list(odd.items())[:3])}")
    if result["hits"] + result["misses"] != REQUESTS or result["hits"] < REQUESTS / 10 or result["misses"] < REQUESTS / 10:
        raise RuntimeError("hits and misses are not mixed, or some calls are neither")
    case.drained(180)
    return result | {"audit": case.audit(0)}


CASES = {"cache": cache, "W-061": w061, "W-064": w064}
