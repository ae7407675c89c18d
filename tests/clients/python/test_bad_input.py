"""Bad input: each gets a clear error in OpenAI's shape, or on the terminal with file, line and what to change."""

import json

import pytest

from conftest import CI_KEY, MASTER, WITH_KEYS, keys_environment
from weir_process import Weir, raw, run_weir

PATH = "/v1/chat/completions"
AUTH = {"authorization": f"Bearer {MASTER}"}


def shaped(answer, status: int, code: str | None = None) -> dict:
    """The error, once it is sure that it has OpenAI's shape."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.error
    assert set(error) >= {"message", "type", "param", "code"}
    assert isinstance(error["message"], str) and len(error["message"]) > 8
    if code is not None:
        assert error["code"] == code, error
    return error


NOT_JSON = [b"", b"{", b"{not json}", b"[]", b"null", b'"text"', b"{}{}", b"\xff\xfe", b'{"model":"demo/echo"', b"\0" * 64]


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:12]))
def test_not_json(weir, body):
    error = shaped(weir.post(PATH, body), 400)
    assert error["type"] == "invalid_request_error"


def test_not_json_says_where(weir):
    assert shaped(weir.post(PATH, b'{"model": "demo/echo", oops}'), 400, "invalid_json")


def test_deep_nesting_is_refused_or_read_but_never_a_crash(weir):
    body = b'{"model":"demo/echo","messages":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    shaped(weir.post(PATH, body), 400)
    assert weir.get("/health/live").status == 200


WRONG_TYPES = [
    ({"model": 7, "messages": []}, "model"),
    ({"model": None, "messages": []}, "model"),
    ({"model": ["demo/echo"], "messages": []}, "model"),
    ({"model": "demo/echo", "messages": "hello"}, "messages"),
    ({"model": "demo/echo", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream"),
    ({"model": "demo/echo", "messages": [{"role": "user", "content": "x"}], "max_tokens": "many"}, "max_tokens"),
]


@pytest.mark.parametrize(("body", "param"), WRONG_TYPES, ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_types(weir, body, param):
    error = shaped(weir.post(PATH, body), 400)
    assert error["type"] == "invalid_request_error"
    assert error["param"] is None or error["param"].startswith(param)


def test_missing_model_and_messages(weir):
    no_model = shaped(weir.post(PATH, {"messages": []}), 400, "missing_required_parameter")
    assert no_model["param"] == "model"
    no_messages = shaped(weir.post(PATH, {"model": "demo/echo"}), 400)
    assert no_messages["param"] == "messages"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"demo/echo","model":"demo/story","messages":[]}',
        b'{"model":"demo/echo","messages":[],"stream":false,"stream":true}',
        b'{"model":"demo/echo","mod\\u0065l":"demo/story","messages":[]}',
    ],
    ids=["model", "stream", "escaped"],
)
def test_duplicate_keys(weir, body):
    error = shaped(weir.post(PATH, body), 400)
    assert any(word in error["message"] for word in ("twice", "duplicate", "escapes")), error


def test_unknown_model_with_the_nearest_names(weir):
    error = shaped(weir.chat("demo/strory"), 404, "model_not_found")
    assert "demo/story" in error["message"]


def test_missing_and_wrong_key(guarded):
    shaped(guarded.chat("greeting"), 401, "invalid_api_key")
    shaped(guarded.chat("greeting", headers={"x-api-key": "wrong"}), 401, "invalid_api_key")
    # Looks like one of weir's own keys, but its checksum is wrong.
    typo = "sk-weir-" + "A" * 49
    shaped(guarded.chat("greeting", headers={"x-api-key": typo}), 401, "invalid_api_key")


def test_a_body_over_the_limit(guarded):
    error = shaped(guarded.chat("greeting", "x" * 70_000, headers=AUTH), 413, "request_too_large")
    assert "65536" in error["message"] or "64" in error["message"]
    assert guarded.chat("greeting", "x" * 60_000, headers=AUTH).status == 200
    # Far over it, too, the client gets an answer and no reset.
    shaped(guarded.chat("greeting", "x" * 5_000_000, headers=AUTH), 413, "request_too_large")


def test_a_body_over_the_limit_without_a_length(guarded):
    piece = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {MASTER}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    answer = raw(guarded.port, head.encode() + piece * 100 + b"0\r\n\r\n")
    assert b" 413 " in answer.split(b"\r\n", 1)[0], answer[:200]


def test_a_header_over_the_limit(weir):
    head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nx-long: {'a' * 100_000}\r\ncontent-length: 2\r\n\r\n{{}}"
    answer = raw(weir.port, head.encode())
    assert answer.startswith(b"HTTP/1.1 431"), answer[:200]
    assert weir.get("/health/live").status == 200


def test_bytes_that_are_no_http(weir):
    answer = raw(weir.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", timeout=3)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert weir.get("/health/live").status == 200


def test_a_wrong_method_and_a_wrong_path(weir):
    shaped(weir.get(PATH), 405)
    shaped(weir.post("/v1/nothing", {}), 404)


NONSENSE = {
    "other JSON": ("application/json", b'{"surprise": true}'),
    "not JSON": ("application/json", b"{oops"),
    "a page": ("text/html", b"<html><body>Welcome to the captive portal</body></html>"),
    "nothing": ("application/json", b""),
    "a list": ("application/json", b'[{"id":"x","object":"chat.completion"}]'),
}


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize("front", ["chat", "messages"])
def test_a_provider_that_answers_nonsense(guarded, nonsense, kind, front):
    nonsense.answer = NONSENSE[kind]
    if front == "chat":
        answer = guarded.chat("broken", headers=AUTH)
        error = shaped(answer, 502)
        assert error["weir"]["blame"] == "provider"
    else:
        body = {"model": "broken", "max_tokens": 8, "messages": [{"role": "user", "content": "x"}]}
        answer = guarded.post("/v1/messages", body, AUTH)
        assert answer.status == 502, (answer.status, answer.body)
        assert answer.json()["type"] == "error"
    assert b"captive" not in answer.body


def test_no_row_is_lost_by_bad_input(tmp_path, nonsense):
    """Calls that failed at the provider stand in the ledger; what was refused before it was a call is only counted."""
    nonsense.answer = NONSENSE["a page"]
    with Weir(tmp_path, WITH_KEYS, keys_environment(nonsense)) as weir:
        for _ in range(3):
            assert weir.chat("broken", headers=AUTH).status == 502
        assert weir.chat("no/such-model", headers=AUTH).status == 404
        weir.post(PATH, b"{oops", AUTH)
        weir.chat("broken", headers={"x-api-key": "wrong"})
        weir.spend_when(4, "--key", MASTER)
        refused = [line for line in weir.get("/metrics").body.decode().splitlines() if "weir_refused_requests_total{" in line]
        assert any("invalid_api_key" in line for line in refused), refused
    # It has ended, so every row that there will be is in the store.
    done = run_weir(tmp_path, "spend", "--json", "--by", "provider", environment=weir.environment)
    rows = {row["provider"]: (row["calls"], row["attempts"]) for row in json.loads(done.stdout)["rows"]}
    assert (rows.pop("nonsense")[0], rows) == (3, {None: (1, 0)}), rows


# === on the terminal ===


def refuses(tmp_path, text: str, *parts: str, environment=None):
    """`weir check` and `weir serve` both name what is wrong with the file, and where."""
    (tmp_path / "weir.yaml").write_text(text)
    for command in ("check", "serve"):
        done = run_weir(tmp_path, command, environment=environment)
        shown = done.stderr + done.stdout
        assert done.returncode == 1, (command, done.returncode, shown)
        assert "panicked" not in shown
        for part in parts:
            assert part in shown, (command, part, shown)
    assert not (tmp_path / "weir.db").exists()


def test_an_unknown_configuration_key(tmp_path):
    refuses(tmp_path, "server:\n  lisen: 127.0.0.1:4999\n", "weir.yaml:2:", "lisen", "listen")


def test_a_missing_environment_variable(tmp_path):
    text = "providers:\n  openai:\n    api_key: ${A_VARIABLE_THAT_IS_NOT_SET}\n"
    refuses(tmp_path, text, "weir.yaml:3:", "A_VARIABLE_THAT_IS_NOT_SET")


def test_several_problems_are_named_at_once(tmp_path):
    text = "server:\n  listen: nowhere\n  max_body: much\nmodels:\n  fast: nobody/model\n"
    refuses(tmp_path, text, "weir.yaml:2:", "weir.yaml:3:")


@pytest.mark.parametrize("text", ["server: [", "\t- x", "server: 1", "- a\n- b\n"])
def test_a_file_that_is_not_yaml_or_no_configuration(tmp_path, text):
    refuses(tmp_path, text, "weir.yaml")


def test_a_file_that_is_not_there(tmp_path):
    done = run_weir(tmp_path, "serve", "--config", "nowhere.yaml")
    assert done.returncode == 1 and "nowhere.yaml" in done.stderr


def test_wrong_usage_exits_with_2(tmp_path):
    assert run_weir(tmp_path, "no-such-command").returncode == 2
    assert run_weir(tmp_path, "spend", "--by", "nothing").returncode == 2


def test_a_port_that_is_taken(tmp_path, weir):
    done = run_weir(tmp_path, "serve", "--listen", f"127.0.0.1:{weir.port}")
    assert done.returncode == 1 and str(weir.port) in done.stderr
    assert not (tmp_path / "weir.db").exists()


def test_the_key_is_never_shown_in_an_error(guarded):
    answer = guarded.chat("demo/story", headers={"x-api-key": CI_KEY})
    assert answer.status == 403 and CI_KEY.encode() not in answer.body
    assert json.loads(answer.body)["error"]["code"] == "model_not_allowed"
