"""What is not in any SDK: plain HTTP, the accounts, health, metrics, the commands that ask a running gateway."""

import json
import shutil
import subprocess
import time
from decimal import Decimal

import pytest

from weir_process import ROOT, Weir, raw, run_weir


def events(body: bytes) -> list[str]:
    """The data of each event of a stream."""
    frames = body.decode().strip().split("\n\n")
    return [line[6:] for frame in frames for line in frame.split("\n") if line.startswith("data: ")]


def test_curl_whole_and_streamed(weir):
    curl = shutil.which("curl")
    assert curl, "curl is not installed"
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "hello from curl"}]}
    call = [curl, "-sS", "-N", f"{weir.url}/v1/chat/completions", "-H", "content-type: application/json", "-d"]
    whole = subprocess.run([*call, json.dumps(body)], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(whole.stdout)["choices"][0]["message"]["content"] == "hello from curl"
    streamed = subprocess.run(
        [*call, json.dumps(body | {"stream": True})], capture_output=True, timeout=30, check=True
    )
    data = events(streamed.stdout)
    assert data[-1] == "[DONE]"
    text = "".join(json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in data[:-1])
    assert text == "hello from curl"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"])
def test_paths_with_and_without_version(weir, path):
    answer = weir.post(path, {"model": "demo/echo", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/health", "/metrics", "/openapi.json", "/v1/models", "/models"])
def test_what_is_asked_with_get(weir, path):
    assert weir.get(path).status == 200


def test_head_of_the_root(weir):
    assert weir.request("HEAD", "/").status == 200


def test_any_key_is_taken_on_an_open_loopback_listener(weir):
    for headers in ({"authorization": "Bearer x"}, {"x-api-key": "x"}, {"api-key": "x"}, {"x-goog-api-key": "x"}):
        assert weir.chat("demo/echo", headers=headers).status == 200


def test_a_page_of_another_host_can_not_call_an_open_listener(weir):
    assert weir.chat("demo/echo", headers={"origin": "https://evil.example"}).status == 403
    request = b"GET /v1/models HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    assert raw(weir.port, request).startswith(b"HTTP/1.1 403")


def test_request_ids_are_kept_or_made(weir):
    assert weir.chat("demo/echo", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = weir.chat("demo/echo").headers["x-request-id"]
    assert len(made) == 36 and made[14] == "7"


def test_parameters_that_are_not_honoured_are_named(weir):
    loud = weir.chat("demo/echo", service_tier="flex", a_parameter_nobody_knows=1)
    assert loud.status in (200, 400)
    if loud.status == 200:
        strict = weir.chat("demo/echo", headers={"x-weir-strict": "true"}, top_k=3)
        assert strict.status in (200, 400)


def test_spend_has_a_row_for_each_call(tmp_path):
    with Weir(tmp_path) as weir:
        assert weir.spend()["total"]["calls"] == 0
        costs = []
        for _ in range(3):
            answer = weir.chat("demo/echo", "hello")
            costs.append(Decimal(answer.headers["x-weir-cost"]))
        streamed = weir.chat("demo/story", "hello", stream=True, stream_options={"include_usage": True})
        usage = [json.loads(data) for data in events(streamed.body)[:-1]][-1]["usage"]
        costs.append(Decimal(str(usage["cost"])))
        weir.chat("demo/unknown-to-all")
        found = weir.spend_when(5)
        by_model = {row["model"]: row for row in found["rows"]}
        assert Decimal(found["total"]["cost_usd"]) == sum(costs)
        echo = next(row for model, row in by_model.items() if model and "echo" in model)
        assert (echo["calls"], echo["attempts"], echo["unpriced_calls"]) == (3, 3, 0)
        assert Decimal(echo["cost_usd"]) == sum(costs[:3])
        story = next(row for model, row in by_model.items() if model and "story" in model)
        assert story["output_tokens"] == usage["completion_tokens"]
        table = weir.run("spend", "--by", "model", "--url", weir.url)
        assert table.returncode == 0 and "echo" in table.stdout and found["total"]["cost_usd"] in table.stdout
    # Nothing listens now: the command opens the store itself, and the rows are still there.
    after = run_weir(tmp_path, "spend", "--json", environment=weir.environment)
    assert after.returncode == 0, after.stderr
    assert json.loads(after.stdout)["total"] == found["total"]


def test_generation_tells_what_one_call_cost(weir):
    answer = weir.chat("demo/echo", "tell me", headers={"x-request-id": "generation-of-this"})
    deadline = time.monotonic() + 10
    while (found := weir.get("/v1/generation?id=generation-of-this")).status == 404 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found.status == 200, found.body
    data = found.json()["data"]
    assert Decimal(data["cost_usd"]) == Decimal(answer.headers["x-weir-cost"])
    usage = answer.json()["usage"]
    assert (data["tokens_prompt"], data["tokens_completion"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (data["provider_name"], data["end"], len(data["attempts"])) == ("demo", "complete", 1)
    assert weir.get(f"/v1/generation?id={data['id']}").json()["data"] == data
    assert weir.get("/v1/generation?id=nothing").status == 404
    assert weir.get("/v1/generation").status == 400


def test_metrics_count_the_calls(weir):
    def count() -> float:
        lines = weir.get("/metrics").body.decode().splitlines()
        mine = [line for line in lines if line.startswith("weir_requests_total{") and 'model="echo"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in mine if 'status="200"' in line)

    before = count()
    weir.chat("demo/echo")
    assert count() == before + 1


def test_the_flaky_model_fails_now_and_then_and_says_who_is_to_blame(weir):
    answers = [weir.chat("demo/flaky") for _ in range(10)]
    assert {answer.status for answer in answers} <= {200, 500}
    for answer in answers:
        if answer.status == 500:
            assert answer.error["weir"]["blame"] == "provider"


def test_the_banner_says_where_and_what(weir):
    shown = weir.output()
    for part in (weir.url, "demo", "weir.db", "curl"):
        assert part in shown, shown


def test_explain_and_models_and_env_and_doctor(weir):
    explained = weir.run("explain", "--model", "demo/echo", "--json")
    assert explained.returncode == 0 and "demo" in explained.stdout, explained.stderr
    models = weir.run("models", "--json")
    assert models.returncode == 0 and json.loads(models.stdout), models.stderr
    assert weir.url in weir.run("env", "openai", "--url", weir.url).stdout
    doctor = weir.run("doctor", "--json")
    assert doctor.returncode in (0, 1) and doctor.stdout, doctor.stderr


def test_generated_files_are_printed(weir):
    schema = weir.run("schema", "config")
    assert schema.returncode == 0
    assert json.loads(schema.stdout) == json.loads((ROOT / "config" / "schema.json").read_text()), "config/schema.json is old"
    described = weir.run("schema", "openapi")
    assert described.returncode == 0 and "/v1/chat/completions" in json.loads(described.stdout)["paths"]
    for shell in ("bash", "zsh", "fish"):
        assert "weir" in weir.run("completions", shell).stdout
    assert ".TH" in weir.run("man").stdout


def test_what_openapi_describes_is_answered(weir):
    described = weir.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method in methods:
            # Only a model's id may hold a slash.
            own = "demo/echo" if path.startswith("/v1/models") else "some-id"
            path = path.replace("{id}", own).replace("{model}", "demo/echo")
            answer = weir.request(method.upper(), path, b"{}" if method == "post" else None)
            known = answer.status != 404 or b"nothing answers" not in answer.body
            assert known and answer.status != 405, f"{method} {path}: {answer.status}"
