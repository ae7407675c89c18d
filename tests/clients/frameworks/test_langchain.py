"""LangChain: chat, tools, an agent, structured output, embeddings, by its classes for three APIs of two vendors."""

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

ASKED = 'What is the weather in Oslo? [[call get_weather {"city": "Oslo"}]]'
TOLD = "The tools say: sunny in Oslo"


class Trip(BaseModel):
    """A journey."""

    city: str
    nights: int
    guests: list[str]


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


def openai_model(weir, vendor, **more):
    return ChatOpenAI(model=f"via-{vendor}", base_url=weir.url + "/v1", api_key="any", max_retries=0, **more)


def test_chat_whole_and_streamed(weir, vendor, ledger):
    model = openai_model(weir, vendor)
    whole = model.invoke("hello there")
    assert whole.content.startswith("You said: hello there ")
    assert whole.usage_metadata["output_tokens"] > 0 and whole.response_metadata["finish_reason"] == "stop"
    pieces = list(model.stream("hello there"))
    assert len(pieces) > 3 and "".join(piece.content for piece in pieces) == whole.content
    ledger.shows(vendor, 2)


def test_a_stream_tells_its_usage(weir, vendor):
    pieces = list(openai_model(weir, vendor, stream_usage=True).stream("hello there"))
    used = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert len(used) == 1 and used[0]["total_tokens"] == used[0]["input_tokens"] + used[0]["output_tokens"]


@pytest.mark.parametrize("responses", [False, True])
def test_an_agent_with_a_tool(weir, vendor, ledger, responses):
    agent = create_agent(openai_model(weir, vendor, use_responses_api=responses), [get_weather])
    messages = agent.invoke({"messages": [{"role": "user", "content": ASKED}]})["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[1].tool_calls[0]["args"] == {"city": "Oslo"} and messages[3].text == TOLD
    ledger.shows(vendor, 2)


@pytest.mark.parametrize("responses", [False, True])
def test_an_agent_that_streams(weir, vendor, ledger, responses):
    agent = create_agent(openai_model(weir, vendor, use_responses_api=responses), [get_weather])
    events = agent.stream({"messages": [{"role": "user", "content": ASKED}]}, stream_mode="messages")
    pieces = [piece for piece, _ in events if piece.type == "AIMessageChunk"]
    assert len(pieces) > 4 and "".join(piece.text for piece in pieces).endswith(TOLD)
    ledger.shows(vendor, 2)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(weir, vendor, ledger, method):
    trip = openai_model(weir, vendor).with_structured_output(Trip, method=method).invoke("plan a trip")
    assert isinstance(trip, Trip) and isinstance(trip.nights, int)
    ledger.shows(vendor, 1)


def test_embeddings(weir, ledger):
    model = OpenAIEmbeddings(
        model="embed-gemini", base_url=weir.url + "/v1", api_key="any", check_embedding_ctx_length=False, dimensions=768
    )
    first, second = model.embed_documents(["one", "two"])
    assert len(first) == len(second) == 768 and first != second
    assert model.embed_query("one") == pytest.approx(first, abs=1e-6)
    ledger.shows("gemini", 2, usage=None)


def test_anthropics_class_before_openai(weir, ledger):
    model = ChatAnthropic(model="via-openai", base_url=weir.url, api_key="any", max_retries=0)
    answer = create_agent(model, [get_weather]).invoke({"messages": [{"role": "user", "content": ASKED}]})
    assert answer["messages"][-1].text == TOLD
    pieces = list(model.stream("hello there"))
    assert "".join(piece.text for piece in pieces).startswith("You said: hello there ")
    ledger.shows("openai", 3)
