"""Fixtures: a gateway before simulated providers of three vendors, and what its ledger says of a test's calls."""

import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))
from weir_process import Weir, over_simulators  # noqa: E402

CONFIG = """
providers:
  anthropic: {{ base_url: "http://127.0.0.1:{port}", api_key: any }}
  gemini: {{ base_url: "http://127.0.0.1:{port}", api_key: any }}
  openai: {{ base_url: "http://127.0.0.1:{port}/v1", api_key: any }}
  jina: {{ base_url: "http://127.0.0.1:{port}/v1", api_key: any }}
models:
  via-anthropic: anthropic/claude-sonnet-4-5
  via-gemini: gemini/gemini-2.5-flash
  via-openai: openai/gpt-4o-mini
  embed-gemini: gemini/gemini-embedding-001
  rerank-jina: jina/jina-reranker-v3
"""
# Frameworks that would otherwise tell their makers of every run.
SILENT = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "LANGSMITH_TRACING": "false"}
os.environ.update(SILENT)


@pytest.fixture(scope="session")
def weir(tmp_path_factory):
    with over_simulators(tmp_path_factory.mktemp("frameworks"), CONFIG) as running:
        yield running


def moment(text: str) -> datetime:
    """A time of the admin API, which has a fraction of any length, or none."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction:0<6}+00:00")


class Ledger:
    """The calls that were made since this was."""

    def __init__(self, weir: Weir):
        self.weir, self.since = weir, datetime.now(timezone.utc)

    def calls(self) -> list[dict]:
        rows = self.weir.get("/admin/v1/requests?limit=50").json()["data"]
        return [row for row in rows if moment(row["started_at"]) >= self.since]

    def shows(self, provider: str, calls: int, usage: str | None = "reported") -> None:
        """Just so many calls were made, all complete and served by that provider, with that source of usage and a cost."""
        deadline = time.monotonic() + 10
        while len(rows := self.calls()) < calls and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(rows) == calls, f"{len(rows)} calls, not {calls}"
        for row in rows:
            assert (row["provider"], row["status"], row["end"]) == (provider, 200, "complete"), row
            if usage:
                assert row["usage_source"] == usage and float(row["cost_usd"]) > 0, row


@pytest.fixture
def ledger(weir):
    return Ledger(weir)


@pytest.fixture(params=["anthropic", "gemini"])
def vendor(request):
    """A provider whose own format is not the one that the client speaks."""
    return request.param
