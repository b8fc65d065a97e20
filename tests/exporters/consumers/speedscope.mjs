// tests/exporters/consumers/speedscope.mjs SPEEDSCOPE PLAYWRIGHT FILE...: opens files in speedscope (its npm release, in headless
// Chromium) and prints what its importer made of each: {"FILE": speedscope's own export of it}, or {"FILE": null} where it
// refused the file.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [speedscope, playwright, ...files] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(path.join(playwright, 'index.mjs')).href);
const profile = await mkdtemp(path.join(os.tmpdir(), 'camprobe-speedscope-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  acceptDownloads: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const seen = {};
try {
  for (const file of files) {
    const page = await browser.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(`exception: ${error}`));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('dialog', (dialog) => (problems.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
    // As speedscope's own command hands a file over: a script beside the page.
    const bytes = await readFile(file);
    const script = path.join(profile, 'file.js');
    await writeFile(script, `speedscope.loadFileFromBase64(${JSON.stringify(path.basename(file))}, ${JSON.stringify(bytes.toString('base64'))})`);
    await page.goto(`${pathToFileURL(path.join(speedscope, 'index.html')).href}#localProfilePath=${script}`);
    const button = page.getByText('Export', { exact: false }).first();
    try {
      await button.waitFor({ timeout: 8000 });
      const [download] = await Promise.all([page.waitForEvent('download', { timeout: 8000 }), button.click()]);
      seen[file] = JSON.parse(await readFile(await download.path(), 'utf8'));
    } catch (error) {
      seen[file] = null;
      console.error(`${file}: ${problems.join("; ")} ${(await page.locator("body").innerText()).slice(0, 400)} ${error}`);
    }
    await page.close();
  }
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
