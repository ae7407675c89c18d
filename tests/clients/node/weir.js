// Starts the real `weir` for a test, in a folder of its own, on a free port, and stops it again.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, openSync, closeSync, rmSync } from "node:fs";
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

/** A gateway with nothing configured but these variables: its `url`, and `stop()`. */
export async function startWeir(variables = {}) {
  const folder = mkdtempSync(join(tmpdir(), "weir-node-"));
  const port = await freePort();
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
