"""AG2: agents with a tool, a conversation and structured output, over chat completions and over the Responses API."""

import asyncio

import pytest
from ag2 import Agent, tool
from ag2.config import OpenAIConfig, OpenAIResponsesConfig
from pydantic import BaseModel

ASKED = 'What is the weather in Oslo? [[call get_weather {"city": "Oslo"}]]'


class Trip(BaseModel):
    city: str
    nights: int


@pytest.fixture(params=[OpenAIConfig, OpenAIResponsesConfig])
def config(request, weir, vendor):
    return request.param(model=f"via-{vendor}", base_url=weir.url + "/v1", api_key="any", max_retries=0)


@pytest.mark.parametrize("streaming", [False, True])
def test_an_agent_with_a_tool(config, vendor, ledger, streaming):
    asked = []

    @tool
    async def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    agent = Agent("helper", prompt="You help.", config=config.copy(streaming=streaming), tools=[get_weather])
    reply = asyncio.run(agent.ask(ASKED))
    assert asked == ["Oslo"] and "sunny in Oslo" in reply.body
    ledger.shows(vendor, 2)


def test_a_conversation(config, vendor, ledger):
    async def talk():
        first = await Agent("helper", prompt="You help.", config=config).ask("hello there")
        return first, await first.ask("and again")

    first, second = asyncio.run(talk())
    assert first.body.startswith("You said: hello there ") and second.body.startswith("You said: and again ")
    ledger.shows(vendor, 2)


def test_structured_output(config, vendor, ledger):
    agent = Agent("planner", prompt="You plan.", config=config, response_schema=Trip)

    async def plan():
        return await (await agent.ask("plan a trip")).content()

    trip = asyncio.run(plan())
    assert isinstance(trip, Trip) and isinstance(trip.nights, int)
    ledger.shows(vendor, 1)
