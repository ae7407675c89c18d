"""Renders the chart by Helm's own engine, checks every object against Kubernetes' own schemas, and lets weir read its weir.yaml.

With --write it writes deploy/kubernetes/weir.yaml, the same for those without Helm; without, that file must be current.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/kubernetes/weir"
PLAIN = ROOT / "deploy/kubernetes/weir.yaml"
WEIR = os.environ.get("WEIR_BIN", ROOT / "target/release/weir")
# The oldest Kubernetes that the chart says it is for, and the newest that the schemas know.
KUBERNETES = ("1.25", kubernetes_validate.latest_version())
POSTGRES = {"urlSecret": {"name": "weir-database", "key": "url"}}
EVERYTHING = {
    "replicaCount": 3,
    "database": POSTGRES,
    "redis": {"urlSecret": {"name": "weir-redis", "key": "url"}},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "weir-tls"},
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "grafanaDashboards": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "config": {"version": 1, "models": {"fast": "openai/gpt-4o-mini"}, "providers": {"openai": {"api_key": "${OPENAI_API_KEY}"}}},
    "extraEnv": [{"name": "RUST_BACKTRACE", "value": "1"}],
}
VALUES = {
    "several replicas": {"database": POSTGRES},
    "one replica": {"replicaCount": 1, "persistence": {"size": ""}},
    "everything": EVERYTHING,
}
REFUSED = {
    "two replicas, each with its own SQLite": {"replicaCount": 2},
    "a value that there is not": {"database": POSTGRES, "replicas": 3},
    "no secret": {"database": POSTGRES, "existingSecret": ""},
}
PROBLEMS: list[str] = []


def need(truth, message: str) -> None:
    if not truth:
        PROBLEMS.append(message)


def rendered(values: dict) -> list[dict]:
    with Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="weir", namespace="weir")
    texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def one(objects: list[dict], kind: str) -> dict:
    return next((each for each in objects if each["kind"] == kind), {})


def schemas(name: str, objects: list[dict]) -> None:
    for made in objects:
        if made["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(made, version, strict=True)
            except Exception as wrong:  # The package has several kinds of them.
                PROBLEMS.append(f"{name}, Kubernetes {version}: {made['kind']} {made['metadata']['name']}: {str(wrong)[:300]}")


def weir_reads(name: str, objects: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weir.yaml")
        file.write_text(one(objects, "ConfigMap")["data"]["weir.yaml"])
        environment = {
            "PATH": os.environ["PATH"],
            "WEIR_LISTEN": "0.0.0.0:4000",
            "WEIR_DATA_DIR": folder,
            "WEIR_MASTER_KEY": "a-key-for-this-check",
            "WEIR_STORE_URL": "postgres://weir@database/weir",
            "WEIR_REDIS_URL": "redis://redis",
            "OPENAI_API_KEY": "sk-any",
        }
        done = subprocess.run([WEIR, "check", file], capture_output=True, text=True, env=environment, cwd=folder)
        need(done.returncode == 0, f"{name}: weir refuses its weir.yaml: {done.stdout}{done.stderr}")


def promises(name: str, objects: list[dict], values: dict) -> None:
    spec = one(objects, "StatefulSet")["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    drain = yaml.safe_load(one(objects, "ConfigMap")["data"]["weir.yaml"])["server"]["drain_timeout"]
    need(pod["terminationGracePeriodSeconds"] > int(drain.rstrip("s")) + 5, f"{name}: pods are killed before their drain is over")
    need(pod["securityContext"]["runAsNonRoot"], f"{name}: runs as root")
    need(container["securityContext"]["readOnlyRootFilesystem"], f"{name}: may write to its image")
    probes = {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")}
    live, ready = "/health/live", "/health/ready"
    need(probes == {"livenessProbe": live, "readinessProbe": ready, "startupProbe": live}, f"{name}: {probes}")
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    volumes = {volume["name"] for volume in pod["volumes"]} | set(claims)
    need({mount["name"] for mount in container["volumeMounts"]} == volumes, f"{name}: volumes and mounts differ")
    labels = spec["template"]["metadata"]["labels"].items()
    for made in objects:
        selector = made["spec"].get("selector", {}) if made["kind"] in ("Service", "PodDisruptionBudget") else {}
        selector = selector.get("matchLabels", selector)
        need(selector.items() <= labels, f"{name}: {made['kind']} selects other pods")
    scaled = one(objects, "HorizontalPodAutoscaler")
    need(bool(scaled) != ("replicas" in spec), f"{name}: replicas are set although they are scaled, or the other way round")


def monitoring() -> None:
    objects = rendered(EVERYTHING)
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    need(one(objects, "PrometheusRule")["spec"] == rules, "the PrometheusRule is not deploy/prometheus/rules.yml")
    monitor = one(objects, "ServiceMonitor")["spec"]
    services = [each for each in objects if each["kind"] == "Service"]
    wanted = monitor["selector"]["matchLabels"].items()
    found = [each["metadata"]["name"] for each in services if wanted <= each["metadata"]["labels"].items()]
    need(found == ["weir-pods"], f"the ServiceMonitor finds {found}")
    job = next(each for each in services if each["metadata"]["name"] == "weir-pods")["metadata"]["labels"][monitor["jobLabel"]]
    need(job == "weir", f"scraped as job {job}, the rules ask for weir")
    boards = [each for each in objects if each["kind"] == "ConfigMap" and "dashboard" in each["metadata"]["name"]]
    files = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    need([next(iter(board["data"].values())).strip() for board in boards] == [file.read_text().strip() for file in files], "the dashboards differ")


def plain(write: bool) -> None:
    head = "# deploy/kubernetes/weir (the Helm chart) with a Postgres, for those without Helm. Made by tests/docs/check_kubernetes.py --write.\n"
    head += "# Needs two secrets: weir (WEIR_MASTER_KEY, keys of providers) and weir-database (url).\n"
    text = head + "---\n".join(yaml.safe_dump(each, sort_keys=False, width=140) for each in rendered({"database": POSTGRES}))
    text = text.replace("managed-by: Helm", "managed-by: kubectl").replace("namespace: weir\n", "")
    if write:
        PLAIN.write_text(text)
    need(PLAIN.exists() and PLAIN.read_text() == text, f"{PLAIN} is old; run tests/docs/check_kubernetes.py --write")


def main() -> int:
    report = lint(CHART, {"database": POSTGRES}, strict=True)
    for message in report["messages"]:
        need(message["severity"] < 2, f"lint: {message}")
    need(not report["errors"], f"lint: {report['errors']}")
    for name, values in VALUES.items():
        objects = rendered(values)
        schemas(name, objects)
        promises(name, objects, values)
        weir_reads(name, objects)
    for name, values in REFUSED.items():
        try:
            rendered(values)
            PROBLEMS.append(f"{name} is not refused")
        except HelmError:
            pass
    monitoring()
    plain("--write" in sys.argv)
    print("\n".join(PROBLEMS) or f"the chart renders {len(VALUES)} ways, as Kubernetes {' and '.join(KUBERNETES)} want it; {len(REFUSED)} wrong ones are refused")
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main())
