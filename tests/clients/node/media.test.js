// Images and sound by OpenAI's Node SDK.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { collected, startWeirBeforeVendors } from "./weir.js";

let weir, client;
before(async () => {
  weir = await startWeirBeforeVendors();
  client = new OpenAI({ baseURL: `${weir.url}/v1`, apiKey: "any", maxRetries: 0 });
});
after(() => weir?.stop());

const png = () => toFile(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(100)]), "a.png", { type: "image/png" });

/** A WAV file of silence. */
function sound(seconds) {
  const data = Buffer.alloc(32_000 * seconds);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, 16_000, 4], [28, 32_000, 4], [32, 2, 2], [34, 16, 2]].forEach(([at, value, size]) =>
    head.writeUIntLE(value, at, size),
  );
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  return toFile(Buffer.concat([head, data]), "a.wav", { type: "audio/wav" });
}

async function served(operation) {
  const [row] = await weir.calls(1);
  assert.deepEqual([row.operation, row.provider, row.status, row.end], [operation, "openai", 200, "complete"]);
}

test("images, generated, streamed and edited", async () => {
  const made = await client.images.generate({ model: "image-openai", prompt: "a weir", size: "1024x1024", quality: "low" });
  assert.ok(Buffer.from(made.data[0].b64_json, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
  assert.ok(made.usage.output_tokens > 0);
  await served("images");
  const stream = await client.images.generate({ model: "image-openai", prompt: "a weir", stream: true, partial_images: 2 });
  const types = (await collected(stream)).map((event) => event.type);
  assert.deepEqual(types, ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"]);
  await served("images");
  const edited = await client.images.edit({ model: "image-openai", prompt: "more water", image: [await png(), await png()] });
  assert.ok(edited.data[0].b64_json && edited.usage.input_tokens_details.image_tokens > 0);
  await served("image_edits");
});

test("speech", async () => {
  const spoken = await client.audio.speech.create({ model: "speech-openai", input: "naïve water", voice: "alloy" });
  assert.equal(spoken.headers.get("content-type"), "audio/mpeg");
  assert.ok(Buffer.from(await spoken.arrayBuffer()).length > 100);
  await served("speech");
});

test("transcriptions, whole and streamed", async () => {
  const whole = await client.audio.transcriptions.create({ model: "transcribe-openai", file: await sound(3) });
  assert.match(whole.text, /river/);
  await served("transcriptions");
  const stream = await client.audio.transcriptions.create({ model: "transcribe-openai", file: await sound(3), stream: true });
  const events = await collected(stream);
  const text = events.filter((event) => event.type === "transcript.text.delta").map((event) => event.delta);
  assert.equal(text.join(""), whole.text);
  assert.equal(events.at(-1).text, whole.text);
  await served("transcriptions");
});
