"""OpenAI's Agents SDK, over the Responses API (its default) and over chat completions."""

import asyncio

import pytest
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel

ASKED = 'What is the weather in Oslo? [[call get_weather {"city": "Oslo"}]]'
TOLD = "The tools say: sunny in Oslo"
set_tracing_disabled(True)


class Trip(BaseModel):
    city: str
    nights: int


@function_tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


@pytest.fixture(params=[OpenAIResponsesModel, OpenAIChatCompletionsModel])
def model(request, weir, vendor):
    client = AsyncOpenAI(base_url=weir.url + "/v1", api_key="any", max_retries=0)
    return request.param(model=f"via-{vendor}", openai_client=client)


def test_an_agent_with_a_tool(model, vendor, ledger):
    agent = Agent(name="helper", instructions="You help.", model=model, tools=[get_weather])
    result = asyncio.run(Runner.run(agent, ASKED))
    assert result.final_output == TOLD and len(result.raw_responses) == 2
    assert all(reply.usage.output_tokens > 0 for reply in result.raw_responses)
    ledger.shows(vendor, 2)


def test_an_agent_that_streams(model, vendor, ledger):
    agent = Agent(name="helper", instructions="You help.", model=model, tools=[get_weather])

    async def run():
        result = Runner.run_streamed(agent, ASKED)
        raw = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        return result, raw

    result, raw = asyncio.run(run())
    pieces = [event.delta for event in raw if event.type == "response.output_text.delta"]
    assert result.final_output == "".join(pieces) == TOLD and len(pieces) > 1
    ledger.shows(vendor, 2)


def test_an_agent_hands_over_to_another(model, vendor, ledger):
    other = Agent(name="weather", instructions="You know the weather.", model=model, tools=[get_weather])
    first = Agent(name="desk", instructions="You hand over.", model=model, handoffs=[other])
    asked = 'Weather? [[call transfer_to_weather {}]] [[call get_weather {"city": "Oslo"}]]'
    result = asyncio.run(Runner.run(first, asked))
    assert result.last_agent is other and result.final_output.endswith("sunny in Oslo")
    ledger.shows(vendor, 3)


def test_typed_output(model, vendor, ledger):
    result = asyncio.run(Runner.run(Agent(name="planner", model=model, output_type=Trip), "plan a trip"))
    assert isinstance(result.final_output, Trip) and isinstance(result.final_output.nights, int)
    ledger.shows(vendor, 1)
