"""Clients of each front against simulated providers of other vendors, and of their own."""

import json

import openai
import pytest
from google import genai
from google.genai import types

from weir_process import over_simulators

CONFIG = """
providers:
  gemini: {{ base_url: "http://127.0.0.1:{port}", api_key: any }}
  anthropic: {{ base_url: "http://127.0.0.1:{port}", api_key: any }}
  openai: {{ base_url: "http://127.0.0.1:{port}/v1", api_key: any }}
models:
  via-gemini: gemini/gemini-2.5-flash
  via-anthropic: anthropic/claude-sonnet-4-5
  via-openai: openai/gpt-4o-mini
"""
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with over_simulators(tmp_path_factory.mktemp("across"), CONFIG) as running:
        yield running


# The simulated OpenAI has no Responses API: that way is checked against recordings.
@pytest.mark.parametrize("model", ["via-gemini", "via-anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_responses_with_tools(gateway, model, stream):
    client = openai.OpenAI(base_url=gateway.url + "/v1", api_key="any", max_retries=0)

    def ask(**more):
        reply = client.responses.create(model=model, tools=[TOOL], max_output_tokens=500, stream=stream, **more)
        return list(reply)[-1].response if stream else reply

    first = ask(input="Weather in Paris?", tool_choice="required")
    assert first.status == "completed" and first.usage.output_tokens > 0
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls and all(isinstance(json.loads(call.arguments), dict) for call in calls)
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    second = ask(input=outputs, previous_response_id=first.id)
    assert second.status == "completed" and second.previous_response_id == first.id


@pytest.mark.parametrize("model", ["via-gemini", "via-anthropic", "via-openai"])
@pytest.mark.parametrize("stream", [False, True])
def test_gemini_with_tools(gateway, model, stream):
    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url))
    declared = types.FunctionDeclaration(
        name="get_weather", description="weather", parameters_json_schema=TOOL["parameters"]
    )
    calling = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])], tool_config=types.ToolConfig(function_calling_config=calling)
    )
    contents = [types.Content(role="user", parts=[types.Part.from_text(text="Weather in Paris?")])]
    if stream:
        replies = list(client.models.generate_content_stream(model=model, contents=contents, config=config))
    else:
        replies = [client.models.generate_content(model=model, contents=contents, config=config)]
    turns = [reply.candidates[0].content for reply in replies if reply.candidates and reply.candidates[0].content]
    parts = [part for turn in turns for part in turn.parts or [] if part.text or part.function_call]
    calls = [part.function_call for part in parts if part.function_call]
    assert calls and calls[0].name == "get_weather" and replies[-1].usage_metadata.prompt_token_count > 0
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "sunny"}))
        for call in calls
    ]
    contents += [types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
    config.tool_config = None
    final = client.models.generate_content(model=model, contents=contents, config=config)
    assert final.candidates[0].finish_reason == types.FinishReason.STOP


def test_tokens_are_counted_by_whom_speaks_the_dialect_and_estimated_elsewhere(gateway):
    counts = {}
    for model in ("via-anthropic", "via-openai"):
        body = {"model": model, "messages": [{"role": "user", "content": "how long is this?"}]}
        answer = gateway.post("/v1/messages/count_tokens", body)
        assert answer.status == 200, answer.body
        counts[model] = answer.json()["input_tokens"]
        assert (answer.headers.get("x-weir-degraded") == "estimated") == (model == "via-openai")
    assert all(count > 0 for count in counts.values())
    for model in ("via-gemini", "via-openai"):
        body = {"contents": [{"parts": [{"text": "how long is this?"}]}]}
        answer = gateway.post(f"/v1beta/models/{model}:countTokens", body)
        assert answer.status == 200, answer.body
        assert answer.json()["totalTokens"] > 0
        assert (answer.headers.get("x-weir-degraded") == "estimated") == (model == "via-openai")
    refused = gateway.post("/v1/messages/count_tokens", {"model": "nobody/knows", "messages": []})
    assert refused.status == 404
