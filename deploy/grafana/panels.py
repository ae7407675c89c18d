"""What the dashboards show: for each its rows of at most four panels.

A panel is (title, what it tells, kind, unit, [(query, legend)...]). `make.py` makes the files.
"""

from shared import (
    ATTEMPTS,
    CALLS_PER_SECOND,
    COST_BY_MODEL,
    COST_BY_TEAM,
    COST_OF_THE_HOUR,
    FAILED,
    FAILED_CALLS,
    FIRST_TOKEN,
    OWN_SHARE,
    STORED,
    TOKENS,
    UNDER_WAY,
    UNPRICED,
    failed_attempts,
    increase,
    labels,
    quantile,
    quantiles,
    rate,
    share,
    total,
)

DASHBOARDS = {
    "overview": [
        ("Now", [CALLS_PER_SECOND, FAILED_CALLS, UNDER_WAY, COST_OF_THE_HOUR]),
        (
            "Traffic",
            [
                ("Calls by status", "", "timeseries", "reqps", [(rate("weir_requests_total", "status"), "{{status}}")]),
                ("Calls by route", "", "timeseries", "reqps", [(rate("weir_requests_total", "route"), "{{route}}")]),
                ATTEMPTS,
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
            "Time and money",
            [
                ("Duration of calls", "", "timeseries", "s", quantiles("weir_request_duration_seconds", 0.5, 0.95, 0.99)),
                OWN_SHARE,
                COST_BY_MODEL,
                TOKENS,
            ],
        ),
    ],
    "providers": [
        (
            "Providers",
            [
                (
                    "Providers",
                    "Whether the last attempt got an answer.",
                    "timeseries",
                    "bool_yes_no",
                    [(f"min by (provider) (weir_provider_up{labels()})", "{{provider}}")],
                ),
                (
                    "Failed share of attempts",
                    "Errors, broken streams and answers that did not come in time.",
                    "timeseries",
                    "percentunit",
                    [(failed_attempts("provider"), "{{provider}}")],
                ),
                (
                    "Failed share by model",
                    "",
                    "timeseries",
                    "percentunit",
                    [(failed_attempts("provider, model"), "{{provider}}/{{model}}")],
                ),
                (
                    "Breakers",
                    "0 closed, 1 half-open, 2 open; the worst of all replicas.",
                    "timeseries",
                    "short",
                    [(f"max by (provider, model) (weir_breaker_state{labels()})", "{{provider}}/{{model}}")],
                ),
            ],
        ),
        (
            "What clients see",
            [
                FAILED_CALLS,
                (
                    "Calls answered without 5xx, 1 h",
                    "The objective of the alerts is 99.9 %.",
                    "stat",
                    "percentunit",
                    [
                        (
                            f"1 - (sum (rate(weir_requests_total{labels(FAILED)}[1h])) or vector(0))"
                            f" / sum (rate(weir_requests_total{labels()}[1h]))",
                            "answered",
                        )
                    ],
                ),
                (
                    "Attempts for each call",
                    "More than one: something failed and was tried again, or elsewhere.",
                    "stat",
                    "short",
                    [(f"{rate('weir_upstream_attempts_total')} / {rate('weir_requests_total')}", "attempts")],
                ),
                (
                    "Refused by limits",
                    "",
                    "stat",
                    "reqps",
                    [(rate("weir_rate_limited_total", "limit"), "{{limit}}")],
                ),
            ],
        ),
        (
            "Causes",
            [
                ATTEMPTS,
                (
                    "5xx by route",
                    "",
                    "timeseries",
                    "reqps",
                    [(rate("weir_requests_total", "route, status", FAILED), "{{route}} {{status}}")],
                ),
            ],
        ),
    ],
    "cost": [
        (
            "Now",
            [
                COST_OF_THE_HOUR,
                ("Cost in a day", "", "stat", "currencyUSD", [(increase("weir_cost_usd_total", "24h"), "USD")]),
                (
                    "Saved by stored answers",
                    "In the last day.",
                    "stat",
                    "currencyUSD",
                    [(increase("weir_cache_saved_usd_total", "24h"), "USD")],
                ),
                (
                    "Cost of a thousand calls",
                    "",
                    "stat",
                    "currencyUSD",
                    [(f"1000 * {rate('weir_cost_usd_total')} / {rate('weir_requests_total')}", "USD")],
                ),
            ],
        ),
        (
            "Where it goes",
            [
                COST_BY_MODEL,
                COST_BY_TEAM,
                (
                    "Cost in the last hour, by provider",
                    "",
                    "bargauge",
                    "currencyUSD",
                    [(increase("weir_cost_usd_total", "1h", "provider"), "{{provider}}")],
                ),
                UNPRICED,
            ],
        ),
        (
            "Budgets",
            [
                (
                    "Budgets, how full",
                    "Spent or set aside for calls under way, as the replicas know it.",
                    "bargauge",
                    "percentunit",
                    [(f"max by (scope, name) (weir_budget_used_ratio{labels()})", "{{scope}} {{name}}")],
                ),
                (
                    "Budgets over time",
                    "",
                    "timeseries",
                    "percentunit",
                    [(f"max by (scope, name) (weir_budget_used_ratio{labels()})", "{{scope}} {{name}}")],
                ),
            ],
        ),
    ],
    "tokens": [
        (
            "Tokens",
            [
                TOKENS,
                (
                    "Tokens by model",
                    "",
                    "timeseries",
                    "short",
                    [(rate("weir_tokens_total", "provider, model"), "{{provider}}/{{model}}")],
                ),
                (
                    "Tokens of an answer",
                    "On average, thinking included.",
                    "timeseries",
                    "short",
                    [
                        (
                            rate("weir_tokens_total", "provider, model", 'class=~"output|reasoning"')
                            + " / "
                            + rate("weir_upstream_attempts_total", "provider, model", 'result="ok"'),
                            "{{provider}}/{{model}}",
                        )
                    ],
                ),
                (
                    "Read from the provider's cache",
                    "Share of prompt tokens.",
                    "timeseries",
                    "percentunit",
                    [
                        (
                            share(
                                rate("weir_tokens_total", "provider", 'class="cache_read"'),
                                rate("weir_tokens_total", "provider", 'class=~"input|cache_.*"'),
                            ),
                            "{{provider}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "Stored answers",
            [
                STORED,
                (
                    "Hits and misses",
                    "",
                    "timeseries",
                    "reqps",
                    [(rate("weir_cache_requests_total", "route, result"), "{{route}} {{result}}")],
                ),
                (
                    "Saved, per hour",
                    "",
                    "timeseries",
                    "currencyUSD",
                    [(f"3600 * {rate('weir_cache_saved_usd_total')}", "USD")],
                ),
            ],
        ),
    ],
    "latency": [
        (
            "Calls",
            [
                ("Duration of calls", "", "timeseries", "s", quantiles("weir_request_duration_seconds", 0.5, 0.95, 0.99)),
                (
                    "Duration by route, p95",
                    "",
                    "timeseries",
                    "s",
                    [(quantile(0.95, "weir_request_duration_seconds", "route"), "{{route}}")],
                ),
                (
                    "Duration by provider, p95",
                    "",
                    "timeseries",
                    "s",
                    [(quantile(0.95, "weir_request_duration_seconds", "provider"), "{{provider}}")],
                ),
            ],
        ),
        (
            "Streams",
            [
                FIRST_TOKEN,
                (
                    "Time to first token",
                    "How many took how long.",
                    "heatmap",
                    "s",
                    [(rate("weir_time_to_first_token_seconds_bucket", "le"), "{{le}}")],
                ),
                (
                    "Time per output token, p95",
                    "",
                    "timeseries",
                    "s",
                    [(quantile(0.95, "weir_time_per_output_token_seconds", "provider, model"), "{{provider}}/{{model}}")],
                ),
                (
                    "Time per output token",
                    "How many took how long.",
                    "heatmap",
                    "s",
                    [(rate("weir_time_per_output_token_seconds_bucket", "le"), "{{le}}")],
                ),
            ],
        ),
        (
            "weir",
            [
                OWN_SHARE,
                (
                    "weir's own share by replica, p99",
                    "",
                    "timeseries",
                    "s",
                    [(quantile(0.99, "weir_overhead_seconds", "instance"), "{{instance}}")],
                ),
            ],
        ),
    ],
    "keys": [
        (
            "Keys",
            [
                (
                    "Calls by key",
                    "Counted with `telemetry.each_key: on`.",
                    "timeseries",
                    "reqps",
                    [(rate("weir_key_requests_total", "key"), "{{key}}")],
                ),
                (
                    "Failed share by key",
                    "5xx only.",
                    "timeseries",
                    "percentunit",
                    [
                        (
                            share(rate("weir_key_requests_total", "key", FAILED), rate("weir_key_requests_total", "key")),
                            "{{key}}",
                        )
                    ],
                ),
                (
                    "Refused share by key",
                    "4xx: wrong requests, limits, budgets.",
                    "timeseries",
                    "percentunit",
                    [
                        (
                            share(
                                rate("weir_key_requests_total", "key", 'status=~"4.."'),
                                rate("weir_key_requests_total", "key"),
                            ),
                            "{{key}}",
                        )
                    ],
                ),
                ("Tokens by key", "", "timeseries", "short", [(rate("weir_key_tokens_total", "key"), "{{key}}")]),
            ],
        ),
        (
            "Money",
            [
                (
                    "Cost per hour, by key",
                    "",
                    "timeseries",
                    "currencyUSD",
                    [(f"3600 * {rate('weir_key_cost_usd_total', 'key')}", "{{key}}")],
                ),
                (
                    "The ten dearest keys of the day",
                    "",
                    "bargauge",
                    "currencyUSD",
                    [(f"topk(10, {increase('weir_key_cost_usd_total', '24h', 'key, team')})", "{{key}} {{team}}")],
                ),
                (
                    "The ten busiest keys of the day",
                    "",
                    "bargauge",
                    "short",
                    [(f"topk(10, {increase('weir_key_requests_total', '24h', 'key, team')})", "{{key}} {{team}}")],
                ),
            ],
        ),
    ],
    "capacity": [
        (
            "Replicas",
            [
                ("Ready", "", "stat", "short", [(total("weir_ready"), "replicas")]),
                ("Version", "", "stat", "short", [(f"count by (version) (weir_build_info{labels()})", "{{version}}")]),
                ("Series", "Of `telemetry.max_series`.", "stat", "short", [(total("weir_metrics_series"), "series")]),
                (
                    "Counted as overflow",
                    "For want of room for another series, in the last hour.",
                    "stat",
                    "short",
                    [(increase("weir_metrics_overflow_total", "1h"), "times")],
                ),
            ],
        ),
        (
            "Load",
            [
                (
                    "Calls under way",
                    "",
                    "timeseries",
                    "short",
                    [
                        (total("weir_inflight_requests", "instance"), "{{instance}}"),
                        (total("weir_waiting_requests", "instance"), "{{instance}}, without an answer yet"),
                    ],
                ),
                ("Memory", "", "timeseries", "bytes", [(total("weir_memory_bytes", "instance"), "{{instance}}")]),
                ("Memory of bodies", "", "timeseries", "bytes", [(total("weir_body_bytes", "instance"), "{{instance}}")]),
                (
                    "Loads of the configuration",
                    "After the first; a refused one leaves the old configuration running.",
                    "timeseries",
                    "short",
                    [(total("weir_config_reloads_total", "result"), "{{result}}")],
                ),
            ],
        ),
        (
            "Ledger",
            [
                (
                    "Rows that are not in the store yet",
                    "They are safe in the spool; a growing number means that the store is slow or away.",
                    "timeseries",
                    "short",
                    [
                        (total("weir_ledger_queue_entries"), "of this process"),
                        (total("weir_ledger_spooled_entries"), "in the spool"),
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
                    "When it is full, calls are refused.",
                    "timeseries",
                    "bytes",
                    [
                        (total("weir_ledger_spool_bytes"), "on the disk"),
                        (total("weir_ledger_reserved_bytes"), "set aside"),
                        (total("weir_ledger_spool_limit_bytes"), "most"),
                    ],
                ),
                (
                    "Refused for a full ledger, damaged segments",
                    "No call goes unrecorded; damaged segments stand in quarantine.",
                    "timeseries",
                    "short",
                    [
                        (increase("weir_ledger_refused_total", "1h"), "refused in the last hour"),
                        (total("weir_ledger_quarantined_segments"), "damaged"),
                    ],
                ),
            ],
        ),
    ],
}

TITLES = {
    "overview": "overview",
    "providers": "providers and reliability",
    "cost": "cost and budgets",
    "tokens": "tokens and caches",
    "latency": "latency",
    "keys": "keys",
    "capacity": "capacity",
}
