"""Plain requests and replies of each dialect, which fuzzing begins with. The first byte says how the rest is meant."""

import json
from pathlib import Path

TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": False}


def chat(**more) -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": "hello"}], **more}


def sse(*events: dict | str, named: bool = False) -> str:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named and isinstance(event, dict) else ""
        lines.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(lines)


def piece(delta: dict, finish: str | None = None, **more) -> dict:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}}
TURNS = [
    {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": PIXEL}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1", "content": "2"}, {"role": "user", "content": "go on"},
]
CLAUDE = [
    {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "sig"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "2"}], "is_error": True}]},
]
SEEDS: dict[str, list] = {
    "frames": ["data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n: x\n\n", "event: a\ndata: 1\ndata: 2\n\n", "{\"a\":1}\n{\"b\":2}\r\n\n[3]", "\n\n\n", "\r\n\r\r\n", "data: \xff\n\n",
               "id: 1\nretry: 5\ndata: x\n\n", ":ping\n\n", "data", "data: [DONE]\n\n", "a\rb\n\rc\r\n\n"],
    "splices": [chat(), chat(stream=True), {}, {"a": None}, {"a": "\\\"", "b": [1, {"c": "}"}], "\u00e9": 1.5e3}, {"model": "m", "x": {"y": {}}}, "{\"a\" : 1 , \"b\":2}", "{\"a\":1,\"a\":2}", "[1]", "{", " {\"a\":\"\\u0041\"} "],
    "front_openai": [
        chat(), chat(stream=True, stream_options={"include_usage": True}), chat(messages=TURNS, tools=[TOOL], tool_choice="required", parallel_tool_calls=False),
        chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}), chat(max_tokens=5, temperature=0.2, top_p=1, stop=["a"], n=2, seed=1, logprobs=True, top_logprobs=2),
        chat(reasoning_effort="high", max_completion_tokens=9, user="u", metadata={"a": "b"}), chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}),
        chat(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}]}]),
        (1, {"model": "m", "prompt": "x", "max_tokens": 3}), (2, {"model": "m", "input": ["x", "y"], "dimensions": 8, "encoding_format": "base64"}), (3, {"model": "m", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}),
        (4, {"model": "m", "prompt": "a cat", "n": 1, "size": "1024x1024"}),
    ],
    "front_responses": [
        {"model": "m", "input": "x"}, {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": PIXEL}]}], "stream": True},
        {"model": "m", "instructions": "i", "input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "2"}], "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": None}]},
        {"model": "m", "input": [{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"}, {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t", "annotations": []}]}]},
        {"model": "m", "input": "x", "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}, "reasoning": {"effort": "low", "summary": "auto"}}, {"model": "m", "input": "x", "tool_choice": {"type": "function", "name": "f"}, "tools": [{"type": "web_search"}]},
        {"model": "m", "input": "x", "previous_response_id": "resp_1", "store": False}, {"model": "m", "input": "x", "max_output_tokens": 5, "temperature": 1, "top_p": 0.5}, {"model": "m", "input": [], "include": ["reasoning.encrypted_content"]},
        {"model": "m", "input": "x", "tools": [{"type": "custom", "name": "c"}, {"type": "namespace", "name": "n", "tools": []}]}, {"model": "m", "input": [{"type": "custom_tool_call", "call_id": "c", "name": "c", "input": "x"}]},
        (128, {"model": "m", "input": "x", "temperature": 0.5, "top_p": 0.5, "top_logprobs": 2, "service_tier": "flex", "user": "u", "metadata": {"a": "b"}, "prompt_cache_key": "k", "safety_identifier": "s"}), (144, {"model": "m", "input": "x", "reasoning": {"effort": "none"}, "max_output_tokens": 90}),
    ],
    "front_anthropic": [
        chat(max_tokens=9), chat(max_tokens=9, stream=True, system="s"), chat(max_tokens=9, messages=CLAUDE, thinking={"type": "enabled", "budget_tokens": 1024}), chat(max_tokens=9, system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]),
        chat(max_tokens=9, tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}}], tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True}), chat(max_tokens=9, stop_sequences=["a"], top_k=5, temperature=0.5, metadata={"user_id": "u"}),
        chat(max_tokens=9, messages=[{"role": "user", "content": [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]}]),
        chat(max_tokens=9, messages=[{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}]), (1, chat()), chat(max_tokens=9, output_config={"format": {"type": "json_schema", "schema": SCHEMA}}), chat(max_tokens=9, tools=[{"type": "web_search_20250305", "name": "web_search"}]),
    ],
    "front_gemini": [
        {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}, (64, {"contents": [{"parts": [{"text": "x"}]}], "systemInstruction": {"parts": [{"text": "s"}]}}),
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}, {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/y"}}]}]},
        {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}]}, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": 2}}}]}], "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]},
        {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"temperature": 0.5, "topP": 1, "topK": 4, "maxOutputTokens": 9, "stopSequences": ["a"], "candidateCount": 2, "seed": 1, "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}}}},
        {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True}}}, {"contents": [{"parts": [{"text": "x"}]}], "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}},
        (1, {"contents": [{"parts": [{"text": "x"}]}]}), (2, {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 8}),
        (1, {"generateContentRequest": {"contents": [{"parts": [{"text": "x"}]}]}}), (1, {"generateContentRequest": 5}), (2, {"requests": [{"content": {"parts": [{"text": "x"}]}}, 5]}), {"contents": [{"parts": [{"text": "x"}]}], "generation_config": {"max_output_tokens": 900}}, {"contents": [{"role": "model", "parts": [{"text": "h", "thought": True}, {"executableCode": {"language": "PYTHON", "code": "1"}}]}]},
        {"contents": [{"parts": [{"text": "x"}]}], "tools": [{"google_search": {}}], "safetySettings": [{"category": "A", "threshold": "B"}]},
    ],
    "decoder_openai": [
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop", "logprobs": None}], "usage": USAGE},
        (2, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "reasoning_content": "r", "tool_calls": [CALL]}, "finish_reason": "tool_calls"}]}),
        (1, sse(piece({"role": "assistant", "content": ""}), piece({"content": "hi"}), piece({}, "stop"), {**piece({}), "choices": [], "usage": USAGE}, "[DONE]")),
        (5, sse(piece({"role": "assistant", "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}), piece({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]}), piece({}, "tool_calls"), "[DONE]")),
        (3, sse(piece({"reasoning_content": "h"}), piece({"content": "x"}, "length"), "[DONE]")), (1, sse({"error": {"message": "m", "type": "t", "code": "c"}})), {"error": {"message": "m", "code": 429}}, (9, {"choices": [{"message": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}, {"type": "text", "text": "x"}]}, "finish_reason": "model_length"}]}),
        (7, sse(piece({"content": "a", "refusal": "no"}, "content_filter"))), (224, {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}], "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}}), {"object": "list", "data": [{"id": "m", "object": "model"}]},
        (226, {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]}), (227, sse({"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": "x", "finish_reason": "length"}]}, "[DONE]")),
        (2, {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "hi", "annotations": []}]}], "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}),
        (3, sse({"type": "response.created", "response": {"id": "r", "status": "in_progress"}}, {"type": "response.output_text.delta", "delta": "hi"}, {"type": "response.completed", "response": {"id": "r", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 4}}}, named=True)), (3, sse({"type": "response.failed", "response": {"error": {"code": "c", "message": "m"}}}, named=True)), (1, sse(piece({"audio": {"id": "a", "data": "AAAA", "transcript": "t"}}), "[DONE]", "[DONE]")), {"choices": []},
    ],
    "decoder_anthropic": [
        {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 2}},
        (4, {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "thinking", "thinking": "h", "signature": "s"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}], "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4}}),
        (1, sse({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 1}}}, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, {"type": "ping"},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}, {"type": "content_block_stop", "index": 0}, {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 4}}, {"type": "message_stop"}, named=True)),
        (3, sse({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}}, {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}, {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}}, {"type": "content_block_stop", "index": 0}, {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
                {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":1}"}}, {"type": "content_block_stop", "index": 1}, {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}}, {"type": "message_stop"}, named=True)),
        (1, sse({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, named=True)), (228, {"input_tokens": 7}), {"data": [{"type": "model", "id": "m"}], "has_more": False}, {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}, (5, "event: ping\ndata: {}\n\n"), {"content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]}, {"content": []}, (7, sse({"type": "message_stop"})), {"type": "message", "stop_reason": "refusal", "content": [{"type": "redacted_thinking", "data": "x"}]},
    ],
    "decoder_gemini": [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5, "cachedContentTokenCount": 1, "totalTokenCount": 12}, "modelVersion": "m", "responseId": "r"},
        (2, {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}]}, "finishReason": "STOP"}]}), (1, sse({"candidates": [{"content": {"parts": [{"text": "h", "thought": True}]}}]}, {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "MAX_TOKENS"}], "usageMetadata": {"promptTokenCount": 3}})),
        {"promptFeedback": {"blockReason": "SAFETY"}}, (224, {"embedding": {"values": [0.1]}}), (224, {"embeddings": [{"values": [0.1]}]}), (228, {"totalTokens": 7}), {"models": [{"name": "models/m", "supportedGenerationMethods": ["generateContent"]}]}, {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"}]}}, (5, sse({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "g", "args": {}}}]}, "finishReason": "STOP"}]})),
        (3, {"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"executableCode": {"language": "PYTHON", "code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}]}, "finishReason": "MALFORMED_FUNCTION_CALL"}]}), {"candidates": []}, (1, "data: {}\n\n"),
        {"candidates": [{"finishReason": "SAFETY", "groundingMetadata": {"webSearchQueries": ["q"]}, "citationMetadata": {}}]}, (6, {"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 1}, {"content": {"parts": [{"text": "b"}]}, "index": 0}]}),
    ],
    "decoder_cohere": [
        {"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}, "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}, "tokens": {"input_tokens": 9, "output_tokens": 4}}},
        {"id": "c", "finish_reason": "TOOL_CALL", "message": {"role": "assistant", "tool_plan": "p", "tool_calls": [CALL]}}, (1, sse({"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}, {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}, {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hi"}}}},
            {"type": "content-end", "index": 0}, {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 3, "output_tokens": 4}}}}, named=True)),
        (3, sse({"type": "message-start", "id": "c"}, {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "p"}}}, {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": CALL}}}, {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}}, {"type": "tool-call-end", "index": 0}, {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}, named=True)),
        {"message": "too many"}, {"finish_reason": "ERROR"}, (5, sse({"type": "message-end", "delta": {"error": "e", "finish_reason": "ERROR"}})), {"id": "e", "embeddings": {"float": [[0.1]]}}, (1, sse({"type": "debug"})), {"message": {"content": []}}, {"message": {"content": [{"type": "thinking", "thinking": "h"}]}, "finish_reason": "MAX_TOKENS"},
        (225, {"results": [{"index": 0, "relevance_score": 0.5}], "meta": {"billed_units": {"search_units": 1}}}), (224, {"embeddings": {"float": [[0.1]], "base64": ["AAAA"]}, "meta": {"billed_units": {"input_tokens": 2}}}), {"models": [{"name": "m"}, {"name": 5}]},
    ],
    "decoder_ollama": [
        {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "hi"}, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4, "total_duration": 5},
        {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "h", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, "done": True}, (1, '{"model":"m","message":{"content":"a"},"done":false}\n{"model":"m","message":{"content":"b"},"done":true,"done_reason":"length","eval_count":2}\n'),
        (3, '{"message":{"tool_calls":[{"function":{"name":"f","arguments":{}}}]}}\n{"done":true}\n'), {"error": "m"}, (5, '{"error":"m"}\n'), (1, "\n\n{}\n"), {"embeddings": [[0.1]], "prompt_eval_count": 1}, (7, '{"message":{"thinking":"h"},"done":false}\n'), {"done": True}, {"message": None},
    ],
    "decoder_bedrock": [
        {"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn", "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7, "cacheReadInputTokens": 1}},
        {"output": {"message": {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "h", "signature": "s"}}}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}}]}}, "stopReason": "tool_use"},
        (1, 'messageStart {"role":"assistant"}\ncontentBlockDelta {"delta":{"text":"a"},"contentBlockIndex":0}\ncontentBlockStop {"contentBlockIndex":0}\nmessageStop {"stopReason":"end_turn"}\nmetadata {"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":1}}'),
        (3, 'messageStart {"role":"assistant"}\ncontentBlockStart {"start":{"toolUse":{"toolUseId":"t","name":"f"}},"contentBlockIndex":0}\ncontentBlockDelta {"delta":{"toolUse":{"input":"{\\"a\\":"}},"contentBlockIndex":0}\ncontentBlockDelta {"delta":{"toolUse":{"input":"1}"}},"contentBlockIndex":0}\nmessageStop {"stopReason":"tool_use"}'),
        (5, 'messageStart {"role":"assistant"}\ncontentBlockDelta {"delta":{"reasoningContent":{"text":"h"}},"contentBlockIndex":0}\ncontentBlockDelta {"delta":{"reasoningContent":{"signature":"s"}},"contentBlockIndex":0}\nthrottlingException {"message":"slow"}'),
        (1, 'contentBlockDelta {"delta":{"reasoningContent":{"redactedContent":"AAAA"}},"contentBlockIndex":7}\nmessageStop {"stopReason":"guardrail_intervened"}'), (7, "modelStreamErrorException {}"), (1, "contentBlockDelta {"), (1, "unknown {\"p\":\"abc\"}\n\n"),
        {"message": "m"}, {"__type": "com.amazon#ThrottlingException"}, {"output": None, "stopReason": "max_tokens"}, {"output": {"message": {"content": [{"text": 1}, {"image": {}}]}}},
    ],
}


def write(target: str, folder: Path) -> None:
    """Writes a target's seeds, a file each."""
    for number, seed in enumerate(SEEDS.get(target, [])):
        choice, body = seed if isinstance(seed, tuple) else (0, seed)
        if target == "front_gemini":
            # As weir writes what stands in the address.
            body = {"model": "m", **({"stream": True} if number % 2 else {}), **body}
        text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        (folder / f"seed-{number:02}").write_bytes(bytes([choice]) + text.encode("latin-1" if "\xff" in text else "utf-8"))
