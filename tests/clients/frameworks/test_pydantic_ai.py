"""pydantic-ai: an agent with a tool, a stream and typed output, by its models for three APIs."""

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

ASKED = 'What is the weather in Oslo? [[call get_weather {"city": "Oslo"}]]'
TOLD = "The tools say: sunny in Oslo"


class Trip(BaseModel):
    city: str
    nights: int


@pytest.fixture(params=["chat", "responses", "messages"])
def model(request, weir, vendor):
    if request.param == "messages":
        vendor = {"anthropic": "openai"}.get(vendor, vendor)
        return AnthropicModel(f"via-{vendor}", provider=AnthropicProvider(api_key="any", base_url=weir.url))
    kind = OpenAIChatModel if request.param == "chat" else OpenAIResponsesModel
    return kind(f"via-{vendor}", provider=OpenAIProvider(api_key="any", base_url=weir.url + "/v1"))


def provider(model) -> str:
    return model.model_name.removeprefix("via-")


def weather_agent(model) -> Agent:
    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        return f"sunny in {city}"

    return agent


def test_an_agent_with_a_tool(model, ledger):
    result = weather_agent(model).run_sync(ASKED)
    assert result.output == TOLD and result.usage.requests == 2 and result.usage.output_tokens > 0
    ledger.shows(provider(model), 2)


def test_an_agent_that_streams(model, ledger):
    result = weather_agent(model).run_stream_sync(ASKED)
    pieces = list(result.stream_text(delta=True, debounce_by=None))
    assert len(pieces) > 1 and "".join(pieces) == TOLD
    ledger.shows(provider(model), 2)


@pytest.mark.parametrize("kind", [NativeOutput, ToolOutput])
def test_typed_output(model, ledger, kind):
    if kind is NativeOutput and isinstance(model, AnthropicModel):
        # By its name alone the framework doesn't know that this model has it.
        model.profile = {**model.profile, "supports_json_schema_output": True}
    trip = Agent(model, output_type=kind(Trip)).run_sync("plan a trip").output
    assert isinstance(trip, Trip) and isinstance(trip.nights, int)
    ledger.shows(provider(model), 1)
