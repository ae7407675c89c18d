// Codex CLI, which speaks the Responses API, before Anthropic and Gemini.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWeirBeforeVendors } from "../node/weir.js";
import { WRITTEN, call, checkTask, run, workplace } from "./agent.js";

let weir;
before(async () => {
  weir = await startWeirBeforeVendors();
});
after(() => weir?.stop());

const config = (url, model) => `
model = "${model}"
model_provider = "weir"
[model_providers.weir]
name = "weir"
base_url = "${url}/v1"
env_key = "WEIR_KEY"
wire_api = "responses"
`;

async function task(model, provider, write, done) {
  const place = workplace({ ".codex/config.toml": config(weir.url, model) });
  const prompt = `Write the notes, then read them. ${write} ${call("exec_command", { cmd: "cat notes.txt" })}`;
  const args = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt];
  const events = (await run("codex", args, place, { WEIR_KEY: "any" })).trim().split("\n").map((line) => JSON.parse(line));
  const items = events.filter((event) => event.type === "item.completed").map((event) => event.item);
  const worked = items.filter((item) => item.status).map((item) => [item.type, item.status]);
  assert.deepEqual(worked, [[done, "completed"], ["command_execution", "completed"]]);
  const said = items.findLast((item) => item.type === "agent_message").text;
  assert.ok(said.startsWith("The tools say: ") && said.includes(WRITTEN), said);
  const { usage } = events.findLast((event) => event.type === "turn.completed");
  assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0);
  checkTask(place, await weir.calls(3), provider, "openai-responses");
  place.remove();
}

test("codex before anthropic", () =>
  task("via-anthropic", "anthropic", call("exec_command", { cmd: `echo '${WRITTEN}' > notes.txt` }), "command_execution"));

// Codex knows this name: it asks for reasoning, and patches files by a tool whose input is no JSON.
test("codex before gemini, as one of OpenAI's models", () => {
  const patch = `*** Begin Patch\n*** Add File: notes.txt\n+${WRITTEN}\n*** End Patch\n`;
  return task("gpt-5.5", "gemini", call("apply_patch", { input: patch }), "file_change");
});
