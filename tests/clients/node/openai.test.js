// OpenAI's own Node SDK against a gateway with nothing configured.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { startWeir } from "./weir.js";

let weir, client;
const user = (content) => [{ role: "user", content }];
const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

before(async () => {
  weir = await startWeir();
  client = new OpenAI({ baseURL: `${weir.url}/v1`, apiKey: "any", maxRetries: 0 });
});
after(() => weir?.stop());

test("chat, whole", async () => {
  const reply = await client.chat.completions.create({ model: "demo/echo", messages: user("naïve 🚣 hello") });
  assert.equal(reply.choices[0].message.content, "naïve 🚣 hello");
  assert.equal(reply.choices[0].finish_reason, "stop");
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
});

test("chat, without /v1 in the base URL", async () => {
  const bare = new OpenAI({ baseURL: weir.url, apiKey: "any", maxRetries: 0 });
  const reply = await bare.chat.completions.create({ model: "demo/echo", messages: user("bare") });
  assert.equal(reply.choices[0].message.content, "bare");
});

test("chat, streamed", async () => {
  const stream = await client.chat.completions.create({ model: "demo/echo", messages: user("one two three"), stream: true });
  let text = "";
  for await (const chunk of stream) {
    assert.equal(chunk.choices.length, 1, "the usage chunk was not asked for");
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(text, "one two three");
});

test("chat, streamed with usage", async () => {
  const stream = await client.chat.completions.create({
    model: "demo/echo",
    messages: user("count me"),
    stream: true,
    stream_options: { include_usage: true },
  });
  let last;
  for await (const chunk of stream) last = chunk;
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.prompt_tokens > 0 && last.usage.completion_tokens > 0);
  assert.ok(last.usage.cost > 0, "what the call cost stands in the usage chunk");
});

test("tools, whole and back", async () => {
  const messages = user("weather in Oslo?");
  const first = await client.chat.completions.create({ model: "demo/tools", messages, tools: [tool] });
  const [call] = first.choices[0].message.tool_calls;
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  assert.equal(call.function.name, "get_weather");
  assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  const result = { role: "tool", tool_call_id: call.id, content: "sunny, 21 °C" };
  const second = await client.chat.completions.create({
    model: "demo/tools",
    messages: [...messages, first.choices[0].message, result],
    tools: [tool],
  });
  assert.match(second.choices[0].message.content, /sunny, 21 °C/);
});

test("tools, streamed and put together by the SDK", async () => {
  const runner = client.chat.completions.stream({ model: "demo/tools", messages: user("weather?"), tools: [tool] });
  const final = await runner.finalChatCompletion();
  assert.equal(typeof JSON.parse(final.choices[0].message.tool_calls[0].function.arguments).city, "string");
});

test("parsed structured output", async () => {
  const Trip = z.object({ city: z.string(), nights: z.number().int(), guests: z.array(z.string()) });
  const reply = await client.chat.completions.parse({
    model: "demo/echo",
    messages: user("plan a trip"),
    response_format: zodResponseFormat(Trip, "trip"),
  });
  const { parsed } = reply.choices[0].message;
  assert.equal(typeof parsed.city, "string");
  assert.ok(Number.isInteger(parsed.nights) && Array.isArray(parsed.guests));
});

test("embeddings, as the SDK asks for them and as plain numbers", async () => {
  const silent = await client.embeddings.create({ model: "demo/embed", input: "one" });
  const plain = await client.embeddings.create({ model: "demo/embed", input: ["one"], encoding_format: "float" });
  assert.equal(plain.data[0].embedding.length, 256);
  assert.equal(silent.data[0].embedding.length, 256);
  plain.data[0].embedding.forEach((value, at) => assert.ok(Math.abs(value - silent.data[0].embedding[at]) < 1e-6));
});

test("models are listed and found", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  for (const name of ["demo/echo", "demo/tools", "demo/embed"]) assert.ok(names.includes(name), name);
  assert.equal((await client.models.retrieve("demo/echo")).id, "demo/echo");
});

test("an unknown model is NotFoundError and names the nearest", async () => {
  const asked = client.chat.completions.create({ model: "demo/ehco", messages: user("hi") });
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return /demo\/echo/.test(error.message);
  });
});

test("a wrong body is BadRequestError", async () => {
  const asked = client.chat.completions.create({ model: "demo/echo", messages: "not a list" });
  await assert.rejects(asked, OpenAI.BadRequestError);
});

test("a client that leaves in mid-stream leaves a gateway that answers", async () => {
  const stream = await client.chat.completions.create({ model: "demo/story", messages: user("long"), stream: true });
  for await (const _ of stream) break;
  const { data, response } = await client.chat.completions.create({ model: "demo/echo", messages: user("still there") }).withResponse();
  assert.equal(data.choices[0].message.content, "still there");
  assert.match(response.headers.get("x-weir-cost"), /^0\.0\d+$/);
});
