"""Cases whose full form is their form of `tests/run` with larger numbers: the same test, by `cargo nextest`."""

import os
import re
import subprocess

from base import ROOT, Case, nextest, say

# Name: what it is, the package, the tests, what the environment says beside `WEIR_CASES=full`.
FORMS = {
    "W-004": ("200 answers to a COMMIT are lost", "weir-e2e", "w004_", {}),
    "W-005": ("the spool is cut at 50 places of its last records, the process started anew", "weir-e2e", "w005_", {}),
    "W-007": ("a tmpfs of 8 MiB is full during 300 calls a second", "weir-e2e", "w007_", {}),
    "W-008": ("10,000 seeds of a disk that loses what was not synced", "weir-ledger", "w008_", {"WEIR_SEEDS": "10000"}),
    "W-010": ("20 processes overlap", "weir-e2e", "w010_", {}),
    "W-017": ("50 rounds of 500 calls against a budget for 100, on SQLite and on Postgres", "weir-e2e", "w017_", {}),
    "W-018": ("the same over three processes on one Postgres", "weir-e2e", "w018_", {}),
    "W-018-killed": ("the same with a SIGKILL of one of them in each round", "weir-e2e", "what_a_killed_process_held", {}),
    "W-020": ("Redis is dead, in each mode of `on_loss`", "weir-e2e|weir-redis", "w020_", {}),
    "W-021": ("Redis is emptied while three replicas race", "weir-redis", "w021_", {}),
    "W-022": ("calls without a limit of their output", "weir-e2e", "a_limit_is_sent_where_a_hard_budget_applies", {}),
    "W-023": ("a stream that outruns its limit", "weir-e2e", "a_stream_that_outruns_its_limit", {}),
    "W-024": ("10,000 random requests, each sent and bounded", "weir-e2e", "no_call_costs_more_than_its_bound", {}),
    "W-025": ("1,000,000 operations of each of 16 threads over four levels", "weir-ledger", "w025_", {"WEIR_BUDGET_OPS": "1000000"}),
    "W-026": ("200 calls under way at a period's end", "weir-ledger", "w026_", {}),
    "W-027": ("a clock that jumps", "weir-ledger|weir-e2e", "w027_", {}),
    "W-028": ("a limit lowered under calls, and raised", "weir-ledger|weir-e2e", "w028_", {}),
    "W-030": ("prices that are none", "weir-config|weir-e2e", "prices_that_are_no_prices|numbers_of_prices|without_a_price_there_is_no_bound", {}),
    "W-032": ("1,000,000 random usages at random prices", "weir-catalog", "every_cost_is_exact", {"WEIR_CASES": "1000000"}),
    "W-033": ("203 golden usages", "weir-e2e", "w033_", {}),
    "W-034": ("a price that changes under 100 streams", "weir-e2e", "each_call_is_charged_by_the_price_of_its_admission", {}),
    "W-070": ("a start while Postgres is down", "weir-e2e", "w070_", {}),
    "W-072": ("Postgres restarts during writes of the admin API", "weir-e2e", "w072_", {}),
    "W-073": ("Postgres has no connection left", "weir-e2e", "w073_", {}),
    "W-075": ("3,000 calls on three replicas with one limit of 1,000", "weir-e2e", "w075_", {}),
    "W-076": ("100,000 timings of near and of far keys", "weir-gateway", "refusing_takes_the_same_time", {"WEIR_TIMINGS": "100000"}),
    "W-077": ("secrets of every kind", "weir-e2e", "w077_", {}),
    "W-078": ("50 keys, made and revoked on three replicas", "weir-e2e", "w078_", {}),
    "W-079": ("5,000 variants of each protected route", "weir-e2e", "w079_", {}),
    "W-080": ("roles and endpoints", "weir-e2e", "w080_", {}),
    "W-082": ("tenants and the cache", "weir-e2e", "tenants_never_meet", {}),
    "W-083": ("forwarded addresses", "weir-e2e|weir", "w083_", {}),
    "W-085": ("clients that name destinations, 345 pictures (W-086)", "weir-e2e", "w085_", {}),
    "W-088": ("headers that do not travel", "weir-e2e", "w088_", {}),
    "W-089": ("ambiguous requests", "weir-e2e", "w089_", {}),
    "W-090": ("5,000 slow heads and 1,000 slow bodies", "weir-e2e", "w090_", {}),
    "W-091": ("20,000 rapid resets", "weir-e2e", "w091_", {}),
    "W-092": ("bodies ten times too large, 500 of them", "weir-e2e", "w092_", {}),
    "W-093": ("JSON of 10,000,000 members and 1,000,000 messages", "weir-e2e", "w093_", {}),
    "W-094": ("compressed bombs", "weir-e2e", "w094_", {}),
    "W-096": ("odd searches of the admin API", "weir-e2e", "w096_", {}),
    "W-101": ("1,000 seeds of replicas under partitions, delays and crashes", "weir-ledger", "w101_", {"WEIR_SIM_SEEDS": "1000"}),
    "invoice": ("1,000 calls over every price dimension", "weir-e2e", "the_ledger_adds_up_to_the_invoice", {}),
}

def form(what: str, packages: str, tests: str, environment: dict[str, str]):
    """A case that runs these tests of these packages."""

    def run(case: Case) -> dict:
        command = nextest(packages.split("|"), tests.split("|"))
        say("$ " + " ".join(command))
        known = {"WEIR_CASES": "full", "WEIR_BIN": str(case.bin / "weir"), "WEIR_SIM_BIN": str(case.bin / "weir-sim")}
        log = case.folder / "nextest.log"
        with open(log, "wb") as output:
            done = subprocess.run(command, cwd=ROOT, env=os.environ | known | environment, stdin=subprocess.DEVNULL,
                                  stdout=output, stderr=subprocess.STDOUT)
        text = log.read_text(errors="replace")
        figures = [line.strip().removeprefix("figure: ") for line in text.splitlines() if line.strip().startswith("figure: ")]
        said = re.search(r"(\d+) tests? run: .*", text)
        if done.returncode != 0 or said is None or said[1] == "0":
            raise RuntimeError(f"see {log}: {said[0] if said else 'no test ran'}; {figures}")
        return {"tests": said[0], "figures": figures}

    run.__doc__ = what
    return run


def w099(case: Case) -> dict:
    """The admin API by its own description, twelve times as many examples as in `tests/run`"""
    script = '. tests/lib/common.sh; . tests/lib/install.sh; api_venv; cd tests/clients/python; exec "$PYTHON" -m pytest -q -s -c pytest.ini --rootdir api --confcutdir api api'
    log = case.folder / "pytest.log"
    with open(log, "wb") as output:
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=os.environ | {"WEIR_CASES": "full", "PYTHONDONTWRITEBYTECODE": "1"},
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    text = log.read_text(errors="replace")
    if done.returncode != 0:
        raise RuntimeError(f"see {log}")
    return {"figures": re.findall(r"(?:generated|passed)[^\n]*|[^\n]*(?:Test cases|generated)[^\n]*", text)[-6:]}


CASES = {name: form(*given) for name, given in FORMS.items()} | {"W-099": w099}
