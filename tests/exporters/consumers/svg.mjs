// tests/exporters/consumers/svg.mjs PLAYWRIGHT SCREENSHOTS FILE...: opens flame graphs in headless Chromium as a reader would: clicks
// into a frame, searches, resets, points at one. Prints {"FILE": what was seen}.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [playwright, screenshots, ...files] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(path.join(playwright, 'index.mjs')).href);
await mkdir(screenshots, { recursive: true });
const profile = await mkdtemp(path.join(os.tmpdir(), 'camprobe-svg-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  viewport: { width: 1200, height: 500 },
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const seen = {};
try {
  for (const file of files) {
    const page = await browser.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('request', (request) => request.url().startsWith('file:') || problems.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    await page.waitForTimeout(200);
    await page.screenshot({ path: path.join(screenshots, `${path.basename(file, '.svg')}.png`) });
    const shown = () => page.locator('.f:visible').count();
    const frame = (name) => page.locator('.f', { has: page.locator('title', { hasText: name }) }).last();
    const all = await shown();
    const colours = Object.fromEntries(
      await page.locator('.f').evaluateAll((groups) => groups.map((g) => [g.getAttribute('data-n'), g.querySelector('rect').getAttribute('fill')])),
    );
    const leaf = frame('cam::compute(int)');
    await leaf.hover();
    const about = await page.locator('#about').textContent();
    const before = (await leaf.locator('rect').boundingBox()).width;
    await leaf.click();
    const zoomed = (await leaf.locator('rect').boundingBox()).width;
    const shownZoomed = await shown();
    await page.locator('#reset').click();
    const after = (await leaf.locator('rect').boundingBox()).width;
    await page.locator('#search').fill('^cam::(scan|compute)');
    const matched = await page.locator('#matched').textContent();
    const hits = await page.locator('.f.hit').count();
    seen[file] = { all, shownZoomed, colours, about, before, zoomed, after, matched, hits, foot: await page.locator('#foot').textContent(), problems };
    await page.close();
  }
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
