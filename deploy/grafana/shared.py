"""How the queries of the dashboards are written, and panels that stand on several of them."""

INSTANCE = 'instance=~"$instance"'
RATE = "[$__rate_interval]"
FAILED = 'status=~"5.."'
# How an attempt ends that the provider failed.
FAILURES = 'result=~"upstream_error|upstream_truncated|upstream_idle_timeout|deadline"'


def labels(where: str = "") -> str:
    return "{" + ", ".join(part for part in (INSTANCE, where) if part) + "}"


def total(metric: str, by: str = "", where: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} ({metric}{labels(where)})"


def rate(metric: str, by: str = "", where: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{labels(where)}{RATE}))"


def share(part: str, whole: str) -> str:
    """Of two sums, 0 where nothing of the part was counted yet."""
    return f"({part} or 0 * {whole}) / {whole}"


def quantile(of: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({of}, {rate(metric + '_bucket', ', '.join(part for part in ('le', by) if part))})"


def quantiles(metric: str, *of: float) -> list:
    return [(quantile(one, metric), f"p{one * 100:g}") for one in of]


def increase(metric: str, span: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (increase({metric}{labels()}[{span}]))"


def failed_attempts(by: str) -> str:
    return share(rate("weir_upstream_attempts_total", by, FAILURES), rate("weir_upstream_attempts_total", by))


CALLS_PER_SECOND = ("Calls per second", "", "stat", "reqps", [(rate("weir_requests_total"), "calls")])
FAILED_CALLS = (
    "Failed calls",
    "Share of calls that were answered with 5xx. Refusals of wrong requests (4xx) don't count.",
    "stat",
    "percentunit",
    [(share(rate("weir_requests_total", where=FAILED), rate("weir_requests_total")), "failed")],
)
UNDER_WAY = ("Calls under way", "", "stat", "short", [(total("weir_inflight_requests"), "calls")])
COST_OF_THE_HOUR = (
    "Cost in the last hour",
    "Counted by weir while it runs; `weir spend` has the exact sums.",
    "stat",
    "currencyUSD",
    [(increase("weir_cost_usd_total", "1h"), "USD")],
)
ATTEMPTS = (
    "Attempts by how they ended",
    "A call that moved on to the next target has several.",
    "timeseries",
    "reqps",
    [(rate("weir_upstream_attempts_total", "provider, result"), "{{provider}} {{result}}")],
)
OWN_SHARE = (
    "weir's own share",
    "What a call waits for weir and not for the provider.",
    "timeseries",
    "s",
    quantiles("weir_overhead_seconds", 0.5, 0.99),
)
FIRST_TOKEN = (
    "Time to first token, p95",
    "Streams only.",
    "timeseries",
    "s",
    [(quantile(0.95, "weir_time_to_first_token_seconds", "provider, model"), "{{provider}}/{{model}}")],
)
COST_BY_MODEL = (
    "Cost per hour, by model",
    "",
    "timeseries",
    "currencyUSD",
    [(f"3600 * {rate('weir_cost_usd_total', 'provider, model')}", "{{provider}}/{{model}}")],
)
COST_BY_TEAM = (
    "Cost per hour, by team",
    "Calls of keys without a team have an empty name.",
    "timeseries",
    "currencyUSD",
    [(f"3600 * {rate('weir_cost_usd_total', 'team')}", "{{team}}")],
)
UNPRICED = (
    "Attempts of unknown price",
    "Set a price under `prices.overrides`: unknown is not 0.",
    "timeseries",
    "reqps",
    [(rate("weir_cost_unknown_total", "provider, model"), "{{provider}}/{{model}}")],
)
TOKENS = ("Tokens by class", "", "timeseries", "short", [(rate("weir_tokens_total", "class"), "{{class}}")])
STORED = (
    "Share of stored answers",
    "Of calls to names with a cache.",
    "timeseries",
    "percentunit",
    [
        (
            share(rate("weir_cache_requests_total", "route", 'result="hit"'), rate("weir_cache_requests_total", "route")),
            "{{route}}",
        )
    ],
)
