"""Runs each query of the dashboard against a real Prometheus that scraped a real weir under traffic of every kind.

A query that doesn't parse, that names a metric which weir doesn't have, or that finds nothing, fails. And each metric that
weir's /metrics has and the dashboard doesn't is named, so that leaving one out is a decision.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "clients" / "python"))
from weir_process import Weir, free_port  # noqa: E402

SIM = Path(os.environ.get("WEIR_SIM_BIN", ROOT / "target" / "release" / "weir-sim"))
KEY = "key-of-the-dashboard-test"
CONFIG = """
server:
  master_key: master-of-the-dashboard-test
providers:
  demo: {{}}
  lab: {{ kind: openai-compatible, base_url: "http://127.0.0.1:{sim}/v1", api_key: any }}
  gone: {{ kind: openai-compatible, base_url: "http://127.0.0.1:1/v1", api_key: any }}
models:
  greeting: demo/echo
  unpriced: lab/gpt-4o
  lost: gone/any
keys:
  - {{ name: app, key: {key}, team: platform }}
teams:
  - name: platform
"""


def traffic(weir: Weir) -> None:
    auth = {"authorization": f"Bearer {KEY}"}
    for _ in range(2):
        weir.chat("greeting", "some words to count", auth)
        weir.chat("demo/story", "a story", auth, stream=True, max_tokens=12)
        weir.chat("unpriced", "hello", auth)
        weir.chat("lost", "hello", auth)
        weir.chat("no/such-model", "hello", auth)
        weir.chat("greeting", "hello", {"authorization": "Bearer wrong"})
        weir.post("/v1/embeddings", {"model": "demo/embed", "input": "text"}, auth)


def ask(port: int, path: str, **parameters) -> dict:
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def queries() -> list[tuple[str, str]]:
    panels = json.loads((ROOT / "deploy/grafana/overview.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]


def filled(query: str) -> str:
    return query.replace("$__rate_interval", "1m").replace("$instance", ".*")


def main() -> int:
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        sim_port, port = free_port(), free_port()
        sim = subprocess.Popen([SIM, "--listen", f"127.0.0.1:{sim_port}"], stdout=subprocess.DEVNULL)
        Path(folder, "weir").mkdir()
        with Weir(Path(folder, "weir"), CONFIG.format(sim=sim_port, key=KEY)) as weir:
            scrape = {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [{"job_name": "weir", "static_configs": [{"targets": [f"127.0.0.1:{weir.port}"]}]}],
            }
            Path(folder, "prometheus.yml").write_text(json.dumps(scrape))
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
                traffic(weir)
                weir.process.send_signal(signal.SIGHUP)
                # A busy machine scrapes late: as long as something is missing there is more traffic, up to a minute.
                until = time.monotonic() + 60
                while True:
                    time.sleep(1.2)
                    traffic(weir)
                    time.sleep(2)
                    problems = check(port)
                    if not problems or time.monotonic() > until:
                        break
                offered = set(re.findall(r"^# TYPE (weir_\w+)", weir.get("/metrics").body.decode(), re.MULTILINE))
            finally:
                prometheus.terminate()
                prometheus.wait()
                sim.terminate()
                sim.wait()
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for _, query in queries() for name in re.findall(r"\bweir_\w+", query)}
    problems += [f"the dashboard asks for {name}, which /metrics doesn't have" for name in sorted(used - offered)]
    print("\n".join(problems) or f"{len(queries())} queries answered")
    left = sorted(offered - used)
    print(f"metrics that the dashboard doesn't show: {', '.join(left) or 'none'}")
    return 1 if problems else 0


def check(port: int) -> list[str]:
    problems = []
    for title, query in queries():
        answer = ask(port, "query", query=filled(query))
        if answer["status"] != "success":
            problems.append(f"{title}: {query}: {answer['error']}")
        elif not answer["data"]["result"]:
            problems.append(f"{title}: {query}: found nothing")
    return problems


if __name__ == "__main__":
    sys.exit(main())
