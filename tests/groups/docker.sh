#!/usr/bin/env bash
# Dockerfile, compose file, systemd unit, Prometheus configuration and dashboard
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$ROOT/tests/lib/install.sh"
cd "$ROOT"

main_venv
apt_need promtool prometheus
check "hadolint" "$(dirname "$PYTHON")/hadolint" docker/Dockerfile
check "compose file has compose's schema" "$(dirname "$PYTHON")/check-jsonschema" --builtin-schema vendor.compose-spec docker/compose.yaml
check "promtool: scrape configuration" promtool check config deploy/prometheus/prometheus.yml
check "files that the compose file and the Dockerfile name" "$PYTHON" tests/docs/check_deploy.py
check "dashboard against a running weir and a real Prometheus" "$PYTHON" tests/docs/check_dashboard.py
left_out "building the image" "no registry of base images is reached here; docker/README.md has the commands"
checks_done
