"""Traces and metrics for a collector: a real one (rotel) says what arrived. And the log of calls, and a ceiling for series."""

import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import rotel
from weir_process import Weir, free_port

AGENT = Path(rotel.__file__).parent / "rotel-agent"
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "sk-CANARY0123456789abcdef"
ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "the answer"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
}


class Collector:
    """rotel, which prints whatever it gets."""

    def __init__(self, folder: Path):
        self.grpc, self.http, self.log = free_port(), free_port(), folder / "rotel.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [AGENT, "start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log", "metrics", "--debug-log", "logs",
                 "--debug-log-verbosity", "detailed", "--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc}",
                 "--otlp-http-endpoint", f"127.0.0.1:{self.http}"],
                stdout=log, stderr=log,
            )
        when(lambda: reached(self.http) and reached(self.grpc))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def spans(self) -> list[dict]:
        """Name, ids, kind, status and attributes of each span."""
        found = []
        for text in re.split(r"^Span #\d+\n", self.text(), flags=re.MULTILINE)[1:]:
            text = re.split(r"^Resource(Spans|Metrics) #", text, flags=re.MULTILINE)[0]
            span = {key.strip(): value.strip() for key, value in re.findall(r"^ {4}([A-Z][\w ]+?) *: ?(.*)$", text, re.MULTILINE)}
            span["attributes"] = dict(re.findall(r"^ +-> ([\w.]+): \w+\((.*)\)$", text, re.MULTILINE))
            found.append(span)
        return found

    def metrics(self) -> set[str]:
        return set(re.findall(r"-> Name: (\S+)", self.text()))


def reached(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def when(look, seconds: float = 20.0):
    """What `look` finds, as soon as it finds something."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.fixture
def collector(tmp_path):
    with Collector(tmp_path) as collector:
        yield collector


@pytest.fixture
def provider():
    """A provider that answers always the same, and keeps the headers that it got."""
    seen: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            seen.append({name.lower(): value for name, value in self.headers.items()})
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.seen = seen
    yield server
    server.shutdown()


def config(provider, otlp: str, more: str = "") -> str:
    return f"""
providers:
  demo: {{}}
  lab: {{ kind: openai, base_url: "http://127.0.0.1:{provider.server_port}/v1", api_key: any }}
models:
  stored: {{ targets: [lab/gpt-4o], cache: {{ mode: exact, ttl: 1h }} }}
budgets: [{{ limit: 100, period: day }}]
telemetry: {otlp}
{more}"""


def folder(tmp_path) -> Path:
    made = tmp_path / "weir"
    made.mkdir()
    return made


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_call_becomes_a_trace(tmp_path, collector, provider, protocol):
    port = getattr(collector, protocol)
    otlp = f"{{ otlp: {{ endpoint: 'http://127.0.0.1:{port}', protocol: {protocol}, interval: 1s }} }}"
    with Weir(folder(tmp_path), config(provider, otlp)) as weir:
        said = weir.chat("stored", f"hello {SECRET}", {"traceparent": GIVEN, "tracestate": "vendor=1"})
        assert said.status == 200, said.body
        sent = when(lambda: collector.spans() if len(collector.spans()) >= 5 else None)
        when(lambda: "gen_ai.client.token.usage" in collector.metrics())
    spans = {span["Name"]: span for span in sent}
    assert set(spans) == {"chat stored", "chat gpt-4o", "weir translate", "weir cache", "weir budget"}
    call, attempt = spans["chat stored"], spans["chat gpt-4o"]
    assert {span["Trace ID"] for span in sent} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert (call["Parent ID"], call["Kind"]) == ("00f067aa0ba902b7", "SPAN_KIND_SERVER")
    assert (attempt["Parent ID"], attempt["Kind"]) == (call["ID"], "SPAN_KIND_CLIENT")
    assert all(span["Parent ID"] == call["ID"] for name, span in spans.items() if name.startswith("weir"))
    # The provider's own spans go on from the attempt.
    assert provider.seen[0]["traceparent"] == f"00-4bf92f3577b34da6a3ce929d0e0e4736-{attempt['ID']}-01"
    assert provider.seen[0]["tracestate"] == "vendor=1"
    wanted = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": "11", "gen_ai.usage.output_tokens": "5", "http.response.status_code": "200",
        "server.address": "127.0.0.1", "server.port": str(provider.server_port), "weir.state": "ok",
    }
    assert wanted.items() <= attempt["attributes"].items(), attempt
    assert call["attributes"]["weir.cache"] == "miss" and call["attributes"]["weir.call.id"]
    # Nothing that was said goes along unasked.
    assert SECRET not in collector.text() and "hello" not in collector.text() and "the answer" not in collector.text()
    assert "gen_ai.client.operation.duration" in collector.metrics()


def test_failures_have_their_kind_and_both_generations_of_names(tmp_path, collector, provider):
    otlp = f"{{ genai_semconv: both, otlp: {{ endpoint: 'http://127.0.0.1:{collector.http}', interval: 1s, content: on }} }}"
    with Weir(folder(tmp_path), config(provider, otlp, "logging: { level: warn }")) as weir:
        weir.chat("lab/gpt-4o", f"hello {SECRET} of alice@example.com")
        weir.chat("no/such-model", "hello")
        sent = when(lambda: {span["Name"]: span for span in collector.spans()} if len(collector.spans()) >= 4 else None)
        when(lambda: {"gen_ai.client.token.usage", "gen_ai.client.inference.usage.input_tokens"} <= collector.metrics())
    refused = sent["chat no/such-model"]
    assert refused["Status code"] == "STATUS_CODE_ERROR"
    assert refused["attributes"]["error.type"] == "model_not_found"
    said = collector.text()
    assert "the answer" in said and "hello [secret] of [secret]" in said
    assert SECRET not in said and "alice" not in said


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_collector_gets_a_log_record_of_each_call(tmp_path, collector, provider, protocol):
    port = collector.http if protocol == "http" else collector.grpc
    otlp = (f"{{ otlp: {{ endpoint: 'http://127.0.0.1:{port}', protocol: {protocol}, traces: off, metrics: off,"
            " logs: on, content: on } }")
    with Weir(folder(tmp_path), config(provider, otlp, "logging: { level: warn }")) as weir:
        weir.chat("lab/gpt-4o", f"hello {SECRET}")
        weir.chat("no/such-model", "hello")
        when(lambda: collector.text().count("weir.call.id") >= 2)
        assert when(lambda: 'weir_otlp_logs_total{result="sent"} 2' in weir.get("/metrics").body.decode())
    said = collector.text()
    assert "INFO" in said and "WARN" in said and "the answer" in said and "hello [secret]" in said
    assert "model_not_found" in said and SECRET not in said


def test_only_what_is_sampled_is_traced(tmp_path, collector, provider):
    otlp = f"{{ otlp: {{ endpoint: 'http://127.0.0.1:{collector.http}', sample: 0, metrics: off }} }}"
    with Weir(folder(tmp_path), config(provider, otlp)) as weir:
        for _ in range(20):
            weir.chat("lab/gpt-4o", "hello")
        assert weir.chat("lab/gpt-4o", "hello", {"traceparent": GIVEN[:-1] + "0"}).status == 200
        assert weir.chat("lab/gpt-4o", "hello", {"traceparent": GIVEN}).status == 200
    # At its end weir sends what is left.
    sent = when(lambda: collector.spans())
    assert {span["Trace ID"] for span in sent} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert [name for name in (span["Name"] for span in sent) if name.startswith("chat")] == ["chat lab/gpt-4o", "chat gpt-4o"]
    # Who is not sampled is still part of the trace.
    assert "traceparent" not in provider.seen[0]
    assert provider.seen[20]["traceparent"].startswith(GIVEN[:36]) and provider.seen[20]["traceparent"].endswith("-00")


def test_a_stuck_collector_holds_up_nothing(tmp_path, provider):
    with socket.create_server(("127.0.0.1", 0)) as stuck:
        otlp = f"{{ otlp: {{ endpoint: 'http://127.0.0.1:{stuck.getsockname()[1]}', interval: 1s }} }}"
        with Weir(folder(tmp_path), config(provider, otlp)) as weir:
            until, calls = time.monotonic() + 3, 0
            while time.monotonic() < until:
                began = time.monotonic()
                assert weir.chat("lab/gpt-4o", "hello").status == 200
                assert time.monotonic() - began < 5
                calls += 1
            assert 'weir_otlp_spans_total{result="sent"} 0' in weir.get("/metrics").body.decode()
            began = time.monotonic()
        assert time.monotonic() - began < 20 and calls >= 5


def test_each_call_is_a_line_in_the_log(tmp_path, provider):
    log = """
logging:
  content: full
  calls: { to: calls.jsonl, content_keys: [open], content_max: 64KiB }
keys:
  - { name: open, key: key-that-may-be-heard }
  - { name: closed, key: key-that-may-not }
"""
    place = folder(tmp_path)
    with Weir(place, config(provider, "{}", log)) as weir:
        for key in ("key-that-may-be-heard", "key-that-may-not"):
            assert weir.chat("lab/gpt-4o", f"hello {SECRET}", {"authorization": f"Bearer {key}"}).status == 200
        when(lambda: (place / "calls.jsonl").exists() and (place / "calls.jsonl").read_text().count("\n") == 2)
        lines = [json.loads(line) for line in (place / "calls.jsonl").read_text().splitlines()]
    heard, unheard = lines
    assert (heard["key"], unheard["key"]) == ("open", "closed")
    assert heard["attempts"][0]["provider"] == "lab" and heard["input_tokens"] == 11 and heard["cost_usd"]
    assert "hello [secret]" in heard["request"] and "the answer" in heard["answer"]
    assert "request" not in unheard and "answer" not in unheard
    assert SECRET not in (place / "calls.jsonl").read_text()


def test_streams_are_in_the_log_as_what_they_said(tmp_path, provider):
    log = "logging: { content: full, calls: { to: calls.jsonl, content_max: 2KiB } }"
    place = folder(tmp_path)
    asked = {"model": "demo/echo", "stream": True, "messages": [{"role": "user", "content": f"hello {SECRET}"}]}
    long = {"model": "demo/echo", "stream": True, "messages": [{"role": "user", "content": "word " * 4_000}]}
    with Weir(place, config(provider, "{}", log)) as weir:
        for path, body in (("/v1/chat/completions", asked), ("/v1/messages", {**asked, "max_tokens": 100}), ("/v1/chat/completions", long)):
            with urllib.request.urlopen(urllib.request.Request(
                weir.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
            )) as answer:
                assert b"data:" in answer.read()
        when(lambda: (place / "calls.jsonl").exists() and (place / "calls.jsonl").read_text().count("\n") == 3)
        chat, messages, cut = (json.loads(line) for line in (place / "calls.jsonl").read_text().splitlines())
    # As if they had been asked for whole; what is secret came in several events and is known all the same.
    assert "hello [secret]" in json.loads(chat["answer"])["choices"][0]["message"]["content"]
    assert "hello [secret]" in json.loads(messages["answer"])["content"][0]["text"]
    assert SECRET not in (place / "calls.jsonl").read_text()
    # Of what is too long, its first words.
    assert "word word word" in cut["answer"] and len(cut["answer"]) <= 2_200 and "data:" not in cut["answer"]


def test_a_log_that_nobody_takes_holds_up_nothing(tmp_path, provider):
    place = folder(tmp_path)
    os.mkfifo(place / "calls.jsonl")
    # Held open by somebody who never reads: its 64 KiB are full soon.
    reader = os.open(place / "calls.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Weir(place, config(provider, "{}", "logging: { calls: { to: calls.jsonl } }")) as weir:
            until = time.monotonic() + 3
            while time.monotonic() < until:
                began = time.monotonic()
                assert weir.chat("lab/gpt-4o", "hello").status == 200
                assert time.monotonic() - began < 5
            began = time.monotonic()
        assert time.monotonic() - began < 20
    finally:
        os.close(reader)


def test_there_are_no_more_series_than_may_be(tmp_path, provider):
    keys = "".join(f"  - {{ name: key-{n}, key: secret-key-number-{n} }}\n" for n in range(200))
    with Weir(folder(tmp_path), config(provider, "{ each_key: on, max_series: 150 }", f"keys:\n{keys}")) as weir:
        for n in range(200):
            assert weir.chat("demo/echo", "hello", {"authorization": f"Bearer secret-key-number-{n}"}).status == 200
        text = weir.get("/metrics").body.decode()
    series = [line for line in text.splitlines() if line.startswith("weir_") and "{" in line]
    overflow = [line for line in series if '"overflow"' in line]
    # One series of `overflow` for each metric that needed it, beside those that may be.
    assert len(series) - len(overflow) <= 150 + 30, len(series)
    assert overflow and "weir_metrics_overflow_total 0" not in text
    calls = sum(float(line.split()[-1]) for line in series if line.startswith("weir_key_requests_total"))
    assert calls == 200, "the sum stays right"
