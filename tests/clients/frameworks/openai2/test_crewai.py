"""CrewAI: a crew of one with a tool, a crew of two, and typed output."""

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from pydantic import BaseModel

TOLD = "The tools say: sunny in Oslo"


class Trip(BaseModel):
    city: str
    nights: int


@tool("get_weather")
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


@pytest.fixture
def llm(weir, vendor):
    return LLM(model=f"via-{vendor}", provider="openai", base_url=weir.url + "/v1", api_key="any")


def agent(llm, role: str, **more) -> Agent:
    return Agent(role=role, goal="Help", backstory="You help.", llm=llm, **more)


def test_a_call(llm, vendor, ledger):
    assert llm.call("hello there").startswith("You said: hello there ")
    ledger.shows(vendor, 1)


def test_a_crew_with_a_tool(llm, vendor, ledger):
    worker = agent(llm, "forecaster", tools=[get_weather])
    asked = 'Tell the weather in Oslo. [[call get_weather {"city": "Oslo"}]]'
    task = Task(description=asked, expected_output="The weather", agent=worker)
    assert TOLD in Crew(agents=[worker], tasks=[task]).kickoff().raw
    ledger.shows(vendor, 2)


def test_a_crew_of_two(llm, vendor, ledger):
    writer, critic = agent(llm, "writer"), agent(llm, "critic")
    first = Task(description="Write a line.", expected_output="A line", agent=writer)
    second = Task(description="Judge it.", expected_output="A judgement", agent=critic, context=[first])
    done = Crew(agents=[writer, critic], tasks=[first, second]).kickoff()
    assert len(done.tasks_output) == 2 and done.token_usage.completion_tokens > 0
    ledger.shows(vendor, 2)


def test_typed_output(llm, vendor, ledger):
    planner = agent(llm, "planner")
    task = Task(description="Plan a trip.", expected_output="A trip", agent=planner, output_pydantic=Trip)
    assert isinstance(Crew(agents=[planner], tasks=[task]).kickoff().pydantic, Trip)
