// Starts the real `weir` for a test, in a folder of its own, on a free port, and stops it again.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, openSync, closeSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const binary = process.env.WEIR_BIN ?? join(root, "target/release/weir");

function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer().on("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

/** A gateway with nothing configured but these variables and this text of a weir.yaml: its `url`, and `stop()`. */
export async function startWeir(variables = {}, config = undefined) {
  const folder = mkdtempSync(join(tmpdir(), "weir-node-"));
  const port = await freePort();
  if (config) writeFileSync(join(folder, "weir.yaml"), config);
  const log = openSync(join(folder, "weir.log"), "w");
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, WEIR_LISTEN: `127.0.0.1:${port}`, ...variables };
  const child = spawn(binary, [], { cwd: folder, env, stdio: ["ignore", log, log] });
  const ended = new Promise((done) => child.once("exit", done).once("error", done));
  const url = `http://127.0.0.1:${port}`;
  const output = () => readFileSync(join(folder, "weir.log"), "utf8");
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${url}/health/ready`).then((answer) => answer.ok, () => false);
    if (ready) break;
    if (child.exitCode !== null || tries > 300) throw new Error(`weir did not start:\n${output()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  const stop = async () => {
    child.kill("SIGTERM");
    const code = await ended;
    closeSync(log);
    if (code !== 0) throw new Error(`weir ended with ${code}:\n${output()}`);
    rmSync(folder, { recursive: true });
  };
  return { url, stop };
}

const PROVIDERS = (port) => `
providers:
  anthropic: { base_url: "http://127.0.0.1:${port}", api_key: any }
  gemini: { base_url: "http://127.0.0.1:${port}", api_key: any }
  openai: { base_url: "http://127.0.0.1:${port}/v1", api_key: any }
models:
  via-anthropic: anthropic/claude-sonnet-4-5
  via-gemini: gemini/gemini-2.5-flash
  via-openai: openai/gpt-4o-mini
  embed-gemini: gemini/gemini-embedding-001
  gpt-5.5: gemini/gemini-2.5-flash
  claude-sonnet-4-5: gemini/gemini-2.5-flash
  gemini-2.5-pro: openai/gpt-4o-mini
  image-openai: openai/gpt-image-1
  speech-openai: openai/gpt-4o-mini-tts
  transcribe-openai: openai/gpt-4o-transcribe
`;

/** The same before simulated providers of three vendors; `calls(n)` gives the n calls made since it was asked last. */
export async function startWeirBeforeVendors() {
  const port = await freePort();
  const simulator = spawn(binary, ["simulate", "all", "--listen", `127.0.0.1:${port}`], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: "ignore",
  });
  const weir = await startWeir({}, PROVIDERS(port));
  const stop = async () => {
    simulator.kill("SIGTERM");
    await weir.stop();
  };
  let since = new Date();
  const calls = async (wanted) => {
    for (let tries = 0; ; tries++) {
      const { data } = await (await fetch(`${weir.url}/admin/v1/requests?limit=50`)).json();
      const made = data.filter((row) => new Date(row.started_at) >= since);
      if (made.length >= wanted || tries > 200) {
        if (made.length !== wanted) throw new Error(`${made.length} calls, not ${wanted}`);
        since = new Date();
        return made;
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  return { url: weir.url, stop, calls };
}

/** All that a stream yields. */
export async function collected(stream) {
  const found = [];
  for await (const piece of stream) found.push(piece);
  return found;
}
