// Claude Code, which speaks Anthropic's Messages API, before OpenAI and Gemini.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWeirBeforeVendors } from "../node/weir.js";
import { WRITTEN, call, checkTask, run, workplace } from "./agent.js";

let weir;
before(async () => {
  weir = await startWeirBeforeVendors();
});
after(() => weir?.stop());

async function task(model, provider) {
  const place = workplace();
  const write = call("Write", { file_path: place.notes, content: WRITTEN });
  const prompt = `Write the notes, then read them. ${write} ${call("Read", { file_path: place.notes })}`;
  const printed = await run("claude", ["-p", prompt, "--output-format", "json", "--allowedTools", "Write,Read"], place, {
    ANTHROPIC_BASE_URL: weir.url,
    ANTHROPIC_AUTH_TOKEN: "any",
    ANTHROPIC_MODEL: model,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  });
  const done = JSON.parse(printed);
  assert.deepEqual([done.is_error, done.num_turns, done.permission_denials], [false, 3, []]);
  assert.ok(done.result.startsWith("The tools say: ") && done.result.includes(WRITTEN), done.result);
  assert.ok(done.usage.output_tokens > 0);
  checkTask(place, await weir.calls(3), provider, "anthropic");
  place.remove();
}

test("claude before openai", () => task("via-openai", "openai"));
// Claude Code knows this name: it asks for thinking.
test("claude before gemini, as one of Anthropic's models", () => task("claude-sonnet-4-5", "gemini"));
