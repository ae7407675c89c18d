"""OpenAI's Responses API with OpenAI's own SDK: over a provider that has chat only, kept by weir, and apart by key.

Every event is read by the SDK's own models, which are made from OpenAI's description: a member that is missing or of
another type fails.
"""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from weir_process import Weir

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(scope="module", params=["/v1", ""])
def client(request, weir):
    return openai.OpenAI(base_url=weir.url + request.param, api_key="any", max_retries=0)


def checked(stream) -> list:
    """All events, each valid, numbered from 0 without a gap."""
    events = list(stream)
    for number, event in enumerate(events):
        EVENT.validate_python(json.loads(event.model_dump_json(exclude_unset=True)))
        assert event.sequence_number == number
    return events


def test_whole(client):
    reply = client.responses.create(model="demo/echo", input="naïve 🚣 hello", instructions="be brief")
    Response.model_validate_json(reply.model_dump_json(exclude_unset=True))
    assert (reply.status, reply.output_text, reply.object) == ("completed", "naïve 🚣 hello", "response")
    assert reply.id.startswith("resp_") and reply.instructions == "be brief"
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0


def test_streamed_is_the_same_as_whole(client):
    events = checked(client.responses.create(model="demo/echo", input="one two three four", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1].response
    assert text == final.output_text == "one two three four"
    whole = client.responses.create(model="demo/echo", input="one two three four")
    assert [item.content[0].text for item in whole.output] == [item.content[0].text for item in final.output]
    assert whole.usage.input_tokens == final.usage.input_tokens


def test_the_streaming_helper_assembles(client):
    with client.responses.stream(model="demo/echo", input="put me together") as stream:
        checked_kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == "put me together" and checked_kinds[-1] == "response.completed"


def test_tools_there_and_back(client):
    for stream in (False, True):
        reply = client.responses.create(model="demo/tools", input="Weather in Paris?", tools=[TOOL], stream=stream)
        if stream:
            events = checked(reply)
            pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
            reply = events[-1].response
            assert pieces == reply.output[0].arguments
        call = reply.output[0]
        assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
        assert isinstance(json.loads(call.arguments), dict)
    answer = client.responses.create(
        model="demo/echo",
        tools=[TOOL],
        input=[
            {"role": "user", "content": "Weather in Paris?"},
            call.model_dump(exclude_unset=True),
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ],
    )
    assert answer.output_text


def test_parsed(client):
    class Place(BaseModel):
        city: str

    reply = client.responses.parse(model="demo/echo", input='{"city": "Oslo"}', text_format=Place)
    assert isinstance(reply.output_parsed, Place)


def test_what_is_not_carried_is_reported_or_refused(client):
    asked = {"model": "demo/echo", "input": "x", "tools": [{"type": "web_search"}], "truncation": "auto"}
    raw = client.responses.with_raw_response.create(**asked)
    assert sorted(raw.headers["x-weir-dropped-params"].split(",")) == ["tools[0]", "truncation"]
    with pytest.raises(openai.BadRequestError):
        client.responses.create(**asked, extra_headers={"x-weir-strict": "true"})
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="demo/echo", input="x", background=True)
    assert refused.value.body["param"] == "background"


def test_going_on_fetching_and_deleting(client):
    first = client.responses.create(model="demo/echo", input="my name is Ada")
    events = checked(
        client.responses.create(model="demo/echo", input="and who are you", previous_response_id=first.id, stream=True)
    )
    second = events[-1].response
    assert second.previous_response_id == first.id
    # What came before went to the model, too.
    assert second.usage.input_tokens > first.usage.input_tokens
    fetched = client.responses.retrieve(second.id)
    assert fetched.output_text == second.output_text and fetched.id == second.id
    items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert items[0].content[0].text == "my name is Ada"
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(second.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="demo/echo", input="x", previous_response_id=second.id)
    assert refused.value.code == "previous_response_not_found"


def test_items_that_were_kept_need_only_be_named(client):
    first = client.responses.create(model="demo/echo", input="my name is Ada")

    def ask(item, **more):
        return client.responses.create(model="demo/echo", input=[item, {"role": "user", "content": "go on"}], **more)

    named = {"type": "item_reference", "id": first.output[0].id}
    whole = ask(first.output[0].model_dump(exclude_unset=True))
    assert ask(named).usage.input_tokens == whole.usage.input_tokens > first.usage.input_tokens
    client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(named)
    assert refused.value.body["param"] == "input[0]"


def test_store_false_keeps_nothing(client):
    reply = client.responses.create(model="demo/echo", input="secret", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(reply.id)
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="demo/echo", input="x", previous_response_id=reply.id)


TWO_KEYS = """
server: { master_key: "${WEIR_MASTER_KEY}" }
providers: { demo: {} }
keys:
  - { name: one, key: key-of-one }
  - { name: two, key: key-of-two }
"""


def test_keys_do_not_see_each_others_answers(tmp_path):
    with Weir(tmp_path, TWO_KEYS, {"WEIR_MASTER_KEY": "master-key-of-the-tests"}) as weir:
        one, two = (
            openai.OpenAI(base_url=weir.url + "/v1", api_key=key, max_retries=0) for key in ("key-of-one", "key-of-two")
        )
        mine = one.responses.create(model="demo/echo", input="mine")
        for attempt in (two.responses.retrieve, two.responses.delete, two.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                attempt(mine.id)
        with pytest.raises(openai.BadRequestError):
            two.responses.create(model="demo/echo", input="x", previous_response_id=mine.id)
        with pytest.raises(openai.BadRequestError):
            two.responses.create(model="demo/echo", input=[{"type": "item_reference", "id": mine.output[0].id}])
        assert one.responses.retrieve(mine.id).output_text == "mine"
