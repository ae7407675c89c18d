// Vercel's AI SDK: text, streams, tools, objects and embeddings, by its providers for three APIs, before other vendors.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { collected, startWeirBeforeVendors } from "./weir.js";

globalThis.AI_SDK_LOG_WARNINGS = false;
let weir, models;
const asked = 'Weather in Oslo? [[call get_weather {"city": "Oslo"}]]';
const told = "The tools say: sunny in Oslo";
const tools = {
  get_weather: tool({
    description: "Tells the weather of a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};
const agent = (model) => ({ model, prompt: asked, tools, stopWhen: stepCountIs(5), maxRetries: 0 });

before(async () => {
  weir = await startWeirBeforeVendors();
  const base = { baseURL: `${weir.url}/v1`, apiKey: "any" };
  const openai = createOpenAI(base);
  const compatible = createOpenAICompatible({ ...base, name: "weir", includeUsage: true, supportsStructuredOutputs: true });
  const anthropic = createAnthropic(base);
  models = [
    ["anthropic", openai("via-anthropic")],
    ["gemini", openai("via-gemini")],
    ["anthropic", openai.chat("via-anthropic")],
    ["gemini", compatible("via-gemini")],
    ["openai", anthropic("via-openai")],
    ["gemini", anthropic("via-gemini")],
  ];
  weir.embedding = openai.textEmbeddingModel("embed-gemini");
});
after(() => weir?.stop());

async function served(provider, calls) {
  for (const row of await weir.calls(calls)) {
    assert.deepEqual([row.provider, row.status, row.end], [provider, 200, "complete"]);
    assert.ok(Number(row.cost_usd) > 0);
  }
}

async function forEachModel(check) {
  for (const [provider, model] of models) {
    try {
      await served(provider, await check(model));
    } catch (cause) {
      throw new Error(`${model.provider} before ${provider}: ${cause.message}`, { cause });
    }
  }
}

test("AI SDK: text, whole and streamed", () =>
  forEachModel(async (model) => {
    const whole = await generateText({ model, prompt: "hello there", maxRetries: 0 });
    assert.match(whole.text, /^You said: hello there /);
    assert.equal(whole.finishReason, "stop");
    const stream = streamText({ model, prompt: "hello there", maxRetries: 0, onError: () => {} });
    const pieces = await collected(stream.textStream);
    assert.ok(pieces.length > 2);
    assert.equal(pieces.join(""), whole.text);
    const usage = await stream.usage;
    assert.ok(usage.inputTokens > 0 && usage.outputTokens === whole.usage.outputTokens);
    return 2;
  }));

test("AI SDK: an agent with a tool, whole and streamed", () =>
  forEachModel(async (model) => {
    const whole = await generateText(agent(model));
    assert.deepEqual([whole.text, whole.steps.length], [told, 2]);
    assert.deepEqual(whole.steps[0].toolCalls[0].input, { city: "Oslo" });
    const stream = streamText({ ...agent(model), onError: () => {} });
    const pieces = await collected(stream.textStream);
    assert.equal(pieces.join(""), told);
    assert.equal((await stream.steps)[0].toolResults[0].output, "sunny in Oslo");
    return 4;
  }));

test("AI SDK: typed output", () =>
  forEachModel(async (model) => {
    const schema = z.object({ city: z.string(), nights: z.number().int() });
    const { output } = await generateText({ model, prompt: "plan a trip", output: Output.object({ schema }), maxRetries: 0 });
    assert.ok(typeof output.city === "string" && Number.isInteger(output.nights));
    return 1;
  }));

test("AI SDK: embeddings", async () => {
  const { embeddings } = await embedMany({ model: weir.embedding, values: ["one", "two"], maxRetries: 0 });
  assert.equal(embeddings[0].length, embeddings[1].length);
  assert.notDeepEqual(embeddings[0], embeddings[1]);
  const [row] = await weir.calls(1);
  assert.equal(row.provider, "gemini");
});
