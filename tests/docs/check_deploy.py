"""Checks what docker/ and deploy/ say of each other: files that are named exist, names and ports agree."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS: list[str] = []


def need(truth, message: str) -> None:
    if not truth:
        PROBLEMS.append(message)


def compose() -> None:
    folder = ROOT / "docker"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    need(set(services) == {"weir", "postgres", "prometheus", "grafana"}, f"services: {sorted(services)}")
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                need((folder / source).exists(), f"compose.yaml, {name}: there is no {source}")
        for port in service.get("ports", []):
            need(port.startswith("127.0.0.1:"), f"compose.yaml, {name}: {port} is open to other machines")
    build = services["weir"]["build"]
    need((folder / build["context"] / build["dockerfile"]).exists(), "compose.yaml: its Dockerfile is not there")
    stages = re.findall(r"^FROM .* AS (\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE)
    need(build["target"] in stages, f"compose.yaml: the Dockerfile has no stage {build['target']}")


def dockerfile() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    for part in ("WEIR_LISTEN=0.0.0.0:4000", "WEIR_DATA_DIR=/data", "USER 65532:65532", "HEALTHCHECK", "ARG BASE="):
        need(part in text, f"Dockerfile: {part} is missing")


def prometheus_and_grafana() -> None:
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = [target for job in scrape["scrape_configs"] for static in job["static_configs"] for target in static["targets"]]
    need(targets == ["weir:4000"], f"prometheus.yml scrapes {targets}")
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text())
    need(source["datasources"][0]["url"] == "http://prometheus:9090", "Grafana's data source is not the compose file's Prometheus")
    made = subprocess.run([sys.executable, ROOT / "deploy/grafana/make.py", "--check"], capture_output=True, text=True)
    need(made.returncode == 0, made.stdout.strip())
    boards = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    uids = [json.loads(board.read_text())["uid"] for board in boards]
    need(len(boards) == len(set(uids)) == 7, f"dashboards: {uids}")
    for board in boards:
        grid(board.name, json.loads(board.read_text())["panels"])


def grid(name: str, panels: list) -> None:
    need(len({panel["id"] for panel in panels}) == len(panels), f"{name}: panels share an id")
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        need(not cells & places, f"{name}: {panel['title']} lies on another panel")
        need(at["x"] + at["w"] <= 24, f"{name}: {panel['title']} is too wide")
        places |= cells


def rules() -> None:
    """Each alert says how bad it is, what it is, and what to do; each runbook belongs to an alert, each alert has a test."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    tested = (ROOT / "deploy/prometheus/tests/rules.test.yml").read_text()
    pages = set()
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        name, notes = rule["alert"], rule.get("annotations", {})
        need(rule.get("labels", {}).get("severity") in ("page", "ticket"), f"{name}: severity is neither page nor ticket")
        need(notes.get("summary"), f"{name}: no summary")
        page = ROOT / notes.get("runbook", "nothing")
        pages.add(page)
        need(page.is_file() and f"`{name}`" in page.read_text(), f"{name}: its runbook does not name it")
        fires = re.search(rf"alertname: {name}\n        exp_alerts:\n", tested)
        need(fires, f"{name}: no test lets it fire")
        need(re.search(rf"alertname: {name}\n        exp_alerts: \[\]\n", tested), f"{name}: no test lets it be quiet")
    written = set((ROOT / "docs/runbooks").glob("*.md"))
    need(pages == written, f"runbooks without an alert: {sorted(path.name for path in written - pages)}")


def unit() -> None:
    text = (ROOT / "deploy/systemd/weir.service").read_text()
    for part in ("ExecStart=/usr/local/bin/weir serve", "ExecReload=/bin/kill -HUP $MAINPID", "WEIR_DATA_DIR=/var/lib/weir"):
        need(part in text, f"weir.service: {part} is missing")


def haproxy() -> None:
    text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
    # What the case of the replicas puts other addresses for.
    for part in ("bind :4000", "weir-a:4000", "weir-b:4000", "httpchk GET /health/ready"):
        need(part in text, f"haproxy.cfg: {part} is missing")


for check in (compose, dockerfile, prometheus_and_grafana, rules, unit, haproxy):
    check()
print("\n".join(PROBLEMS) or "the files of docker/ and deploy/ agree")
sys.exit(1 if PROBLEMS else 0)
