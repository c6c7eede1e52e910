// A person at a browser: steps come in as lines of JSON, what each found goes out as one. See ../chromium_peer.py.
//
// Beside what it is told to do, it writes down what no page of the console may do (see ../console_peer.py): ask another host, break the content
// security policy, log an error, open a dialog of the browser's.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

const { chromium, sandbox } = JSON.parse(process.argv[2]);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WAIT_MS = 10_000;

const browser = await puppeteer.launch({
  executablePath: chromium,
  // Whatever a page asks for that is not on this machine gets no answer; that it was asked for is on record.
  args: ["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", ...(sandbox ? [] : ["--no-sandbox"])],
});
const seen = { requests: [], errors: [], dialogs: [] };
let context, page;

/** A page of its own; with `fresh` in a profile of its own, as on another machine. */
async function open(fresh) {
  if (fresh || !context) context = await browser.createBrowserContext();
  page = await context.newPage();
  await page.setViewport({ width: 1280, height: 860 });
  page.on("request", (request) => seen.requests.push(`${request.method()} ${request.url()}`));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (said) => {
    if (said.type() === "error") seen.errors.push(`${said.text()} ${said.location().url ?? ""}`);
  });
  page.on("dialog", async (dialog) => {
    seen.dialogs.push(dialog.message());
    await dialog.dismiss();
  });
  await page.evaluateOnNewDocument(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
}

/** Waits until something in the page is so; else says what the page shows. */
async function until(what, test, ...args) {
  try {
    return await (await page.waitForFunction(test, { timeout: WAIT_MS, polling: 50 }, ...args)).jsonValue();
  } catch {
    const shown = await page.evaluate(() => document.body.innerText);
    throw new Error(`${what} did not come within ${WAIT_MS / 1000} s; the page shows:\n${shown.slice(0, 1500)}`);
  }
}

/** What has the focus, by its name; what holds others has none. */
const focused = () =>
  page.evaluate(() => {
    const here = document.activeElement;
    const named = here.matches("a, button, summary, h1") ? here.innerText.replace(/\s+/g, " ").trim() : "";
    return here.ariaLabel || named || here.getAttribute("name") || here.localName;
  });

const STEPS = {
  async open({ url, fresh }) {
    await open(fresh);
    await page.goto(url, { waitUntil: "networkidle2" });
    return page.evaluate(() => location.href);
  },
  async go({ hash, heading }) {
    await page.evaluate((hash) => { location.hash = hash; }, hash);
    await until(`the heading ${heading}`, (heading) => document.querySelector("h1")?.innerText === heading && !document.body.innerText.includes("Loading…"), heading);
  },
  /** Until the page shows a text. */
  text: ({ text, where = "body" }) => until(`the text ${text}`, (text, where) => document.querySelector(where)?.innerText.replace(/\s+/g, " ").includes(text), text, where),
  /** Until the page shows a text no more. */
  gone: ({ text, where = "body" }) => until(`the end of ${text}`, (text, where) => !document.querySelector(where)?.innerText.replace(/\s+/g, " ").includes(text), text, where),
  /** Looks at another tab, by its place among those that were opened. */
  async look_at({ tab }) {
    page = (await page.browserContext().pages()).filter((one) => one.url() !== "about:blank")[tab];
    await page.bringToFront();
  },
  read: ({ where = "body" }) => page.evaluate((where) => document.querySelector(where)?.innerText ?? null, where),
  html: () => page.evaluate(() => document.documentElement.outerHTML + [...document.querySelectorAll("input")].map((input) => input.value).join()),
  /** Where a link leads. */
  leads: ({ where }) => page.evaluate((where) => document.querySelector(where)?.href ?? null, where),
  value: ({ where }) => page.evaluate((where) => document.querySelector(where).value, where),
  count: ({ where }) => page.evaluate((where) => document.querySelectorAll(where).length, where),
  stored: () => page.evaluate(() => ({ ...localStorage })),
  /** Buttons by their names for who listens, with those that are disabled. */
  buttons: () => page.evaluate(() => [...document.querySelectorAll("main button")].map((button) => [button.ariaLabel || button.innerText.trim(), !button.disabled])),
  async click({ name, where }) {
    const target = where ?? `::-p-aria([name="${name}"][role="button"])`;
    await page.locator(target).setTimeout(WAIT_MS).click();
  },
  async type({ where, text }) {
    await page.locator(where).setTimeout(WAIT_MS).click();
    await page.keyboard.type(text);
  },
  select: ({ where, value }) => page.select(where, value),
  async press({ key }) {
    await page.keyboard.press(key);
  },
  /** Presses Tab until something of that name has the focus. */
  async tab({ name }) {
    const passed = [];
    for (let times = 0; times < 60; times++) {
      await page.keyboard.press("Tab");
      const here = await focused();
      if (here === name) return passed;
      passed.push(here);
    }
    throw new Error(`no Tab leads to ${name}, but to ${passed}`);
  },
  focused,
  async theme({ theme }) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    return page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  },
  async width({ width }) {
    await page.setViewport({ width, height: 860 });
  },
  /** What axe-core finds, and how much wider than the window the page is. */
  async look({ file }) {
    await page.screenshot({ path: file, fullPage: true });
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => axe.run());
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    return { wider, found: violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" ")}`) };
  },
  /** As if another tab were looked at. */
  hide: ({ hidden }) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden),
  /** How often a tool is asked for in a while. */
  async asked({ tool, seconds }) {
    const before = seen.requests.length;
    await new Promise((done) => setTimeout(done, seconds * 1000));
    return seen.requests.slice(before).filter((request) => request.endsWith(`/api/v1/${tool}`)).length;
  },
  seen: () => seen,
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  try {
    console.log(JSON.stringify({ done: (await STEPS[step.do](step)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ failed: `${step.do}: ${error.message}` }));
  }
}
await browser.close();
