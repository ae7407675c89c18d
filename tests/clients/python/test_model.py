"""A real model behind weir: llama.cpp's server with SmolLM2. Slow, so it has a group of its own (`tests/run model`)."""

import json
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import anthropic
import jsonschema
import openai
import pytest

from weir_process import Weir, free_port

pytestmark = pytest.mark.model

CONFIG = """
providers:
  lab: {{ kind: vllm, base_url: "http://127.0.0.1:{port}/v1" }}
models:
  small: lab/smollm2
"""


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """The address of llama.cpp's server."""
    port = free_port()
    log = open(tmp_path_factory.mktemp("llama") / "log", "wb")
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("llama_server.py"), str(port)], stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert server.poll() is None, Path(log.name).read_text(errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(url + "/health", timeout=2) as answer:
                if answer.status == 200:
                    break
        except OSError:
            time.sleep(0.1)
    else:
        raise RuntimeError("llama.cpp's server was not ready after 60 s")
    yield port
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()


@pytest.fixture(scope="module")
def weir(llama, tmp_path_factory):
    with Weir(tmp_path_factory.mktemp("real"), CONFIG.format(port=llama)) as running:
        yield running


@pytest.fixture(scope="module")
def client(weir):
    return openai.OpenAI(base_url=weir.url + "/v1", api_key="any", max_retries=0, timeout=120)


ASKED = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]


def test_chat(client):
    reply = client.chat.completions.create(model="small", messages=ASKED, max_tokens=40, temperature=0)
    assert "Paris" in reply.choices[0].message.content
    assert reply.usage.prompt_tokens > 5 and 0 < reply.usage.completion_tokens <= 40


def test_stream(client):
    stream = client.chat.completions.create(
        model="small",
        messages=ASKED,
        max_tokens=40,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "Paris" in text
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 2, "it came in pieces"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "capital": {"type": "boolean"}},
    "required": ["city", "capital"],
    "additionalProperties": False,
}


def test_json_schema(client):
    reply = client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": "Describe Paris."}],
        max_tokens=80,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": SCHEMA}},
    )
    jsonschema.validate(json.loads(reply.choices[0].message.content), SCHEMA)


# The newest models of Anthropic take no temperature, so its SDK has no argument for it any more.
COLD = {"temperature": 0}


def test_messages(weir):
    client = anthropic.Anthropic(base_url=weir.url, api_key="any", max_retries=0, timeout=120)
    whole = client.messages.create(model="small", max_tokens=40, messages=ASKED, extra_body=COLD)
    assert "Paris" in whole.content[0].text
    with client.messages.stream(model="small", max_tokens=40, messages=ASKED, extra_body=COLD) as stream:
        assert "Paris" in "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.usage.output_tokens > 0 and final.stop_reason in ("end_turn", "max_tokens")


def test_its_cost_line_says_local(weir):
    """A model of one's own costs nothing because its provider is local, not because nobody knew a price."""
    answer = weir.chat("small", "Say hi.", max_tokens=8, headers={"x-request-id": "cost-line"})
    assert answer.status == 200, answer.body
    assert float(answer.headers["x-weir-cost"]) == 0
    found = weir.spend_when(1, "--by", "provider")
    row = next(row for row in found["rows"] if row["provider"] == "lab")
    assert row["unpriced_calls"] == 0 and float(row["cost_usd"]) == 0 and row["output_tokens"] > 0
    with sqlite3.connect(f"file:{weir.folder}/weir.db?mode=ro", uri=True) as store:
        lines = store.execute("SELECT price_id, cost_nanousd, usage_source FROM calls WHERE provider = 'lab'").fetchall()
    assert lines and set(lines) == {("local", 0, "reported")}, lines
