#!/usr/bin/env bash
# Dockerfile, compose file, systemd unit, Helm chart, archive, image, Prometheus rules, dashboards, the walk
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT"

main_venv
apt_need promtool prometheus
check "hadolint" "$(dirname "$PYTHON")/hadolint" docker/Dockerfile
check "compose file has compose's schema" "$(dirname "$PYTHON")/check-jsonschema" --builtin-schema vendor.compose-spec docker/compose.yaml
check "promtool: scrape configuration" promtool check config deploy/prometheus/prometheus.yml
check "promtool: rules" promtool check rules deploy/prometheus/rules.yml
check "promtool: each alert fires where it should" promtool test rules deploy/prometheus/tests/rules.test.yml
node_modules tests/grafana
check "dashboards have the form that Grafana's own types say" node tests/grafana/check.mjs
check "files that the compose file and the Dockerfile name" "$PYTHON" tests/docs/check_deploy.py
check "dashboards and alerts against a running weir and a real Prometheus" "$PYTHON" tests/docs/check_dashboard.py
check "Helm chart and manifests, by Helm's engine and Kubernetes' schemas" "$PYTHON" tests/docs/check_kubernetes.py
check "release archive" bash tests/docs/check_archive.sh
check "the first quarter of an hour works as written" python3 tests/docs/check_walk.py
apt_need buildah buildah
apt_need debootstrap debootstrap
check "image, built and run without a registry" bash tests/docs/check_image.sh
checks_done
