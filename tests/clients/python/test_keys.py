"""Keys, the master key, and the refusal to serve other machines without one."""

import openai
import pytest

from conftest import CI_KEY, MASTER
from weir_process import free_port, run_weir


def client(weir, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=weir.url + "/v1", api_key=key, max_retries=0)


MESSAGES = [{"role": "user", "content": "hello"}]


def test_a_declared_key_calls_what_it_may(guarded):
    reply = client(guarded, CI_KEY).chat.completions.create(model="greeting", messages=MESSAGES)
    assert reply.choices[0].message.content == "hello"


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_the_key_is_taken_from_four_headers(guarded, header):
    value = f"Bearer {CI_KEY}" if header == "authorization" else CI_KEY
    assert guarded.chat("greeting", headers={header: value}).status == 200


def test_a_wrong_key_is_401(guarded):
    with pytest.raises(openai.AuthenticationError) as refused:
        client(guarded, "not-a-key").chat.completions.create(model="greeting", messages=MESSAGES)
    assert refused.value.code == "invalid_api_key"
    assert "not-a-key" not in refused.value.message


def test_no_key_is_401(guarded):
    answer = guarded.chat("greeting")
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert guarded.get("/v1/models").status == 401


def test_a_model_that_the_key_may_not_call_is_403(guarded):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client(guarded, CI_KEY).chat.completions.create(model="demo/echo", messages=MESSAGES)
    assert refused.value.code == "model_not_allowed"


def test_the_list_has_just_what_the_key_may_call(guarded):
    assert {model.id for model in client(guarded, CI_KEY).models.list()} == {"greeting", "demo/tools"}
    assert {"greeting", "broken", "demo/echo"} <= {model.id for model in client(guarded, MASTER).models.list()}


def test_the_accounts_are_for_the_master_key(guarded):
    refused = guarded.get("/admin/v1/spend", headers={"authorization": f"Bearer {CI_KEY}"})
    assert (refused.status, refused.error["code"]) == (403, "permission_denied")
    assert guarded.get("/admin/v1/spend").status == 401
    assert guarded.get("/admin/v1/spend", headers={"authorization": f"Bearer {MASTER}"}).status == 200


def test_spend_is_told_by_key_and_team(guarded):
    guarded.chat("greeting", headers={"x-api-key": CI_KEY})
    found = guarded.spend_when(1, "--by", "key,team", "--key", MASTER)
    assert any((row["key"], row["team"]) == ("ci", "platform") for row in found["rows"]), found


def test_secrets_stand_nowhere(guarded):
    guarded.chat("greeting", headers={"x-api-key": CI_KEY})
    guarded.chat("broken", headers={"x-api-key": MASTER})
    checked = 0
    for file in guarded.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert CI_KEY.encode() not in content and MASTER.encode() not in content, file
            checked += 1
    assert checked >= 2
    for path in ("/health", "/metrics", "/openapi.json"):
        body = guarded.get(path).body
        assert CI_KEY.encode() not in body and MASTER.encode() not in body


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])
def test_other_machines_are_not_served_without_a_master_key(tmp_path, address):
    done = run_weir(tmp_path, "serve", "--listen", f"{address}:{free_port()}")
    assert done.returncode == 1
    assert "master key" in done.stderr and "WEIR_MASTER_KEY" in done.stderr
    assert "panicked" not in done.stderr
    assert not (tmp_path / "weir.db").exists(), "nothing was touched"
