"""Google's own Python SDK (google-genai) over providers of other vendors."""

import json
import urllib.request

import pytest
from google import genai
from google.genai import errors, types


@pytest.fixture(scope="module")
def client(weir):
    return genai.Client(api_key="any", http_options=types.HttpOptions(base_url=weir.url))


def test_whole(client):
    reply = client.models.generate_content(model="demo/echo", contents="naïve 🚣 hello")
    assert reply.text == "naïve 🚣 hello"
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    usage = reply.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count > 0


def test_streamed(client):
    chunks = list(client.models.generate_content_stream(model="demo/echo", contents="one two three four"))
    assert "".join(chunk.text or "" for chunk in chunks) == "one two three four"
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count > 0


def test_tools_there_and_back(client):
    function = types.FunctionDeclaration(
        name="get_weather",
        description="The weather of a city",
        parameters=types.Schema(
            type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]
        ),
    )
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[function])])
    question = types.Content(role="user", parts=[types.Part.from_text(text="Weather in Paris?")])
    for stream in (False, True):
        if stream:
            replies = list(client.models.generate_content_stream(model="demo/tools", contents=[question], config=config))
        else:
            replies = [client.models.generate_content(model="demo/tools", contents=[question], config=config)]
        calls = [call for reply in replies for call in reply.function_calls or []]
        assert [call.name for call in calls] == ["get_weather"] and isinstance(calls[0].args, dict)
    turn = replies[-1].candidates[0].content
    answer = types.Part.from_function_response(name="get_weather", response={"result": "sunny"})
    reply = client.models.generate_content(
        model="demo/echo", contents=[question, turn, types.Content(role="user", parts=[answer])], config=config
    )
    assert reply.text


def test_a_chat_remembers(client):
    chat = client.chats.create(model="demo/echo")
    first = chat.send_message("my name is Ada")
    second = chat.send_message("and now?")
    assert second.usage_metadata.prompt_token_count > first.usage_metadata.prompt_token_count


def test_embeddings(client):
    reply = client.models.embed_content(model="demo/embed", contents=["one", "two"])
    assert len(reply.embeddings) == 2 and len(reply.embeddings[0].values) > 1


def test_errors_have_googles_shape(client):
    with pytest.raises(errors.ClientError) as unknown:
        client.models.generate_content(model="nobody/knows", contents="x")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")


def test_a_stream_without_sse_is_an_array(weir):
    body = json.dumps({"contents": [{"parts": [{"text": "one two three"}]}]}).encode()
    url = f"{weir.url}/v1beta/models/demo/echo:streamGenerateContent"
    request = urllib.request.Request(url, body, {"content-type": "application/json", "x-goog-api-key": "any"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        chunks = json.load(answer)
    text = "".join(part["text"] for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"])
    assert text == "one two three"
