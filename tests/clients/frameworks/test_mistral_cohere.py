"""Mistral's own client (chat, tools, typed output, embeddings) and Cohere's (rerank) before other vendors."""

import json

import cohere
import pytest
from mistralai.client import Mistral
from pydantic import BaseModel

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Trip(BaseModel):
    city: str
    nights: int


@pytest.fixture
def mistral(weir):
    return Mistral(api_key="any", server_url=weir.url)


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_mistral_chat_whole_and_streamed(mistral, vendor, ledger):
    whole = mistral.chat.complete(model=f"via-{vendor}", messages=user("hello there"))
    text = whole.choices[0].message.content
    assert text.startswith("You said: hello there ") and whole.choices[0].finish_reason == "stop"
    chunks = [event.data for event in mistral.chat.stream(model=f"via-{vendor}", messages=user("hello there"))]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    ledger.shows(vendor, 2)


def test_mistral_with_a_tool(mistral, vendor, ledger):
    messages = user('Weather in Oslo? [[call get_weather {"city": "Oslo"}]]')
    first = mistral.chat.complete(model=f"via-{vendor}", messages=messages, tools=[TOOL], tool_choice="any")
    message = first.choices[0].message
    call = message.tool_calls[0]
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Oslo"}
    messages += [message, {"role": "tool", "name": "get_weather", "tool_call_id": call.id, "content": "sunny in Oslo"}]
    second = mistral.chat.complete(model=f"via-{vendor}", messages=messages, tools=[TOOL])
    assert second.choices[0].message.content == "The tools say: sunny in Oslo"
    ledger.shows(vendor, 2)


def test_mistral_typed_output(mistral, vendor, ledger):
    reply = mistral.chat.parse(Trip, model=f"via-{vendor}", messages=user("plan a trip"))
    assert isinstance(reply.choices[0].message.parsed, Trip)
    ledger.shows(vendor, 1)


def test_mistral_embeddings(mistral, ledger):
    reply = mistral.embeddings.create(model="embed-gemini", inputs=["one", "two"])
    first, second = (item.embedding for item in reply.data)
    assert len(first) == len(second) > 100 and first != second
    ledger.shows("gemini", 1, usage=None)


def test_cohere_reranks_by_another_vendor(weir, ledger):
    documents = ["a mill by the river", "the price of copper", "how deep is the water of the river"]
    for client in (cohere.ClientV2(api_key="any", base_url=weir.url), cohere.Client(api_key="any", base_url=weir.url)):
        ranked = client.rerank(model="rerank-jina", query="how deep is the river", documents=documents, top_n=2)
        assert [result.index for result in ranked.results] == [2, 0]
        assert ranked.results[0].relevance_score > ranked.results[1].relevance_score
    ledger.shows("jina", 2, usage=None)
