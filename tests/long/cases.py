"""Cases that are written once, in tests/e2e, and run there in a larger form."""

import os
import re
import subprocess

from base import ROOT, Case, nextest, say


def full(case: Case, *names: str) -> dict:
    """Runs these tests with `WEIR_CASES=full` on the copied binaries; what they print is the result."""
    command = nextest(["weir-e2e"], list(names))
    environment = os.environ | {"WEIR_CASES": "full", "WEIR_BIN": str(case.bin / "weir"), "WEIR_SIM_BIN": str(case.bin / "weir-sim")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    (case.folder / "log").write_text(done.stdout + done.stderr)
    noise = re.compile(r"^\s*(Compiling|Finished|Blocking|Extract(?:ing|ed)|Nextest|Starting|START|PASS|Summary|running|test |─)|^\s*$|^error: test run failed")
    told = [line.strip() for line in done.stdout.splitlines() if not noise.match(line) and not line.startswith("test result")]
    say("\n".join(told))
    if done.returncode != 0:
        raise RuntimeError((done.stdout + done.stderr)[-3000:])
    return {"told": told}


def w038(case: Case) -> dict:
    """each deadline, in each dialect"""
    return full(case, "w038_w039")


def w043(case: Case) -> dict:
    """200 readers at 1 KB/s, the 99th percentile of others within a tenth"""
    return full(case, "w043")


def w053(case: Case) -> dict:
    """10,000 calls over HTTP/2 with GOAWAY after every 500"""
    return full(case, "w053")


def w054(case: Case) -> dict:
    """10,000 calls over connections that close at the same moment"""
    return full(case, "w054")


def w066(case: Case) -> dict:
    """two replicas behind HAProxy, stopped eight times at 500 calls a second"""
    return full(case, "w066")


def w069(case: Case) -> dict:
    """1,000 reloads under load, memory within a twentieth"""
    return full(case, "w069")


def x6(case: Case) -> dict:
    """5 % of faults at each of three providers, 60,000 calls"""
    return full(case, "x6_with_faults")


def outage(case: Case) -> dict:
    """a provider that dies for 30 s under 200 calls a second"""
    return full(case, "a_provider_that_dies")


def market(case: Case) -> dict:
    """`cheapest` and `fastest` on a market that moves for three minutes, and its plot"""
    told = full(case, "market::")
    subprocess.run(["python3", ROOT / "docs/plots/market.py"], check=True)
    return told


CASES = {"W-038": w038, "W-043": w043, "W-053": w053, "W-054": w054, "W-066": w066, "W-069": w069,
         "X6": x6, "outage": outage, "market": market}
