"""Makes overview.json. Change what stands under ROWS, then run it:  python3 deploy/grafana/make.py

With --check it changes nothing and exits 1 where the file is old.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${source}"}
WHERE = '{instance=~"$instance"}'
RATE = "[$__rate_interval]"
FAILED = 'status=~"5.."'


def rate(metric: str, by: str = "", where: str = "") -> str:
    labels = ", ".join(part for part in ('instance=~"$instance"', where) if part)
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{labels}}}{RATE}))"


def quantile(of: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({of}, {rate(metric + '_bucket', ', '.join(part for part in ('le', by) if part))})"


# (title, what it tells, kind, unit, [(query, legend)...]); rows of at most four panels.
ROWS = [
    (
        "Now",
        [
            ("Calls per second", "", "stat", "reqps", [(rate("weir_requests_total"), "calls")]),
            (
                "Failed calls",
                "Share of calls that were answered with 5xx. Refusals of wrong requests (4xx) don't count.",
                "stat",
                "percentunit",
                [
                    (
                        f"({rate('weir_requests_total', where=FAILED)} or vector(0)) / {rate('weir_requests_total')}",
                        "failed",
                    )
                ],
            ),
            ("Calls under way", "", "stat", "short", [(f"sum(weir_inflight_requests{WHERE})", "calls")]),
            (
                "Cost in the last hour",
                "Counted by weir while it runs; `weir spend` has the exact sums.",
                "stat",
                "currencyUSD",
                [(f"sum(increase(weir_cost_usd_total{WHERE}[1h]))", "USD")],
            ),
        ],
    ),
    (
        "Traffic",
        [
            ("Calls by status", "", "timeseries", "reqps", [(rate("weir_requests_total", "status"), "{{status}}")]),
            ("Calls by route", "", "timeseries", "reqps", [(rate("weir_requests_total", "route"), "{{route}}")]),
            (
                "Attempts by how they ended",
                "A call that moved on to the next target has several.",
                "timeseries",
                "reqps",
                [(rate("weir_upstream_attempts_total", "provider, result"), "{{provider}} {{result}}")],
            ),
            (
                "Refused before they were calls",
                "No valid key, an unreadable or too large body.",
                "timeseries",
                "reqps",
                [(rate("weir_refused_requests_total", "code"), "{{code}}")],
            ),
        ],
    ),
    (
        "Time",
        [
            (
                "Duration of calls",
                "",
                "timeseries",
                "s",
                [(quantile(of, "weir_request_duration_seconds"), f"p{of * 100:g}") for of in (0.5, 0.95, 0.99)],
            ),
            (
                "Time to first token, p95",
                "Streams only.",
                "timeseries",
                "s",
                [(quantile(0.95, "weir_time_to_first_token_seconds", "provider, model"), "{{provider}}/{{model}}")],
            ),
            (
                "Time per output token, p95",
                "Streams only.",
                "timeseries",
                "s",
                [(quantile(0.95, "weir_time_per_output_token_seconds", "provider, model"), "{{provider}}/{{model}}")],
            ),
            (
                "weir's own share",
                "What a call waits for weir and not for the provider.",
                "timeseries",
                "s",
                [(quantile(of, "weir_overhead_seconds"), f"p{of * 100:g}") for of in (0.5, 0.99)],
            ),
        ],
    ),
    (
        "Tokens and cost",
        [
            ("Tokens by class", "", "timeseries", "short", [(rate("weir_tokens_total", "class"), "{{class}}")]),
            (
                "Cost per hour, by model",
                "",
                "timeseries",
                "currencyUSD",
                [(f"3600 * {rate('weir_cost_usd_total', 'provider, model')}", "{{provider}}/{{model}}")],
            ),
            (
                "Cost per hour, by team",
                "Calls of keys without a team have an empty name.",
                "timeseries",
                "currencyUSD",
                [(f"3600 * {rate('weir_cost_usd_total', 'team')}", "{{team}}")],
            ),
            (
                "Attempts of unknown price",
                "Set a price under `prices.overrides`: unknown is not 0.",
                "timeseries",
                "reqps",
                [(rate("weir_cost_unknown_total", "provider, model"), "{{provider}}/{{model}}")],
            ),
        ],
    ),
    (
        "Providers and ledger",
        [
            (
                "Providers",
                "Whether the last attempt got an answer.",
                "timeseries",
                "bool_yes_no",
                [(f"min by (provider) (weir_provider_up{WHERE})", "{{provider}}")],
            ),
            (
                "Rows that are not in the store yet",
                "They are safe in the spool; a growing number means that the store is slow or away.",
                "timeseries",
                "short",
                [
                    (f"sum(weir_ledger_queue_entries{WHERE})", "of this process"),
                    (f"sum(weir_ledger_spooled_entries{WHERE})", "in the spool"),
                ],
            ),
            (
                "Rows written",
                "",
                "timeseries",
                "short",
                [
                    (rate("weir_ledger_written_total", "result"), "{{result}}"),
                    (rate("weir_ledger_write_failures_total"), "failed writes"),
                    (rate("weir_ledger_orphaned_total"), "orphaned"),
                ],
            ),
            (
                "Spool",
                "",
                "timeseries",
                "bytes",
                [
                    (f"sum(weir_ledger_spool_bytes{WHERE})", "on the disk"),
                    (f"sum(weir_ledger_reserved_bytes{WHERE})", "set aside"),
                ],
            ),
        ],
    ),
    (
        "Process",
        [
            (
                "Version",
                "",
                "stat",
                "short",
                [(f"count by (version) (weir_build_info{WHERE})", "{{version}}")],
            ),
            (
                "Loads of the configuration",
                "After the first; a refused one leaves the old configuration running.",
                "timeseries",
                "short",
                [(f"sum by (result) (weir_config_reloads_total{WHERE})", "{{result}}")],
            ),
            (
                "Damaged spool segments",
                "They stand in quarantine, nothing of them is deleted.",
                "stat",
                "short",
                [(f"sum(weir_ledger_quarantined_segments{WHERE})", "segments")],
            ),
            (
                "Refused for a full ledger",
                "No call goes unrecorded.",
                "stat",
                "short",
                [(f"sum(increase(weir_ledger_refused_total{WHERE}[1h]))", "in the last hour")],
            ),
        ],
    ),
]


def panel(number: int, row: int, column: int, count: int, what) -> dict:
    title, text, kind, unit, queries = what
    width = 24 // count
    made = {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": column * width, "y": row, "w": width, "h": 5 if kind == "stat" else 8},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [
            {"refId": chr(65 + at), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for at, (query, legend) in enumerate(queries)
        ],
    }
    if text:
        made["description"] = text
    if kind == "timeseries":
        made["options"] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        made["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}
        made["fieldConfig"]["defaults"]["min"] = 0
    return made


def dashboard() -> dict:
    panels, number, top = [], 0, 0
    for title, row in ROWS:
        number += 1
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        top += 1
        for column, what in enumerate(row):
            number += 1
            panels.append(panel(number, top, column, len(row), what))
        top += max(made["gridPos"]["h"] for made in panels[-len(row) :])
    return {
        "uid": "weir-overview",
        "title": "weir: overview",
        "tags": ["weir"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "label": "Instance",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": "label_values(weir_build_info, instance)", "refId": "instance"},
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                    "refresh": 2,
                },
            ]
        },
        "panels": panels,
    }


def main() -> int:
    file, text = HERE / "overview.json", json.dumps(dashboard(), indent=2) + "\n"
    if "--check" in sys.argv:
        return 0 if file.exists() and file.read_text() == text else print(f"{file} is old; run {__file__}") or 1
    file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
