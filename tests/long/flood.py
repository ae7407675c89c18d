"""More calls than can be done: W-060, and one tenant's flood beside another's calls: W-065. The gateway has one processor."""

import json
import os
import subprocess
import threading
import time
import urllib.request

from base import Case, say
from ledger import fresh

SECONDS = int(os.environ.get("WEIR_LONG_SECONDS", "60"))
# A stream of a hundred pieces, made beforehand, which is translated: the gateway's work is many times that of others.
HEAVY = "messages-stream:openai/bench-stream-100"
KEYS = "keys:\n  - { name: loud, key: loud }\n  - { name: calm, key: calm }\n"


def begin(case: Case) -> None:
    fresh(case)
    case.simulator()
    case.configure(None, KEYS)
    case.weir("taskset", "-c", str((os.cpu_count() or 1) - 1))


def drive(case: Case, key: str, mix: str, seconds: int, *more: str) -> subprocess.Popen:
    command = [str(case.bin / "drive"), "--url", f"http://{case.address}", "--key", key, "--mix", mix, "--duration", f"{seconds}s", "--light", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def result(process: subprocess.Popen) -> dict:
    out, wrong = process.communicate()
    if not out.strip():
        raise RuntimeError(f"drive failed: {wrong}")
    return json.loads(out.strip().splitlines()[-1])


def capacity(case: Case) -> float:
    """Calls a second that are answered where a hundred are under way at any time."""
    result(drive(case, "loud", HEAVY, 3, "--concurrency", "100"))
    closed = result(drive(case, "loud", HEAVY, 10, "--concurrency", "100"))
    return closed["ends"].get("complete", 0) / closed["seconds"]


def flood(case: Case, rate: float, seconds: int) -> subprocess.Popen:
    return drive(case, "loud", HEAVY, seconds, "--rate", str(rate), "--concurrency", "4000")


def calm(case: Case, seconds: int) -> subprocess.Popen:
    """What a model takes its time for."""
    return drive(case, "calm", "chat:openai/gpt-4o-mini", seconds, "--words", "delay=300ms", "--rate", "20", "--concurrency", "1000")


class Health:
    """How long the health page takes, in milliseconds, while it is entered."""

    def __init__(self, address: str):
        self.url, self.took, self.over = f"http://{address}/health/live", [], threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.over.wait(0.05):
            began = time.monotonic()
            with urllib.request.urlopen(self.url, timeout=30) as answer:
                answer.read()
            self.took.append((time.monotonic() - began) * 1000)

    def __enter__(self) -> "Health":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def p99(self) -> float:
        return round(sorted(self.took)[len(self.took) * 99 // 100], 1)


def milliseconds(seen: dict, what: str) -> float:
    return round((seen[what]["p99"] or 0) / 1000, 1)


def check(found: dict, wanted: dict[str, bool], summaries: list[dict]) -> dict:
    """What was found, where all that is wanted is so, and nothing but answers and refusals came."""
    say(json.dumps(found))
    for seen in summaries:
        if set(seen["ends"]) - {"complete", "refused"} or set(seen["statuses"]) - {"200", "503"}:
            raise RuntimeError(f"other ends: {seen['ends']} {seen['statuses']} {seen['errors']}")
    missed = [name for name, is_so in wanted.items() if not is_so]
    if missed:
        raise RuntimeError(f"not so: {', '.join(missed)}; {found}")
    return found


def w060(case: Case) -> dict:
    """three times as many calls as can be done, for 60 s: as many are done, the others refused at once"""
    begin(case)
    most = capacity(case)
    with Health(case.address) as health:
        seen = result(flood(case, 3 * most, SECONDS))
    time.sleep(5)
    after = result(flood(case, most / 10, 5))
    done, refused = (seen["ends"].get(end, 0) for end in ("complete", "refused"))
    found = {"capacity_per_second": round(most), "done": done, "of_capacity": round(done / seen["seconds"] / most, 3), "refused": refused,
             "refused_p99_ms": milliseconds(seen, "refused_us"), "served_p99_ms": milliseconds(seen, "total_us"),
             "health_p99_ms": health.p99(), "refused_after": after["ends"].get("refused", 0)}
    wanted = {"nine tenths of what can be done is done": found["of_capacity"] >= 0.9, "calls are refused": refused > 0,
              "refused within 20 ms": found["refused_p99_ms"] <= 20, "health within 50 ms": found["health_p99_ms"] <= 50,
              "normal after 5 s": found["refused_after"] == 0}
    return check(found, wanted, [seen, after])


def w065(case: Case) -> dict:
    """one tenant at ten times its share: it is refused, another's 99th percentile twice its own at most"""
    begin(case)
    most = capacity(case)
    beside = flood(case, most / 4, SECONDS)
    before = result(calm(case, SECONDS))
    result(beside)
    beside = flood(case, 10 * most / 2, SECONDS)
    now, loud = result(calm(case, SECONDS)), result(beside)
    ends = {f"{name}_{end}": seen["ends"].get(end, 0) for name, seen in (("loud", loud), ("calm", now)) for end in ("complete", "refused")}
    found = {"capacity_per_second": round(most), **ends, "loud_refused_p99_ms": milliseconds(loud, "refused_us"),
             "calm_p99_ms": milliseconds(now, "total_us"), "calm_p99_before_ms": milliseconds(before, "total_us")}
    wanted = {"the flood is refused": ends["loud_refused"] > ends["loud_complete"], "the other is not": ends["calm_refused"] == 0,
              "the other's time is twice its own at most": found["calm_p99_ms"] <= 2 * found["calm_p99_before_ms"]}
    return check(found, wanted, [before, now, loud])


CASES = {"W-060": w060, "W-065": w065}
