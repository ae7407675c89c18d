"""Looking on: `weir logs`, `weir top`, `weir chat`, and what went wrong, grouped by cause."""

import json
import re
import subprocess
import time

import pytest
from weir_process import BINARY, Weir

CONFIG = """
providers:
  demo: {}
  lost: { kind: openai-compatible, base_url: "http://127.0.0.1:1/v1", api_key: any }
models:
  greeting: demo/echo
  gone: { targets: [lost/any], retry: { attempts: 1 } }
"""
SECRET = "sk-CANARY0123456789abcdef"


@pytest.fixture
def weir(tmp_path):
    with Weir(tmp_path, CONFIG) as weir:
        yield weir


def command(weir: Weir, *arguments: str, timeout: float = 30, said: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments, "--url", weir.url], capture_output=True, text=True, timeout=timeout, input=said,
        cwd=weir.folder, env=weir.environment,
    )


def test_errors_are_grouped_by_cause(weir):
    for n in range(3):
        assert weir.chat("gone", f"hello {SECRET}").status == 502
        assert weir.chat(f"model-{n}-{SECRET}", "hello").status == 404
    groups = weir.get("/admin/v1/errors").json()["data"]
    by_class = {group["class"]: group for group in groups}
    assert set(by_class) == {"upstream_unreachable", "model_not_found"}, groups
    away, unknown = by_class["upstream_unreachable"], by_class["model_not_found"]
    assert (away["provider"], away["count"], away["message"]) == ("lost", 3, "connection refused")
    # Three names, one cause; and no name of a client's is kept but that of the last call.
    assert (unknown["provider"], unknown["count"]) == (None, 3)
    assert SECRET not in unknown["message"] + unknown["fingerprint"]
    assert away["first_seen"] < away["last_seen"] and re.fullmatch("[0-9a-f]{16}", away["fingerprint"])
    sample = weir_call(weir, away["sample"]["id"])
    assert sample["route"] == "gone" and sample["status"] == 502


def weir_call(weir: Weir, call: str) -> dict:
    until = time.monotonic() + 10
    while (answer := weir.get(f"/admin/v1/requests/{call}")).status == 404 and time.monotonic() < until:
        time.sleep(0.05)
    return answer.json()


def test_logs_show_the_past_and_follow(weir):
    weir.chat("greeting", "hello")
    weir.chat("gone", "hello")
    weir.spend_when(2)
    done = command(weir, "logs")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and "greeting → demo/echo" in lines[0] and "502" in lines[1], lines
    failed = command(weir, "logs", "--failed", "--json").stdout.splitlines()
    assert [json.loads(line)["route"] for line in failed] == ["gone"]
    follow = subprocess.Popen(
        [BINARY, "logs", "-f", "-n", "0", "--route", "greeting", "--url", weir.url],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=weir.folder, env=weir.environment,
    )
    try:
        # It is following once it asked; then each call shows.
        time.sleep(1.0)
        for _ in range(3):
            weir.chat("gone", "hello")
            weir.chat("greeting", "hello")
        seen = [follow.stdout.readline() for _ in range(3)]
        assert all("greeting → demo/echo" in line for line in seen), seen
    finally:
        follow.kill()
        follow.wait()


def test_top_counts_what_ends(weir):
    watch = subprocess.Popen(
        [BINARY, "top", "--window", "5s", "--json", "--by", "route", "--url", weir.url],
        stdout=subprocess.PIPE, text=True, cwd=weir.folder, env=weir.environment,
    )
    while watch.poll() is None:
        weir.chat("greeting", "hello")
        weir.chat("gone", "hello")
        time.sleep(0.02)
    assert watch.returncode == 0
    lines = {line["name"]: line for line in json.loads(watch.stdout.read())}
    assert set(lines) == {"all", "greeting", "gone"}
    assert lines["gone"]["failed_share"] == "100.0 %" and lines["greeting"]["failed_share"] == "0.0 %"
    assert float(lines["all"]["calls_per_second"]) > 1


def test_chat_says_what_it_cost(weir):
    once = command(weir, "chat", "--model", "greeting", "say", "this")
    assert (once.returncode, once.stdout) == (0, "say this\n"), once.stderr
    assert re.search(r"greeting: \d+ \+ \d+ tokens, \$[\d.]+, [\d.]+ s", once.stderr), once.stderr
    several = command(weir, "chat", "--model", "greeting", said="one\n\ntwo\n")
    assert several.stdout == "one\ntwo\n", several
    unknown = command(weir, "chat", "--model", "greting", "hello")
    assert unknown.returncode == 1 and "did you mean `greeting`" in unknown.stderr, unknown.stderr
    nobody = subprocess.run(
        [BINARY, "chat", "--url", "http://127.0.0.1:1", "hello"], capture_output=True, text=True, timeout=30,
        cwd=weir.folder, env=weir.environment,
    )
    assert nobody.returncode == 1 and "nothing listens" in nobody.stderr
