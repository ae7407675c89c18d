"""Has Anthropic's own Python client read what weir writes for it.

Usage: pip install anthropic; cargo build -p weir-adapter-anthropic --example messages_stream;
python3 check.py TARGET/debug/examples/messages_stream
"""

import http.server
import json
import subprocess
import sys
import threading

import anthropic

USAGE = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42, "cost": 0.0001,
         "prompt_tokens_details": {"cached_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 4}}
GEMINI = {"format": "google-gemini-v1", "index": 0, "type": "reasoning.text"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}


def chunk(delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


STREAM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "th", "reasoning_details": [{**GEMINI, "text": "th"}]}),
    chunk({"reasoning_content": "ink", "reasoning_details": [{**GEMINI, "text": "ink"}]}),
    chunk({"reasoning_details": [{**GEMINI, "signature": "SIG"}]}),
    chunk({"content": "One "}), chunk({"content": "moment"}),
    chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\":"}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "\"Bern\"}"}}]}),
    chunk({}, "tool_calls"), chunk(usage=USAGE),
]
WHOLE = [{"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE, "choices": [
    {"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": "One moment", "reasoning_content": "think",
        "reasoning_details": [{**GEMINI, "text": "think", "signature": "SIG"}], "tool_calls": [CALL]}}]}]


def written(lines):
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    return subprocess.run([sys.argv[1]], input=text.encode(), capture_output=True, check=True).stdout


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = written(STREAM if sent.get("stream") else WHOLE)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if sent.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def check(message):
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text", "tool_use"], kinds
    thinking, text, tool = message.content
    assert thinking.thinking == "think" and thinking.signature.startswith("weir:"), thinking
    assert text.text == "One moment", text
    assert (tool.id, tool.name, tool.input) == ("call_1", "weather", {"city": "Bern"}), tool
    assert message.stop_reason == "tool_use", message.stop_reason
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (20, 10, 12), usage


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = anthropic.Anthropic(api_key="x", base_url=f"http://127.0.0.1:{server.server_port}")
    asked = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Weather?"}]}
    check(client.messages.create(**asked))
    with client.messages.stream(**asked) as stream:
        events = [event.type for event in stream]
        check(stream.get_final_message())
    assert "text" in events and "input_json" in events and "thinking" in events, events
    print(f"anthropic {anthropic.__version__}: whole and streamed answers read well")


main()
