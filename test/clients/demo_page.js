// Drives the demo page in a headless Chromium: types a message and sees its echo, opens
// 200 sockets from the page and sees them counted, closes them all.
// Usage: node demo_page.js URL CHROMIUM PROFILE_DIR [SCREENSHOT_DIR]; prints "ok" and exits 0.
'use strict';

const path = require('path');
const { chromium } = require('playwright-core');

const timeout = 60000;

async function until(page, what, condition, argument) {
  try {
    await page.waitForFunction(condition, argument, { timeout, polling: 100 });
  } catch (error) {
    const body = await page.evaluate(() => document.body.innerText);
    throw new Error(`waited in vain for ${what}; the page says:\n${body}`);
  }
}

// live is the number shown in #tunnels, whatever separates its thousands.
const atLeast = (n) => Number(document.querySelector('#tunnels').textContent.replace(/\D/g, '')) >= n;
const below = (n) => Number(document.querySelector('#tunnels').textContent.replace(/\D/g, '')) < n;

async function drive(page, url, shoot) {
  await page.goto(url, { waitUntil: 'load', timeout });
  await until(page, 'state open', () => /open/i.test(document.querySelector('#state').textContent));

  const text = 'typed in a browser';
  await page.fill('#input', text);
  await page.click('#send');
  // What was sent and what came back are both in the log.
  await until(page, 'the echo', (t) => document.querySelector('#log').textContent.split(t).length > 2, text);
  await shoot('demo-echo.png');

  await page.click('#open200');
  await until(page, '200 tunnels', atLeast, 200);
  await shoot('demo-200-tunnels.png');

  await page.click('#closeall');
  await until(page, 'the tunnels to close', below, 10);
  await shoot('demo-closed.png');
}

async function main() {
  const [url, executablePath, profile, screenshots] = process.argv.slice(2);
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    timeout,
    viewport: { width: 1280, height: 900 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const problems = [];
  try {
    const page = context.pages()[0] || await context.newPage();
    page.on('pageerror', (error) => problems.push(String(error)));
    const shoot = async (name) => {
      if (screenshots) await page.screenshot({ path: path.join(screenshots, name) });
    };
    await drive(page, url, shoot);
  } finally {
    await context.close();
  }
  if (problems.length > 0) throw new Error('errors on the page: ' + problems.join('; '));
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
