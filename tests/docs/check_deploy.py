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
    panels = json.loads((ROOT / "deploy/grafana/overview.json").read_text())["panels"]
    need(len({panel["id"] for panel in panels}) == len(panels), "overview.json: panels share an id")
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        need(not cells & places, f"overview.json: {panel['title']} lies on another panel")
        need(at["x"] + at["w"] <= 24, f"overview.json: {panel['title']} is too wide")
        places |= cells


def unit() -> None:
    text = (ROOT / "deploy/systemd/weir.service").read_text()
    for part in ("ExecStart=/usr/local/bin/weir serve", "ExecReload=/bin/kill -HUP $MAINPID", "WEIR_DATA_DIR=/var/lib/weir"):
        need(part in text, f"weir.service: {part} is missing")


def haproxy() -> None:
    text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
    # What the case of the replicas puts other addresses for.
    for part in ("bind :4000", "weir-a:4000", "weir-b:4000", "httpchk GET /health/ready"):
        need(part in text, f"haproxy.cfg: {part} is missing")


for check in (compose, dockerfile, prometheus_and_grafana, unit, haproxy):
    check()
print("\n".join(PROBLEMS) or "the files of docker/ and deploy/ agree")
sys.exit(1 if PROBLEMS else 0)
