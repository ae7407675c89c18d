// Makes docs/pictures from a gateway of the walk:  WEIR_BIN=… node tests/console/pictures.mjs
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { startWeir } from "../clients/node/weir.js";

const pictures = join(dirname(fileURLToPath(import.meta.url)), "../../docs/pictures");
mkdirSync(pictures, { recursive: true });
const weir = await startWeir({});
const call = (model, content) =>
  fetch(`${weir.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
  });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await (await browser.newContext({ viewport: { width: 1200, height: 760 }, colorScheme: "light" })).newPage();
const go = async (name) => {
  await page.evaluate((hash) => { location.hash = hash; }, `#/${name}`);
  await page.locator("main h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector("main [aria-busy]"));
};
const take = (name) => page.screenshot({ path: join(pictures, `${name}.png`) });
await page.goto(`${weir.url}/ui`);
for (let second = 0; second < 24; second++) {
  for (let n = 0; n < 3 + (second % 5); n++) await call(n % 2 ? "demo/flaky" : "demo/echo", `call number ${n}`);
  await page.waitForTimeout(1_000);
}
await go("overview");
await take("overview");
await go("errors");
await page.locator("tbody tr").first().waitFor();
await take("errors");
await go("requests");
await page.locator("tbody tr").first().click();
await page.getByRole("dialog").getByText("Attempts").first().waitFor();
await take("request");
await page.getByRole("button", { name: "Close" }).click();
await go("playground");
await page.getByLabel("Beside it").fill("demo/story");
await page.getByLabel("Your message").fill("tell me a story");
await page.getByLabel("Your message").press("Enter");
await page.getByText(/\d+ in, \d+ out · \$/).nth(1).waitFor({ timeout: 60_000 });
await take("playground");
await browser.close();
await weir.stop();
