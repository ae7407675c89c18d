"""OpenAI's own Python SDK against a gateway with nothing configured. Runs with majors 2 and 3 of the SDK."""

import base64
import json
import struct
from decimal import Decimal

import openai
import pytest
from pydantic import BaseModel

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module", params=["/v1", "", "/v1/"])
def any_base(request, weir):
    """Clients write the base URL with `/v1`, without, or with a slash at its end."""
    return openai.OpenAI(base_url=weir.url + request.param, api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def client(weir):
    return openai.OpenAI(base_url=weir.url + "/v1", api_key="any", max_retries=0)


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_the_sdk_is_the_version_that_was_asked_for(request):
    wanted = request.config.getoption("--openai-major", default=None)
    if wanted is not None:
        assert openai.__version__.split(".")[0] == wanted


def test_chat_whole(any_base):
    reply = any_base.chat.completions.create(model="demo/echo", messages=user("naïve 🚣 hello"))
    assert reply.object == "chat.completion"
    choice = reply.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "naïve 🚣 hello", "stop")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_chat_streamed(client):
    stream = client.chat.completions.create(model="demo/echo", messages=user("one two three four"), stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three four"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks), "no usage was asked for"
    assert all(chunk.choices for chunk in chunks), "the usage chunk was not asked for"


def test_chat_streamed_with_usage(client):
    whole = client.chat.completions.create(model="demo/echo", messages=user("count me"))
    stream = client.chat.completions.create(
        model="demo/echo", messages=user("count me"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    last = chunks[-1]
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_helper(client):
    with client.chat.completions.stream(model="demo/story", messages=user("a story")) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert len(final.choices[0].message.content) > 20


def test_tools_whole_and_back(client):
    first = client.chat.completions.create(model="demo/tools", messages=user("weather in Oslo?"), tools=[TOOL])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    call = message.tool_calls[0]
    assert call.type == "function" and call.function.name == "get_weather" and call.id
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    history = user("weather in Oslo?") + [
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 °C"},
    ]
    second = client.chat.completions.create(model="demo/tools", messages=history, tools=[TOOL])
    assert second.choices[0].finish_reason == "stop"
    assert "sunny, 21 °C" in second.choices[0].message.content


def test_tools_streamed(client):
    stream = client.chat.completions.create(
        model="demo/tools", messages=user("weather in Oslo?"), tools=[TOOL], stream=True
    )
    arguments, name, finish = "", "", None
    for chunk in stream:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                assert call.index == 0
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    assert (name, finish) == ("get_weather", "tool_calls")
    assert isinstance(json.loads(arguments)["city"], str)


def test_tool_choice_none_and_named(client):
    none = client.chat.completions.create(model="demo/tools", messages=user("hi"), tools=[TOOL], tool_choice="none")
    assert none.choices[0].message.tool_calls is None
    other = {"type": "function", "function": {"name": "second", "parameters": {"type": "object", "properties": {}}}}
    named = client.chat.completions.create(
        model="demo/echo",
        messages=user("hi"),
        tools=[TOOL, other],
        tool_choice={"type": "function", "function": {"name": "second"}},
    )
    assert [call.function.name for call in named.choices[0].message.tool_calls] == ["second"]


class Trip(BaseModel):
    city: str
    nights: int
    guests: list[str]


def test_parsed_structured_output(client):
    reply = client.chat.completions.parse(model="demo/echo", messages=user("plan a trip"), response_format=Trip)
    assert isinstance(reply.choices[0].message.parsed, Trip)


def test_parsed_structured_output_of_the_beta_path(client):
    beta = getattr(getattr(client.beta, "chat", None), "completions", None)
    parse = getattr(beta, "parse", None) or client.chat.completions.parse
    reply = parse(model="demo/echo", messages=user("plan a trip"), response_format=Trip)
    assert isinstance(reply.choices[0].message.parsed, Trip)


def test_embeddings_in_both_encodings(client):
    plain = client.embeddings.create(model="demo/embed", input=["one", "two"], encoding_format="float")
    assert [entry.index for entry in plain.data] == [0, 1]
    assert len(plain.data[0].embedding) == 256
    assert plain.data[0].embedding != plain.data[1].embedding
    assert plain.usage.prompt_tokens > 0
    packed = client.embeddings.with_raw_response.create(model="demo/embed", input=["one"], encoding_format="base64")
    encoded = json.loads(packed.text if isinstance(packed.text, str) else packed.text())["data"][0]["embedding"]
    numbers = struct.unpack("<256f", base64.b64decode(encoded))
    assert numbers == pytest.approx(plain.data[0].embedding, abs=1e-6)
    # What the SDK does when nothing is said: asks for base64 and decodes it.
    silent = client.embeddings.create(model="demo/embed", input="one")
    assert silent.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_completions(client):
    reply = client.chat.completions.with_raw_response.create(model="demo/echo", messages=user("x"))
    assert reply.headers["x-weir-provider"] == "demo"
    legacy = client.completions.create(model="demo/echo", prompt="once upon a time", max_tokens=8)
    assert legacy.object == "text_completion" and legacy.choices[0].text


def test_models_are_listed_and_found(any_base):
    listed = {model.id: model for model in any_base.models.list()}
    for name in ("demo/echo", "demo/story", "demo/tools", "demo/flaky", "demo/embed"):
        assert name in listed
    one = any_base.models.retrieve("demo/echo")
    assert (one.id, one.object) == ("demo/echo", "model")
    assert Decimal(one.model_dump()["pricing"]["prompt"]) == Decimal("0.0000001")


def test_unknown_model_names_the_nearest(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="demo/ehco", messages=user("hi"))
    assert refused.value.code == "model_not_found"
    assert "demo/echo" in refused.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/nothing")


def test_wrong_parameters_are_bad_requests(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="demo/echo", messages="not a list")
    assert refused.value.type == "invalid_request_error"


def test_what_a_call_cost_is_told(client):
    reply = client.chat.completions.with_raw_response.create(model="demo/echo", messages=user("what does this cost"))
    usage = reply.parse().usage
    # demo/echo costs 0.10 USD per million input tokens and 0.40 per million output tokens.
    nanos = (usage.prompt_tokens * 100_000 + usage.completion_tokens * 400_000 + 500) // 1000
    expected = Decimal(nanos) / 10**9
    assert Decimal(reply.headers["x-weir-cost"]) == expected
    assert Decimal(str(usage.model_dump()["cost"])) == expected
    for name in ("x-request-id", "x-weir-model", "x-weir-route", "x-weir-attempts", "x-weir-overhead-us"):
        assert name in reply.headers, name


def test_images_and_multi_turn_are_taken(client):
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
    content = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": pixel}}]
    messages = [
        {"role": "system", "content": "be short"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": content},
    ]
    reply = client.chat.completions.create(model="demo/echo", messages=messages, max_tokens=64)
    assert "what is this" in reply.choices[0].message.content
