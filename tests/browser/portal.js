// Drives Debian's Chromium through the portal: node portal.js PORT USER PASSWORD SHOTS. Prints one JSON line of what it saw.
"use strict";
const { chromium } = require("playwright-core");

const [port, user, password, shots] = process.argv.slice(2);
const portal = `http://localhost:${port}`;

async function main() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  });
  const seen = { failed: [] };
  try {
    const page = await browser.newPage();
    page.on("console", (m) => { if (m.type() === "error") seen.failed.push(m.text()); });
    page.on("pageerror", (e) => seen.failed.push(String(e)));
    const shot = (name) => page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });

    await page.goto(portal + "/");
    await shot("1-log-in");
    await page.fill('input[name="user"]', user);
    await page.fill('input[name="password"]', password + "-wrong");
    await page.press('input[name="password"]', "Enter");
    await page.waitForLoadState();
    seen.wrong = await page.innerText("body");
    seen.failed = [];
    await page.fill('input[name="user"]', user);
    await page.fill('input[name="password"]', password);
    await page.press('input[name="password"]', "Enter");
    await page.waitForURL(portal + "/");
    seen.portal = await page.innerText("body");
    seen.tiles = await page.$$eval("a[href]", (links) => links.map((a) => a.href));
    await shot("2-portal");

    // The hand-over: the app's own host name, without logging in again.
    await page.goto(`http://leaflets.localhost:${port}/`);
    seen.by_host = await page.innerText("h1");
    seen.host = new URL(page.url()).host;
    await page.waitForFunction(() => document.body.innerText.includes("fifteen minutes") || window.Reveal?.isReady());
    await page.keyboard.press("ArrowRight");
    await page.waitForSelector("section.present:has-text('fifteen minutes')");
    seen.leaflet = true;
    await shot("3-leaflet");
    const cookies = await page.context().cookies();
    seen.cookies = cookies.map((c) => ({ name: c.name, domain: c.domain, httpOnly: c.httpOnly, sameSite: c.sameSite }));
    seen.script_sees = await page.evaluate(() => document.cookie);

    await page.goto(portal + "/");
    await page.click('form[action="/hasp/logout"] button, form[action="/hasp/logout"] input[type=submit]');
    await page.waitForLoadState();
    await page.goto(`http://leaflets.localhost:${port}/`);
    seen.after_log_out = await page.innerText("body");
    seen.after_log_out_form = await page.$$eval('input[name="password"]', (fields) => fields.length);
    await shot("4-logged-out");
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
