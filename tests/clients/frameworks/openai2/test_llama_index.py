"""LlamaIndex: chat, an agent with a tool, structured output, and an index that is embedded and asked."""

import asyncio

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

ASKED = 'What is the weather in Oslo? [[call get_weather {"city": "Oslo"}]]'
TOLD = "The tools say: sunny in Oslo"


class Trip(BaseModel):
    """A journey."""

    city: str
    nights: int


@pytest.fixture
def llm(weir, vendor):
    return OpenAILike(
        model=f"via-{vendor}",
        api_base=weir.url + "/v1",
        api_key="any",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )


def test_chat_whole_and_streamed(llm, vendor, ledger):
    asked = [ChatMessage(role="user", content="hello there")]
    whole = llm.chat(asked).message.content
    assert whole.startswith("You said: hello there ")
    pieces = [piece.delta for piece in llm.stream_chat(asked)]
    assert len(pieces) > 3 and "".join(pieces) == whole
    ledger.shows(vendor, 2)


def test_an_agent_with_a_tool(llm, vendor, ledger):
    asked = []

    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    async def run():
        handler = FunctionAgent(tools=[get_weather], llm=llm).run(ASKED)
        pieces = [event.delta async for event in handler.stream_events() if isinstance(event, AgentStream)]
        return await handler, pieces

    answer, pieces = asyncio.run(run())
    assert asked == ["Oslo"] and str(answer) == "".join(pieces) == TOLD
    ledger.shows(vendor, 2)


def test_structured_output(llm, vendor, ledger):
    trip = llm.as_structured_llm(Trip).chat([ChatMessage(role="user", content="plan a trip")]).raw
    assert isinstance(trip, Trip) and isinstance(trip.nights, int)
    ledger.shows(vendor, 1)


def test_an_index_is_embedded_and_asked(weir, llm, vendor):
    embedding = OpenAIEmbedding(
        model_name="embed-gemini", api_base=weir.url + "/v1", api_key="any", dimensions=768, max_retries=0
    )
    documents = [Document(text="the weir is two metres deep"), Document(text="copper is dear")]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    answer = index.as_query_engine(llm=llm, similarity_top_k=1).query("the weir is two metres deep")
    assert str(answer).startswith("You said: ") and answer.source_nodes[0].text == "the weir is two metres deep"
