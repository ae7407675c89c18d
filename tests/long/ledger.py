"""Cases of the ledger: kills, stores that go away, clients that leave."""

import json
import shutil
import signal
import time

from base import Case, Postgres, say, steady


def kills(case: Case, store: str | None, requests: int, concurrency: int, times: int) -> dict:
    """Rounds with a kill each, at a seeded moment while the load runs; then the books."""
    case.simulator()
    case.configure(store)
    part = requests // times
    while len(case.state["drives"]) < times:
        number = len(case.state["drives"])
        seed = case.state["seed"] + number
        chaos = [str(case.bin / "chaos"), "--seed", str(seed), "--times", "1", "--between", f"300ms..{part // 4}ms", "--harm", "kill", "--"]
        log = f"chaos-{number}-{time.time_ns()}.log"
        process = case.weir(*chaos, log=log)
        summary = case.drive(f"round-{number}", part, concurrency)
        text = (case.folder / log).read_text(errors="replace")
        if "killed, 1 of 1" not in text:
            raise RuntimeError(f"the load of {part} was over before the kill: {summary['seconds']} s")
        process.send_signal(signal.SIGTERM)
        process.wait(90)
        case.done(summary)
        say(f"round {number + 1} of {times}: {part} requests in {summary['seconds']:.1f} s, one SIGKILL (seed {seed}): {json.dumps(summary['ends'])}")
    # The last process drains what the killed ones left.
    case.weir()
    waited = case.drained(300)
    result = case.audit(times * concurrency)
    odd = [kind for kind in result["unsettled"] if not kind.startswith(("orphaned", "client_gone estimated"))]
    if odd:
        raise RuntimeError(f"attempts without the provider's usage that no kill explains: {odd}")
    return {"requests": requests, "concurrency": concurrency, "sigkills": times, "clients_saw": case.ends(),
            "drained_after_seconds": round(waited, 2), **result}


def w001_sqlite(case: Case) -> dict:
    """100,000 requests at 200 at once, 5 SIGKILLs, on SQLite"""
    return kills(case, None, 100_000, 200, 5)


def w001_postgres(case: Case) -> dict:
    """100,000 requests at 200 at once, 5 SIGKILLs, on Postgres"""
    with Postgres(case.state) as postgres:
        return kills(case, postgres.url, 100_000, 200, 5)


def w015(case: Case) -> dict:
    """50,000 requests, 10 SIGKILLs, on SQLite; the file stays whole"""
    return kills(case, None, 50_000, 100, 10)


def fresh(case: Case) -> None:
    """These cases are one piece: what a run left unfinished is of no use."""
    case.state["drives"], case.state["truths"] = [], []
    shutil.rmtree(case.folder / "data", ignore_errors=True)


def w002(case: Case) -> dict:
    """Postgres killed while 500 calls a second drain, back after 60 s"""
    fresh(case)
    with Postgres(case.state) as postgres:
        case.simulator()
        case.configure(postgres.url)
        case.weir()

        def harm() -> None:
            time.sleep(10)
            postgres.kill()
            time.sleep(60)
            postgres.start()

        summary = steady(case, "steady", 500, 90, during=harm)
        waited = case.drained(60)
        return {"clients_saw": case.ends(), "p99_us": summary["total_us"]["p99"], "drained_after_seconds": waited, **case.audit(0)}


def w003(case: Case) -> dict:
    """Postgres hangs for 120 s without a word; the 99th percentile moves by a tenth at most"""
    fresh(case)
    with Postgres(case.state) as postgres:
        case.simulator()
        case.configure(postgres.url)
        case.weir()
        before = steady(case, "before", 300, 60)
        postgres.signal(signal.SIGSTOP)
        during = steady(case, "during", 300, 120)
        postgres.signal(signal.SIGCONT)
        waited = case.drained(15)
        # The books first: they are of use where the machine was too busy for the rest.
        books = case.audit(0)
        p99 = [summary["total_us"]["p99"] for summary in (before, during)]
        if p99[1] > p99[0] * 1.1:
            raise RuntimeError(f"the 99th percentile moved from {p99[0]} to {p99[1]} µs")
        return {"clients_saw": case.ends(), "p99_us_before": p99[0], "p99_us_during": p99[1], "drained_after_seconds": waited, **books}


def w042(case: Case) -> dict:
    """5,000 clients that leave at random moments"""
    case.simulator()
    case.configure(None)
    case.weir()
    while len(case.state["drives"]) < 5:
        number = len(case.state["drives"])
        case.done(case.drive(f"leave-{number}", 1000, 100, "--abort-percent", "100", "--abort-within", "150ms", words=["len=40+gap=3ms"]))
    case.drained(60)
    return {"clients_saw": case.ends(), **case.audit(5000)}


CASES = {"W-001-sqlite": w001_sqlite, "W-001-postgres": w001_postgres, "W-002": w002, "W-003": w003, "W-015": w015, "W-042": w042}
