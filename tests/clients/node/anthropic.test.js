// Anthropic's own Node SDK before OpenAI and Gemini.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { startWeirBeforeVendors } from "./weir.js";

let weir, client;
const vendors = ["openai", "gemini"];
const user = (content) => [{ role: "user", content }];
const tools = [
  {
    name: "get_weather",
    description: "Tells the weather of a city",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];

before(async () => {
  weir = await startWeirBeforeVendors();
  client = new Anthropic({ baseURL: weir.url, apiKey: "any", maxRetries: 0 });
});
after(() => weir?.stop());

const request = (vendor, messages, more) => ({ model: `via-${vendor}`, max_tokens: 500, messages, ...more });

async function served(vendor, calls) {
  for (const row of await weir.calls(calls)) {
    assert.deepEqual([row.provider, row.dialect, row.end], [vendor, "anthropic", "complete"]);
  }
}

test("messages, whole and streamed", async () => {
  for (const vendor of vendors) {
    const whole = await client.messages.create(request(vendor, user("hello there")));
    assert.match(whole.content[0].text, /^You said: hello there /);
    assert.equal(whole.stop_reason, "end_turn");
    const stream = client.messages.stream(request(vendor, user("hello there")));
    const pieces = [];
    stream.on("text", (piece) => pieces.push(piece));
    const final = await stream.finalMessage();
    assert.ok(pieces.length > 2);
    assert.equal(pieces.join(""), whole.content[0].text);
    assert.deepEqual(final.content, whole.content);
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
    await served(vendor, 2);
  }
});

test("tools, streamed and back", async () => {
  for (const vendor of vendors) {
    const messages = user('Weather in Oslo? [[call get_weather {"city": "Oslo"}]]');
    const first = await client.messages.stream(request(vendor, messages, { tools })).finalMessage();
    const block = first.content.find((found) => found.type === "tool_use");
    assert.deepEqual([first.stop_reason, block.name, block.input], ["tool_use", "get_weather", { city: "Oslo" }]);
    messages.push({ role: "assistant", content: first.content });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: block.id, content: "sunny in Oslo" }] });
    const second = await client.messages.create(request(vendor, messages, { tools }));
    assert.equal(second.content[0].text, "The tools say: sunny in Oslo");
    await served(vendor, 2);
  }
});

test("tokens are counted", async () => {
  for (const vendor of vendors) {
    const counted = await client.messages.countTokens({ model: `via-${vendor}`, messages: user("how long is this?") });
    assert.ok(counted.input_tokens > 0);
  }
});

test("an unknown model is NotFoundError", async () => {
  const asked = client.messages.create(request("nobody", user("hello")));
  await assert.rejects(asked, (error) => error instanceof Anthropic.NotFoundError && error.error.error.type === "not_found_error");
});
