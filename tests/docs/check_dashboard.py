"""Runs each query of the dashboards, and the rules, against a real Prometheus that scrapes a real weir under load.

One call in twenty to one of the providers fails. A query that doesn't parse, that names a metric which weir doesn't have, or that
finds nothing, fails. The failed share that the dashboard shows must be the one that was made, within a hundredth; the alert
of the objective, with its spans shortened, must fire once and be over once. And each metric that /metrics has and no dashboard
shows is named, so that leaving one out is a decision.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "clients" / "python"))
from weir_process import Weir, free_port  # noqa: E402

SIM = Path(os.environ.get("WEIR_SIM_BIN", ROOT / "target" / "release" / "weir-sim"))
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
RULES = ROOT / "deploy/prometheus/rules.yml"
KEY = "key-of-the-dashboard-test"
# How long calls fail, in seconds, and how much shorter the spans of the rules are.
FAULTY, SHORTER = 24, {"6h": "40s", "1h": "16s", "30m": "24s", "5m": "6s", "15m": "3s", "10m": "3s", "2m": "2s", "1m": "1s"}
ALERT = "WeirErrorBudgetBurnsFast"
CONFIG = """
server:
  master_key: master-of-the-dashboard-test
providers:
  demo: {{}}
  openai: {{ base_url: "http://127.0.0.1:{sim}/v1", api_key: any }}
  lab: {{ kind: openai-compatible, base_url: "http://127.0.0.1:{sim}/v1", api_key: any }}
models:
  greeting: demo/echo
  unpriced: lab/gpt-4o
  faulty: {{ targets: [openai/gpt-4o], retry: {{ attempts: 1 }} }}
  stored: {{ targets: [openai/gpt-4o-mini], cache: {{ mode: exact, ttl: 1h }} }}
  guarded: {{ targets: [openai/gpt-4o, lab/gpt-4o], breaker: {{ failures: 5 }} }}
keys:
  - {{ name: app, key: {key}, team: platform }}
  - {{ name: narrow, key: {key}-narrow, limits: {{ requests_per_minute: 1 }} }}
teams:
  - {{ name: platform, budgets: [{{ limit: 100, period: day, hard: off }}] }}
telemetry: {{ each_key: on }}
"""


class Load(threading.Thread):
    """Calls of every kind, until it is stopped; while `faulty`, every twentieth call to `faulty` fails."""

    def __init__(self, weir: Weir):
        super().__init__(daemon=True)
        self.weir, self.faulty, self.stopped, self.sent, self.failed, self.made = weir, False, False, 0, 0, 0.0
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            turn = 0
            while not self.stopped:
                turn += 1
                self.call(turn)
                if turn % 40 == 0:
                    self.others()
                time.sleep(0.01)
        except Exception as problem:  # It is told by the main thread.
            self.problem = problem

    def call(self, turn: int) -> None:
        fails = self.faulty and turn % 20 == 0
        text = "hello [[sim:status=500]]" if fails else "hello"
        answer = self.weir.chat("faulty", text, {"authorization": f"Bearer {KEY}"})
        if (answer.status >= 500) != fails:
            raise RuntimeError(f"a call that should {'fail' if fails else 'work'} ended with {answer.status}")
        self.sent, self.failed = self.sent + 1, self.failed + fails

    def others(self) -> None:
        """None of them fails with 5xx: the share of failures is that of the calls above."""
        auth = {"authorization": f"Bearer {KEY}"}
        self.weir.chat("greeting", "some words to count", auth)
        self.weir.chat("demo/story", "a story", auth, stream=True, max_tokens=12)
        self.weir.chat("unpriced", "hello", auth)
        self.weir.chat("stored", "hello", auth)
        self.weir.chat("guarded", "hello", auth)
        self.weir.chat("no/such-model", "hello", auth)
        self.weir.chat("greeting", "hello", {"authorization": "Bearer wrong"})
        self.weir.chat("greeting", "hello", {"authorization": f"Bearer {KEY}-narrow"})
        self.weir.post("/v1/embeddings", {"model": "demo/embed", "input": "text"}, auth)
        self.sent += 8


def ask(port: int, path: str, **parameters) -> dict:
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def queries() -> list[tuple[str, str]]:
    found = []
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        found += [(f"{file.stem}: {panel['title']}", target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    return found


def filled(query: str, span: str = "15s") -> str:
    return query.replace("$__rate_interval", span).replace("$instance", ".*")


def quicker(folder: Path) -> Path:
    """The rules with their spans shortened, so that an alert comes and goes within the test."""
    def short(text: str) -> str:
        return re.sub(r"\[(\w+)\]|(?<=offset )(\w+)", lambda at: f"[{SHORTER[at[1]]}]" if at[1] else SHORTER[at[2]], text)

    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = short(rule["expr"])
            if "for" in rule:
                rule["for"] = SHORTER[rule["for"]]
    file = folder / "rules.yml"
    file.write_text(json.dumps(rules))
    return file


def check_queries(port: int) -> list[str]:
    problems = []
    for title, query in queries():
        answer = ask(port, "query", query=filled(query))
        if answer["status"] != "success":
            problems.append(f"{title}: {query}: {answer['error']}")
        elif not answer["data"]["result"]:
            problems.append(f"{title}: {query}: found nothing")
    return problems


def until(seconds: float, look):
    """What `look` finds as soon as it is nothing wrong, or at the end."""
    end = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < end:
        time.sleep(1)
    return found


def shown_share(port: int, load: Load) -> list[str]:
    """The failed share of the panel, over a while that began and ended within the faults."""
    query = next(query for title, query in queries() if title == "overview: Failed calls")
    result = ask(port, "query", query=filled(query, f"{FAULTY // 2}s"))["data"]["result"]
    shown, made = float(result[0]["value"][1]), load.made
    print(f"failed share: {shown:.4f} shown, {made:.4f} made")
    return [] if abs(shown - made) < 0.01 else [f"the dashboard shows {shown:.4f} of calls failed, {made:.4f} did"]


def firings(port: int, begun: float) -> tuple[int, bool]:
    """How often the alert began to fire, and whether it fires now."""
    query = f'ALERTS{{alertname="{ALERT}", alertstate="firing"}}'
    answer = ask(port, "query_range", query=query, start=begun, end=time.time(), step=1)["data"]["result"]
    times = [int(float(at)) for at, _ in answer[0]["values"]] if answer else []
    # A sample holds for up to five minutes where nothing ends it; an alert that is over is ended at once.
    starts = sum(1 for index, at in enumerate(times) if index == 0 or at - times[index - 1] > 2)
    return starts, bool(ask(port, "query", query=query)["data"]["result"])


def scenario(weir: Weir, port: int) -> list[str]:
    begun, load = time.time(), Load(weir)
    load.start()
    weir.process.send_signal(signal.SIGHUP)
    time.sleep(3)
    load.faulty = True
    sent, failed = load.sent, load.failed
    time.sleep(FAULTY)
    # Calls of other kinds are in the whole, too.
    load.made = (load.failed - failed) / max(load.sent - sent, 1)
    problems = shown_share(port, load)
    # A busy machine scrapes late: as long as something is missing there is more traffic, up to a minute.
    problems += until(60, lambda: check_queries(port))
    if firings(port, begun) != (1, True) and until(30, lambda: [] if firings(port, begun)[1] else ["quiet"]):
        problems.append(f"{ALERT} did not fire while one call in twenty failed")
    load.faulty = False
    until(60, lambda: ["firing"] if firings(port, begun)[1] else [])
    time.sleep(3)
    starts, firing = firings(port, begun)
    if (starts, firing) != (1, False):
        problems.append(f"{ALERT} fired {starts} times and {'still does' if firing else 'is over'}; once, and over, is right")
    load.stopped = True
    load.join()
    broken = [rule for group in ask(port, "rules")["data"]["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    problems += [f"rule {rule['name']}: {rule.get('lastError')}" for rule in broken]
    if load.problem:
        problems.append(f"the load ended: {load.problem}")
    return problems


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder, sim_port, port = Path(name), free_port(), free_port()
        sim = subprocess.Popen([SIM, "--listen", f"127.0.0.1:{sim_port}"], stdout=subprocess.DEVNULL)
        (folder / "weir").mkdir()
        with Weir(folder / "weir", CONFIG.format(sim=sim_port, key=KEY)) as weir:
            scrape = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(quicker(folder))],
                "scrape_configs": [{"job_name": "weir", "static_configs": [{"targets": [f"127.0.0.1:{weir.port}"]}]}],
            }
            (folder / "prometheus.yml").write_text(json.dumps(scrape))
            prometheus = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--log.level=error",
                ]
            )
            try:
                until(30, lambda: [] if up(port) else ["starting"])
                problems = scenario(weir, port)
                offered = set(re.findall(r"^# TYPE (weir_\w+)", weir.get("/metrics").body.decode(), re.MULTILINE))
            finally:
                prometheus.terminate()
                prometheus.wait()
                sim.terminate()
                sim.wait()
    problems += unknown(offered)
    print("\n".join(problems) or f"{len(queries())} queries of {len(DASHBOARDS)} dashboards answered; {ALERT} fired once and was over once")
    return 1 if problems else 0


def up(port: int) -> bool:
    try:
        return bool(ask(port, "query", query="up == 1")["data"]["result"])
    except OSError:
        return False


def unknown(offered: set[str]) -> list[str]:
    """Names in dashboards and rules that weir doesn't have."""
    def names(text: str) -> set[str]:
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bweir_\w+", text)}

    shown = {name for _, query in queries() for name in names(query)}
    ruled = {name for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] for name in names(rule["expr"])}
    # Those of Redis are there only with Redis.
    missing = sorted((shown | ruled) - offered - {"weir_coordination_up"})
    print(f"metrics that no dashboard shows: {', '.join(sorted(offered - shown)) or 'none'}")
    return [f"dashboards or rules ask for {name}, which /metrics doesn't have" for name in missing]


if __name__ == "__main__":
    sys.exit(main())
