// opencode, which speaks chat completions, before Anthropic and Gemini.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWeirBeforeVendors } from "../node/weir.js";
import { WRITTEN, call, checkTask, run, workplace } from "./agent.js";

let weir;
before(async () => {
  weir = await startWeirBeforeVendors();
});
after(() => weir?.stop());

const config = (url, model) => ({
  autoupdate: false,
  share: "disabled",
  provider: {
    weir: {
      npm: "@ai-sdk/openai-compatible",
      name: "weir",
      options: { baseURL: `${url}/v1`, apiKey: "any" },
      models: { [model]: { name: model } },
    },
  },
});

async function task(vendor) {
  const model = `via-${vendor}`;
  const place = workplace({ "work/opencode.json": JSON.stringify(config(weir.url, model)) });
  const write = call("write", { filePath: place.notes, content: WRITTEN });
  const prompt = `Write the notes, then read them. ${write} ${call("read", { filePath: place.notes })}`;
  const args = ["run", "--format", "json", "-m", `weir/${model}`];
  const printed = await run("opencode", args, place, { OPENCODE_DISABLE_MODELS_FETCH: "1" }, prompt);
  const events = printed.trim().split("\n");
  const parts = events.map((line) => JSON.parse(line).part).filter(Boolean);
  const tools = parts.filter((part) => part.type === "tool").map((part) => [part.tool, part.state.status]);
  assert.deepEqual(tools, [["write", "completed"], ["read", "completed"]]);
  const said = parts.findLast((part) => part.type === "text").text;
  assert.ok(said.startsWith("The tools say: ") && said.includes(WRITTEN), said);
  // The fourth call asks for a title.
  checkTask(place, await weir.calls(4), vendor, "openai");
  place.remove();
}

test("opencode before anthropic", () => task("anthropic"));
test("opencode before gemini", () => task("gemini"));
