"""Keys, limits and budgets while Postgres or Redis is stopped; wrong keys; and a million rows that wait."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request

from base import Case, Postgres, free_port, get, say, steady
from ledger import fresh
from load import metric


class Redis:
    """A server of the case's own, which keeps nothing on the disk."""

    def __enter__(self) -> "Redis":
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}"
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()


def single(postgres: Postgres, question: str) -> int:
    """The one number that a question has."""
    command = [f"{postgres.bin}/psql", postgres.url, "-At", "-c", question]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def p99(summary: dict) -> int:
    """Microseconds."""
    return summary["total_us"]["p99"]


def usual_p99(case: Case, which: int) -> int:
    """Microseconds: the median over the seconds of a drive, each second's 99th percentile. What else runs on the machine shows in single ones."""
    seconds: dict[int, list[int]] = {}
    with open(case.state["drives"][which]["log"]) as log:
        for line in map(json.loads, log):
            seconds.setdefault(line["at_us"] // 1_000_000, []).append(line["total_us"])
    each = sorted(sorted(calls)[len(calls) * 99 // 100 - 1] for calls in seconds.values() if len(calls) > 50)
    return each[len(each) // 2]


def within(before: dict, during: dict, share: float, least: int = 0) -> dict:
    """That the 99th percentile moved by no more than a share of it, or by `least` microseconds where that is more."""
    if p99(during) > p99(before) + max(p99(before) * share, least):
        raise RuntimeError(f"the 99th percentile moved from {p99(before)} to {p99(during)} µs")
    return {"p99_us_before": p99(before), "p99_us_during": p99(during)}


def waiting(case: Case) -> int:
    health = get(f"http://{case.address}/health")
    return health["ledger"]["spooled_entries"] if health else -1


def w014(case: Case) -> dict:
    """A million rows that wait drain into Postgres at 5,000 a second or more while 200 calls a second go on"""
    fresh(case)
    with Postgres(case.state) as postgres:
        case.simulator()
        case.configure(postgres.url, "ledger: { max_spool: 4GiB }\n")
        case.weir()
        before = steady(case, "before", 200, 30)
        postgres.signal(signal.SIGSTOP)
        # Each call is two rows: its attempt's and its own.
        command = case.drive_command("fill", 500_000, 64, "--light", "--words", "len=1", mix=["--mix", "chat:openai/gpt-4o-mini:1"])
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        rows = waiting(case)
        if rows < 1_000_000:
            raise RuntimeError(f"only {rows} rows wait")
        postgres.signal(signal.SIGCONT)
        began, took = time.monotonic(), []

        def look() -> None:
            while waiting(case) > 1000 and time.monotonic() - began < 200:
                time.sleep(0.1)
            took.append(time.monotonic() - began)

        during = steady(case, "during", 200, 40, during=look)
        rate = rows / took[0]
        told = {"rows": rows, "seconds": round(took[0], 1), "rows_a_second": round(rate), "p99_us_before": p99(before), "p99_us_during": p99(during)}
        say(json.dumps(told))
        if rate < 5000:
            raise RuntimeError(f"{rows} rows took {took[0]:.1f} s")
        case.drained(60)
        return {"clients_saw": case.ends(), **told, **case.audit(0), **within(before, during, 0.1, 5000)}


# One key whose budgets pay for all, and one whose leased slice is soon used up.
ACCOUNTS = """keys:
  - name: wide
    key: wide
    team: platform
    limits: { requests_per_minute: 1000000, tokens_per_minute: 1000000000, concurrency: 10000 }
    budgets: [{ limit: 1000, period: day }, { limit: 5000, period: month }]
  - { name: narrow, key: narrow, budgets: [{ limit: 0.001, period: total }] }
teams: [{ name: platform, budgets: [{ limit: 9000, period: week }] }]
budgets: [{ limit: 10000, period: day }]
"""
NARROW = 1_000_000


def call(case: Case, key: str) -> tuple[int, float]:
    """Its status, and how many milliseconds it took."""
    body = {"model": "openai/gpt-4o-mini", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{case.address}/v1/chat/completions", json.dumps(body).encode(), headers)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            status = answer.status
    except urllib.error.HTTPError as refused:
        status = refused.code
    return status, (time.monotonic() - began) * 1000


def beyond_the_lease(case: Case) -> dict:
    """Uses up what is leased, and looks how fast it is said then that nobody can know."""
    served, refused = 0, []
    while len(refused) < 100:
        status, took = call(case, "narrow")
        if status == 200:
            served += 1
        elif status == 503:
            refused.append(took)
        else:
            raise RuntimeError(f"a call ended with {status}")
        if served > 1000:
            raise RuntimeError("the narrow budget has no end")
    refused.sort()
    if refused[-1] > 250:
        raise RuntimeError(f"a refusal took {refused[-1]:.0f} ms")
    return {"of_the_slice": served, "refused": len(refused), "refused_ms": {"p50": round(refused[50]), "most": round(refused[-1])}}


def postgres_stopped(case: Case) -> dict:
    """500 calls a second with keys, limits and budgets go on while Postgres is stopped for 60 s; then each row is there once"""
    fresh(case)
    with Postgres(case.state) as postgres:
        case.simulator()
        case.configure(postgres.url, ACCOUNTS)
        case.weir()
        before = steady(case, "before", 500, 60, "--key", "wide")
        if call(case, "narrow")[0] != 200:
            raise RuntimeError("the narrow budget pays for nothing")
        postgres.signal(signal.SIGSTOP)
        during = steady(case, "during", 500, 60, "--key", "wide")
        beyond = beyond_the_lease(case)
        postgres.signal(signal.SIGCONT)
        waited = case.drained(60)
        sums = "SELECT COALESCE(SUM(spent_nanousd), 0)::bigint FROM budget_windows WHERE budget = 'key:narrow/total'"
        spent = single(postgres, sums)
        rows = single(postgres, "SELECT COALESCE(SUM(a.cost_nanousd), 0)::bigint FROM attempts a JOIN calls c ON c.id = a.call_id WHERE c.key = 'narrow'")
        if spent != rows or spent > NARROW:
            raise RuntimeError(f"{spent} of {NARROW} nano-dollars are charged, the rows say {rows}")
        told = {"clients_saw": case.ends(), **beyond, "narrow_nanousd": {"spent": spent, "limit": NARROW}, "drained_after_seconds": waited}
        say(json.dumps(told))
        return {**told, **case.audit(0), **within(before, during, 0.1, 5000)}


def redis_stopped(case: Case) -> dict:
    """500 calls a second with keys, limits and budgets go on while Redis is stopped for 60 s (W-074)"""
    fresh(case)
    with Redis() as redis:
        case.simulator()
        case.configure(None, f'{ACCOUNTS}coordination: {{ url: "{redis.url}" }}\n')
        case.weir()
        before = steady(case, "before", 500, 60, "--key", "wide")
        redis.signal(signal.SIGSTOP)
        during = steady(case, "during", 500, 60, "--key", "wide")
        redis.signal(signal.SIGCONT)
        began = time.monotonic()
        while not get(f"http://{case.address}/health")["coordination"]["up"]:
            if time.monotonic() - began > 5:
                raise RuntimeError("Redis is not found again within 5 s")
            time.sleep(0.05)
        found = time.monotonic() - began
        lines = (case.folder / "weir.log").read_text().count("Redis is lost")
        if not 1 <= lines <= 60:
            raise RuntimeError(f"the log says {lines} times in 60 s that Redis is lost")
        case.drained(60)
        told = {"clients_saw": case.ends(), "found_again_after_seconds": round(found, 2), "log_lines": lines}
        say(json.dumps(told))
        return {**told, **case.audit(0), **within(before, during, 0.1, 5000)}


def w081(case: Case) -> dict:
    """10,000 wrong keys a second while Postgres is stopped: each refused, and the 99th percentile of valid calls twice its own at most"""
    fresh(case)
    with Postgres(case.state) as postgres:
        case.simulator()
        case.configure(postgres.url, "server: { master_key: m }\nkeys: [{ name: ci, key: k }]\n")
        case.weir()
        before = steady(case, "before", 100, 30, "--key", "k")
        # A key that needed the database would wait for it.
        postgres.signal(signal.SIGSTOP)
        # Optimised, and a process of its own: what floods from the process that measures is measured with it.
        flood = [str(case.bin / "drive"), "--url", f"http://{case.address}", "--requests", str(10**9), "--concurrency", "64", "--rate", "10000",
                 "--duration", "34s", "--threads", "1", "--key", "wrong", "--light", "--timeout", "5s", "--mix", "chat:openai/gpt-4o-mini:1"]
        process = subprocess.Popen(flood, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        time.sleep(2)
        beside = steady(case, "beside", 100, 30, "--key", "k")
        wrong = json.loads(process.communicate()[0].strip().splitlines()[-1])
        told_to_stop = metric(case.address, "weir_rate_limited_total", "address_wrong_keys_per_minute")
        postgres.signal(signal.SIGCONT)
        case.drained(60)
        told = {"clients_saw": case.ends(), "wrong_keys": wrong["ends"], "wrong_keys_a_second": round(wrong["per_second"]),
                "told_to_stop": round(told_to_stop), "p50_us": [before["total_us"]["p50"], beside["total_us"]["p50"]],
                "p99_us": [p99(before), p99(beside)], "usual_p99_us": [usual_p99(case, 0), usual_p99(case, 1)]}
        say(json.dumps(told))
        if set(wrong["ends"]) != {"refused"} or wrong["ends"]["refused"] - told_to_stop > 200:
            raise RuntimeError(f"wrong keys are not refused, or not told to stop: {told}")
        return {**told, **case.audit(0), **within(before, beside, 1)}


CASES = {"W-014": w014, "W-081": w081, "W-074": redis_stopped, "postgres-stopped": postgres_stopped}
