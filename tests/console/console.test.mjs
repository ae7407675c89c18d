// The console as a person sees it, in headless Chromium.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { startWeir } from "../clients/node/weir.js";

const MASTER = "console-master-key-0123456789";
const PAGES = ["overview", "providers", "models", "requests", "spend", "keys", "teams", "budgets", "routes", "cache", "playground", "errors", "alerts", "audit", "config"];
const shots = join(dirname(fileURLToPath(import.meta.url)), "../.cache/console");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let weir, browser;

async function call(key, body, headers = {}) {
  return fetch(`${weir.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
    body: JSON.stringify({ messages: [{ role: "user", content: "hello" }], ...body }),
  });
}

/** A tab that is signed in; `complaints` is what its console said, `foreign` which other hosts it asked. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  const seen = { complaints: [], foreign: [], asked: [] };
  page.on("console", (message) => message.type() === "error" && seen.complaints.push(message.text()));
  page.on("pageerror", (error) => seen.complaints.push(error.message));
  page.on("request", (request) => {
    seen.asked.push(new URL(request.url()).pathname);
    if (!request.url().startsWith(weir.url) && !request.url().startsWith("blob:")) seen.foreign.push(request.url());
  });
  await page.goto(`${weir.url}/ui`);
  await page.getByLabel("Key").fill(MASTER);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  // Whether a key is needed was asked without one.
  seen.complaints.length = 0;
  return { page, seen, close: () => context.close() };
}

const go = async (page, name) => {
  await page.evaluate((hash) => { location.hash = hash; }, `#/${name}`);
  await page.locator("main h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector("main [aria-busy]"));
};

before(async () => {
  mkdirSync(shots, { recursive: true });
  weir = await startWeir({ WEIR_MASTER_KEY: MASTER });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: quiet });
  for (let n = 0; n < 12; n++) await call(MASTER, { model: n % 3 ? "demo/echo" : "demo/flaky" });
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test("a wrong key stays outside and is told so", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${weir.url}/ui`);
  await page.getByLabel("Key").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByRole("navigation").count(), 0);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`each page shows, asks nobody else, and is accessible (${colorScheme})`, async () => {
    const { page, seen, close } = await open({ colorScheme });
    await page.evaluate(axe);
    for (const name of PAGES) {
      seen.asked.length = 0;
      await go(page, name);
      const asked = seen.asked.filter((path) => path !== "/metrics");
      assert.ok(asked.length <= 3, `${name} asks ${asked}`);
      assert.equal(await page.locator("main [role=alert]").count(), 0, `${name}: ${await page.locator("main").innerText()}`);
      await page.screenshot({ path: join(shots, `${colorScheme}-${name}.png`) });
      const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
      assert.deepEqual(serious.map((one) => `${name}: ${one.id} ${one.nodes.map((node) => node.html)}`), []);
    }
    assert.deepEqual(seen.foreign, []);
    assert.deepEqual(seen.complaints, []);
    await close();
  });
}

test("the overview is live", async () => {
  const { page, close } = await open();
  await page.waitForTimeout(4_500);
  for (let n = 0; n < 20; n++) await call(MASTER, { model: "demo/echo" });
  await page.waitForFunction(() => Number(document.querySelector(".tile .value")?.textContent) > 0, null, { timeout: 15_000 });
  await close();
});

test("a key is made, used, seen in the requests, and revoked", async () => {
  const { page, close } = await open();
  await go(page, "keys");
  await page.getByRole("button", { name: "Create a key" }).click();
  await page.getByLabel("Name").fill("made-here");
  await page.getByLabel("Budgets in USD").fill("5/day");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  const key = await page.getByTestId("new-key").innerText();
  assert.match(key, /^sk-weir-[0-9A-Za-z]{49}$/);
  await page.getByRole("button", { name: "I have it" }).click();
  assert.equal((await call(key, { model: "demo/echo" })).status, 200);
  await page.waitForTimeout(1_000);
  await go(page, "requests");
  await page.getByLabel("Key").fill("made-here");
  await page.getByLabel("Key").press("Enter");
  const row = page.locator("tbody tr", { hasText: "made-here" }).first();
  await row.waitFor();
  await row.click();
  await page.getByRole("dialog").getByText("Attempts").first().waitFor();
  await page.screenshot({ path: join(shots, "light-request.png") });
  await page.getByRole("button", { name: "Close" }).click();
  await page.waitForFunction(() => location.hash === "#/requests");
  await go(page, "keys");
  const line = page.locator("tbody tr", { hasText: "made-here" });
  await line.getByRole("button", { name: "Revoke" }).click();
  await line.getByRole("button", { name: "Really?" }).click();
  await page.waitForFunction(() => [...document.querySelectorAll("tbody tr")].some((row) => row.textContent.includes("made-here") && row.textContent.includes("revoked")) || ![...document.querySelectorAll("tbody tr")].some((row) => row.textContent.includes("made-here")));
  assert.equal((await call(key, { model: "demo/echo" })).status, 401);
  await close();
});

test("the playground streams, two models side by side, with what they cost", async () => {
  const { page, close } = await open();
  await go(page, "playground");
  await page.getByLabel("Beside it").fill("demo/story");
  await page.getByLabel("Your message").fill("say this");
  await page.getByLabel("Your message").press("Enter");
  const answers = page.getByTestId("answer");
  await page.waitForFunction(() => document.querySelector('[data-testid="answer"]')?.textContent === "say this");
  const early = (await answers.nth(1).innerText()).length;
  await page.waitForFunction((before) => document.querySelectorAll('[data-testid="answer"]')[1].textContent.length > before, early);
  await page.getByText(/\d+ in, \d+ out · \$/).first().waitFor();
  await page.screenshot({ path: join(shots, "light-playground-run.png") });
  await close();
});

test("200 script payloads are shown as text", async () => {
  const shapes = [
    "<script>globalThis.hurt=1</script>", "<img src=x onerror=globalThis.hurt=1>", "\"><svg onload=globalThis.hurt=1>", "javascript:globalThis.hurt=1",
    "<iframe srcdoc='<script>parent.hurt=1</script>'>", "{{constructor.constructor('hurt=1')()}}", "'-globalThis.hurt=1-'", "<a href=javascript:hurt=1>x</a>",
    "</textarea><script>hurt=1</script>", "<math><mtext><img src onerror=hurt=1>",
  ];
  const ascii = (text) => text.replace(/[^\x20-\x7e]/g, "");
  await Promise.all(Array.from({ length: 200 }, (_, n) => {
    const payload = `${shapes[n % shapes.length]}${n}`;
    const headers = { "x-weir-tags": ascii(payload).replaceAll(",", ""), "x-weir-user": ascii(payload), "x-weir-session": ascii(payload), "x-request-id": `p${n}` };
    return call(MASTER, { model: n % 2 ? "demo/echo" : `${payload}`, messages: [{ role: "user", content: payload }] }, headers);
  }));
  const { page, seen, close } = await open();
  let dialogs = 0;
  page.on("dialog", (dialog) => { dialogs += 1; void dialog.dismiss(); });
  for (const name of ["requests", "spend", "overview", "models", "errors", "audit"]) await go(page, name);
  await go(page, "spend");
  for (const by of ["tag", "user", "session", "route"]) {
    await page.locator("select[name=by]").selectOption(by);
    await page.waitForFunction(() => !document.querySelector("main [aria-busy]"));
  }
  await go(page, "playground");
  await page.getByLabel("Your message").fill(shapes.join(" "));
  await page.getByLabel("Your message").press("Enter");
  await page.waitForFunction(() => document.querySelector('[data-testid="answer"]')?.textContent.includes("<script>"));
  assert.equal(await page.evaluate(() => globalThis.hurt), undefined);
  assert.equal(dialogs, 0);
  assert.deepEqual(seen.foreign, []);
  await close();
});
