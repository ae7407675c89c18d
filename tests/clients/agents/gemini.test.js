// Gemini CLI, which speaks Gemini's API, before Anthropic and OpenAI.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWeirBeforeVendors } from "../node/weir.js";
import { WRITTEN, call, checkTask, run, workplace } from "./agent.js";

let weir;
before(async () => {
  weir = await startWeirBeforeVendors();
});
after(() => weir?.stop());

const settings = { security: { auth: { selectedType: "gemini-api-key" } }, privacy: { usageStatisticsEnabled: false } };

async function task(model, provider) {
  const place = workplace({ ".gemini/settings.json": JSON.stringify(settings) });
  const write = call("write_file", { file_path: place.notes, content: WRITTEN });
  const prompt = `Write the notes, then read them. ${write} ${call("read_file", { file_path: place.notes })}`;
  const args = ["-m", model, "--yolo", "--output-format", "json", "-p", prompt];
  const printed = await run("gemini", args, place, {
    GEMINI_API_KEY: "any",
    GOOGLE_GEMINI_BASE_URL: weir.url,
    GEMINI_CLI_TRUST_WORKSPACE: "true",
  });
  const done = JSON.parse(printed);
  assert.ok(done.response.startsWith("The tools say: ") && done.response.includes(WRITTEN), done.response);
  assert.deepEqual([done.stats.tools.totalCalls, done.stats.tools.totalSuccess], [2, 2]);
  const [{ tokens }] = Object.values(done.stats.models);
  assert.ok(tokens.prompt > 0 && tokens.candidates > 0);
  checkTask(place, await weir.calls(3), provider, "gemini");
  place.remove();
}

test("gemini-cli before anthropic", () => task("via-anthropic", "anthropic"));
// Gemini CLI knows this name: it asks for thoughts.
test("gemini-cli before openai, as one of Google's models", () => task("gemini-2.5-pro", "openai"));
