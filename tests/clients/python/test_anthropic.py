"""Anthropic's own Python SDK against `/v1/messages`; the demo models speak OpenAI's format, so weir translates."""

import anthropic
import pytest

TOOL = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def client(weir):
    return anthropic.Anthropic(base_url=weir.url, api_key="any", max_retries=0)


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_message_whole(client):
    message = client.messages.create(model="demo/echo", max_tokens=64, messages=user("naïve 🚣 hello"))
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == "naïve 🚣 hello"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0


def test_message_with_a_system_prompt_and_stop(client):
    message = client.messages.create(
        model="demo/echo",
        max_tokens=64,
        system="be short",
        messages=user("one STOP two"),
        stop_sequences=["STOP"],
    )
    assert message.content[0].text.strip() == "one"


def test_the_token_limit_is_told(client):
    message = client.messages.create(model="demo/story", max_tokens=3, messages=user("a long story"))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 3


def test_message_streamed_with_the_helper(client):
    text = "one two three four five six"
    with client.messages.stream(model="demo/echo", max_tokens=64, messages=user(text)) as stream:
        assert "".join(stream.text_stream) == text
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    whole = client.messages.create(model="demo/echo", max_tokens=64, messages=user(text))
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )


def test_raw_events_come_in_order(client):
    events = list(client.messages.create(model="demo/echo", max_tokens=64, messages=user("hi there"), stream=True))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


def test_tools_whole_and_back(client):
    first = client.messages.create(
        model="demo/tools", max_tokens=256, messages=user("weather in Oslo?"), tools=[TOOL]
    )
    assert first.stop_reason == "tool_use"
    call = next(block for block in first.content if block.type == "tool_use")
    assert call.name == "get_weather" and isinstance(call.input["city"], str)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny, 21 °C"}
    history = user("weather in Oslo?") + [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": [result]},
    ]
    second = client.messages.create(model="demo/tools", max_tokens=256, messages=history, tools=[TOOL])
    assert second.stop_reason == "end_turn"
    assert "sunny, 21 °C" in second.content[0].text


def test_tools_streamed(client):
    with client.messages.stream(
        model="demo/tools", max_tokens=256, messages=user("weather in Oslo?"), tools=[TOOL], tool_choice={"type": "any"}
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    call = next(block for block in final.content if block.type == "tool_use")
    assert isinstance(call.input["city"], str)


def test_errors_have_anthropics_shape(client, weir):
    with pytest.raises(anthropic.NotFoundError) as refused:
        client.messages.create(model="demo/ehco", max_tokens=8, messages=user("hi"))
    body = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert "demo/echo" in body["error"]["message"]
    answer = weir.post("/v1/messages", b"{not json")
    assert answer.status == 400
    assert (answer.json()["type"], answer.error["type"]) == ("error", "invalid_request_error")


def test_the_call_stands_in_the_ledger_like_any_other(client, weir):
    raw = client.messages.with_raw_response.create(model="demo/echo", max_tokens=64, messages=user("cost?"))
    assert float(raw.headers["x-weir-cost"]) > 0
    assert raw.headers["x-weir-provider"] == "demo"
