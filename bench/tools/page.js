// Loads pages in Debian's Chromium: node page.js PLAYWRIGHT ARGUMENT… (of Chromium). Each line of the input is a JSON task
// {"url": …, "cookies": [{name, value, url}]}; each is loaded in a profile of its own, and one JSON line says how long it took.
"use strict";
const { createInterface } = require("node:readline");
const [playwright, ...more] = process.argv.slice(2);
const { chromium } = require(playwright);

async function load(browser, task) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  try {
    await context.addCookies(task.cookies);
    const page = await context.newPage();
    const failed = [];
    page.on("pageerror", (e) => failed.push(String(e)));
    page.on("requestfailed", (r) => failed.push(`${r.url()}: ${r.failure().errorText}`));
    page.on("response", (r) => { if (r.status() !== 200) failed.push(`${r.url()}: ${r.status()}`); });
    await page.goto(task.url, { waitUntil: "load" });
    await page.evaluate(() => window.answered);
    const seen = await page.evaluate(() => {
      const line = (e) => ({
        name: e.name.replace(/.*\/v\w+\//, ""), begin: e.startTime, sent: e.requestStart, first: e.responseStart, end: e.responseEnd,
        bytes: e.transferSize, protocol: e.nextHopProtocol });
      const [page] = performance.getEntriesByType("navigation");
      return { load_ms: page.loadEventEnd, all: [line(page), ...performance.getEntriesByType("resource").map(line)],
        connected_ms: page.connectEnd };
    });
    return { ...seen, failed };
  } finally {
    await context.close();
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", ...more],
  });
  try {
    console.log(JSON.stringify({ version: browser.version() }));
    for await (const text of createInterface({ input: process.stdin })) console.log(JSON.stringify(await load(browser, JSON.parse(text))));
  } finally {
    await browser.close();
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
