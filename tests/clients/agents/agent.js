// Runs a coding agent as its users do, in a folder and a home of its own, through a task that the simulated model dictates.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const programs = join(dirname(fileURLToPath(import.meta.url)), "node_modules/.bin");
/** What the agent has to write into its file, and reads back. */
export const WRITTEN = 'naïve 🚣 "weir"';

/** `[[call NAME {ARGUMENTS}]]`: the simulated model makes one such call a turn. */
export const call = (name, input) => `[[call ${name} ${JSON.stringify(input)}]]`;

/** A folder to work in, `notes` in it, and a home; `files` are written beforehand, by their path below it. */
export function workplace(files = {}) {
  const folder = mkdtempSync(join(tmpdir(), "weir-agent-"));
  const work = join(folder, "work");
  mkdirSync(work);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return { home: folder, work, notes: join(work, "notes.txt"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What the agent prints; it fails unless it ends with 0 within two minutes. Its environment is these variables. */
export function run(program, args, place, variables, input = "") {
  const env = { PATH: process.env.PATH, HOME: place.home, LANG: "C.UTF-8", TERM: "dumb", ...variables };
  return new Promise((done, failed) => {
    const options = { cwd: place.work, env, timeout: 120_000, maxBuffer: 1 << 26 };
    const child = execFile(join(programs, program), args, options, (cause, out, err) => {
      if (cause) failed(new Error(`${program} ended with ${cause.code ?? cause.signal}:\n${out}\n${err}`));
      else done(out);
    });
    child.stdin.end(input);
  });
}

/** The file was written, and each of these calls streamed from that provider, in that dialect, and cost something. */
export function checkTask(place, rows, provider, dialect) {
  assert.equal(readFileSync(place.notes, "utf8").trimEnd(), WRITTEN);
  for (const row of rows) {
    const { stream, status, end, usage_source } = row;
    const expected = { provider, dialect, stream: true, status: 200, end: "complete", usage_source: "reported" };
    assert.deepEqual({ provider: row.provider, dialect: row.dialect, stream, status, end, usage_source }, expected);
    assert.ok(Number(row.cost_usd) > 0);
  }
}
