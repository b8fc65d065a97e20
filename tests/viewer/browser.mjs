// tests/viewer/browser.mjs PAGES SCREENSHOTS PLAYWRIGHT: opens what make_pages wrote in headless Chromium and uses it as
// a reader would. Any error in the console, any request to a network and any failed expectation fails the test.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [pages, screenshots, playwright] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(path.join(playwright, 'index.mjs')).href);
await mkdir(screenshots, { recursive: true });

const profile = await mkdtemp(path.join(os.tmpdir(), 'camprobe-chromium-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

let passed = 0;
const failures = [];
async function check(what, body) {
  const began = Date.now();
  try {
    await body();
    passed++;
    console.log(`ok   ${what} (${Date.now() - began} ms)`);
  } catch (error) {
    failures.push(what);
    console.log(`FAIL ${what}\n${error.stack}`);
  }
}

/** Opens one file, hands it to `use`, and holds it to silence: no console error, no exception, no request but itself. */
async function open(file, { width = 1440, height = 900, scheme = 'light', hash = '', url = '' } = {}, use) {
  const page = await browser.newPage();
  const noise = [];
  try {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height });
    const self = url || pathToFileURL(path.join(pages, file)).href;
    const origin = url ? new URL(url).origin : self;
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && noise.push(`console: ${m.text()}`));
    page.on('pageerror', (e) => noise.push(`exception: ${e.stack ?? e}`));
    page.on('dialog', (d) => (noise.push(`dialog: ${d.message()}`), d.dismiss()));
    page.on('request', (r) => !(r.url().startsWith(origin) || r.url().startsWith('data:')) && noise.push(`request: ${r.url()}`));
    page.on('popup', () => noise.push('popup'));
    await page.goto(self + hash);
    if (!file.endsWith('.svg')) await page.waitForSelector('html[data-ready]', { timeout: 20_000 });
    await page.waitForTimeout(250);
    await use(page);
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a name out of the run was run as code');
    assert.deepEqual(noise, []);
  } finally {
    await page.close();
  }
}
const shot = (page, name, fullPage = false) => page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage });
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const frames = (page) => page.locator('#flame g.frame').count();
const frame = (page, text) => page.locator('#flame g.frame', { has: page.locator(`xpath=self::*[@data-function="${text}"]`) }).first();
/** How many different colours a chart's canvas shows: an empty one has one or two. */
const colours = (page, panel) =>
  page.locator(`[data-panel="${panel}"] canvas`).evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 24) | (data[i + 1] << 16) | (data[i + 2] << 8) | data[i + 3]);
    return seen.size;
  });
/** Where a chart's plot lies on the screen, scrolled to. */
async function plot(page, panel) {
  const over = page.locator(`[data-panel="${panel}"] .u-over`);
  await over.scrollIntoViewIfNeeded();
  return over.boundingBox();
}
const axisRange = (page) => page.locator('.range').innerText();

await check('the first screen tells verdict, facts and findings', () =>
  open('server.html', {}, async (page) => {
    assert.match(await page.locator('#verdict').innerText(), /Fail/);
    assert.match(await page.locator('h1').innerText(), /2 leaks and 1 degradation/);
    const facts = await page.locator('.facts').innerText();
    for (const part of [/10 min/, /k6/, /bench-3/, /31\.6 ms/, /8 CPUs/]) assert.match(facts, part);
    const first = await page.locator('.finding').first().innerText();
    for (const part of [/Heap memory leaks in cam::RequestLog::remember/, /src\/request_log\.cc:57/, /1\.41 MiB/, /95 %: 1\.36 MiB to 1\.47 MiB/, /Since 4:01/, /99\.6 % sure/, /Bound the request log/]) assert.match(first, part);
    assert.match(await page.locator('.finding').nth(2).innerText(), /got worse[\s\S]*POST \/arbitrate[\s\S]*19\.6 ms\s*before[\s\S]*22\.4 ms\s*after/);
    assert.match(await page.locator('#findings').innerText(), /a run of 30 min would tell[\s\S]*cleared: 1[\s\S]*leak of 10\.7 KiB per 1,000 requests or more would have been found[\s\S]*judged: 1/);
    assert.equal(await page.locator('.finding').count(), 5);
    const short = await page.locator('#summary').innerText();
    for (const part of [/requests in 10 min/, /Heap memory leaks in cam::RequestLog::remember: [\d.]+ GiB an hour, since 4:01, reaches the limit of 4 GiB/, /Beside the base: Worse: p99 by 14\.3 %/, /could have gone unseen/]) assert.match(short, part);
    const todo = page.locator('#recommendations li');
    assert.equal(await todo.count(), 4);
    assert.match(await todo.first().innerText(), /Bound the request log[\s\S]*Because: Heap memory leaks/);
    assert.match(await todo.nth(3).innerText(), /Run it for 30 min\.[\s\S]*Threads cannot be judged yet/);
    await shot(page, 'wide-light-first');
    await shot(page, 'wide-light', true);
  }));

await check('every chart is drawn and reads out under one shared cursor', () =>
  open('server.html', {}, async (page) => {
    for (const panel of ['Requests', 'Latency', 'CPU', 'Memory', 'File descriptors', 'Threads']) assert.ok((await colours(page, panel)) > 6, `${panel} is blank`);
    const box = await plot(page, 'Memory');
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    assert.match(await page.locator('.clock').innerText(), /^(4:5\d|5:0\d) · \d\d:\d\d:\d\d/);
    assert.match(await page.locator('[data-panel="Requests"] .readout').innerText(), /requests\s*\d+ \/s/);
    assert.match(await page.locator('[data-panel="Memory"] .readout').innerText(), /RSS\s*[\d.]+ MiB/);
    assert.match(await page.locator('[data-panel="CPU"] .readout').innerText(), /[\d.]+ cores/);
    assert.match(await page.locator('[data-panel="Latency"] .readout').innerText(), /p99\s*[\d.]+ ms/);
  }));

await check('latency over time is a heat map that follows the range', () =>
  open('server.html', {}, async (page) => {
    const canvas = page.locator('#heat canvas');
    await canvas.scrollIntoViewIfNeeded();
    const drawn = () =>
      canvas.evaluate((c) => {
        const copy = Object.assign(document.createElement('canvas'), { width: c.width, height: c.height }).getContext('2d', { willReadFrequently: true });
        copy.drawImage(c, 0, 0);
        return copy.getImageData(0, 0, c.width, c.height).data.reduce((n, v, i) => n + (i % 4 === 3 && v > 0 ? 1 : 0), 0);
      });
    const whole = await drawn();
    assert.ok(whole > 3000, `${whole} pixels`);
    const box = await canvas.boundingBox();
    let read = '';
    for (let y = 10; y < 180 && !/: [1-9]/.test(read); y += 4) {
      await page.mouse.move(box.x + box.width / 2, box.y + y);
      read = await page.locator('#heat .readout').innerText();
    }
    assert.match(read, /^(4:[345]\d|5:0\d) · [\d.]+ (ms|µs) to [\d.]+ (ms|µs): [1-9][\d,]* requests?$/);
    await page.locator('.window', { hasText: 'spike' }).click();
    await page.waitForTimeout(200);
    assert.notEqual(await drawn(), whole);
  }));

await check('a base and earlier runs stand beside this one', () =>
  open('server.html', {}, async (page) => {
    const text = await page.locator('#comparison').innerText();
    for (const part of [/main\.camrun/, /New: Heap memory leaks/, /worse\s+latency p99\s+27\.6 ms\s+31\.6 ms\s+\+14\.3 % \(95 %: \+9 % to \+20 %\)/, /The same, or cannot be told: 1/]) assert.match(text, part);
    assert.equal(await page.locator('[data-trend="latency_p99_ms"] circle').count(), 3);
    assert.match(await page.locator('[data-trend="latency_p99_ms"]').innerText(), /26\.9 ms → 31\.6 ms/);
    await page.locator('nav.contents button', { hasText: 'Trend' }).click();
    await page.waitForTimeout(100);
    assert.ok((await page.locator('#trend').boundingBox()).y < 400);
  }));

await check('dragging chooses a range, weighs the flame graph anew, and 0 takes it back', () =>
  open('server.html', {}, async (page) => {
    const whole = await page.locator('.flame-caption').innerText();
    const box = await plot(page, 'CPU');
    await page.mouse.move(box.x + box.width * 0.8, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.85, box.y + 40, { steps: 4 });
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40, { steps: 4 });
    await page.mouse.up();
    await page.waitForTimeout(200);
    assert.match(await axisRange(page), /^(7:5\d|8:00) – (8:5\d|9:0\d)/);
    const part = await page.locator('.flame-caption').innerText();
    assert.notEqual(part, whole);
    const minutes = (text) => (([, n, unit]) => Number(n) / (unit === 's' ? 60 : 1))(/([\d.]+) (s|min)/.exec(text));
    assert.ok(minutes(part) < minutes(whole) / 3 && minutes(part) > minutes(whole) / 12, `${part} of ${whole}`);
    assert.match(page.url(), /range=/);
    await shot(page, 'range');
    await page.keyboard.press('0');
    assert.equal(await page.locator('.flame-caption').innerText(), whole);
    await page.locator('.window', { hasText: 'spike' }).click();
    assert.match(await axisRange(page), /^8:00 – 9:00/);
    assert.equal(await page.locator('.window', { hasText: 'spike' }).getAttribute('aria-pressed'), 'true');
    await page.locator('[data-panel="CPU"] .u-over').dblclick();
    assert.doesNotMatch(page.url(), /range=/);
  }));

await check('a frame zooms, the trail leads back, Esc forgets', () =>
  open('server.html', {}, async (page) => {
    assert.ok((await frames(page)) > 30);
    await frame(page, 'cam::Arbiter::choose(cam::Request const&, cam::Deadline)').click();
    await page.waitForTimeout(150);
    assert.match(await page.locator('.crumb.here').innerText(), /cam::Arbiter::choose/);
    const width = await frame(page, 'cam::Arbiter::choose(cam::Request const&, cam::Deadline)').locator('rect').evaluate((r) => r.getBoundingClientRect().width);
    const graph = await page.locator('.flame').evaluate((e) => e.clientWidth);
    assert.ok(width > graph * 0.95, `${width} of ${graph}`);
    await page.locator('button.crumb', { hasText: 'serve' }).click();
    await page.waitForTimeout(150);
    assert.match(await page.locator('.crumb.here').innerText(), /HttpServer::serve/);
    assert.match(page.url(), /node=\d+/);
    await page.keyboard.press('Escape');
    await page.waitForTimeout(150);
    assert.equal(await page.locator('.crumb.here').innerText(), 'all');
  }));

await check('searching tells the share that matches, as a pattern or as text', () =>
  open('server.html', {}, async (page) => {
    await page.keyboard.press('/');
    await page.keyboard.type('Arbiter::choose|HttpParser');
    await page.waitForTimeout(250);
    const share = Number(/([\d.]+) %/.exec(await page.locator('.matched').innerText())[1]);
    assert.ok(share > 31 && share < 36, `${share}`); // 17 + 15 of the 98 parts in synthetic_run.cc
    const hit = await frame(page, 'cam::HttpParser::feed(std::string_view)').locator('rect').getAttribute('fill');
    const other = await frame(page, 'SSL_write').locator('rect').getAttribute('fill');
    assert.notEqual(hit, other);
    await shot(page, 'search');
    await page.locator('#search').fill('malloc(');
    assert.match(await page.locator('.matched').innerText(), /as plain text/);
    await page.locator('#search').fill('no such thing at all');
    assert.match(await page.locator('.matched').innerText(), /^0 %/);
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#search').inputValue(), '');
    assert.equal(await page.locator('.matched').innerText(), '');
  }));

await check('keys switch the metric; live and retained follow the range', () =>
  open('server.html', {}, async (page) => {
    for (const [key, what, text] of [['2', 'alloc', /allocated in the whole run/], ['3', 'live', /alive at the end of the run/], ['4', 'retained', /still alive at its end/], ['5', 'wait', /of waiting/], ['1', 'cpu', /of CPU time/]]) {
      await page.keyboard.press(key);
      await page.waitForTimeout(120);
      assert.equal(await page.locator(`[data-what="${what}"]`).getAttribute('aria-pressed'), 'true');
      assert.match(await page.locator('.flame-caption').innerText(), text);
      assert.ok((await frames(page)) > 4, what);
    }
  }));

await check('live bytes before the leak hold no leaked ones, at the end they do', async () => {
  const leaking = '#flame g.frame[data-function^="cam::RequestLog::remember"]';
  await open('server.html', { hash: '#what=live&range=0-230' }, async (page) => assert.equal(await page.locator(leaking).count(), 0));
  await open('server.html', { hash: '#what=live' }, async (page) => {
    assert.equal(await page.locator(leaking).count(), 1);
    await page.locator(leaking).hover();
    const tip = await page.locator('.tooltip').innerText();
    assert.match(tip, /src\/request_log\.cc:57/);
    assert.match(tip, /\/srv\/bin\/cam-server/);
    const megabytes = Number(/total\s+([\d.]+) MiB/.exec(tip)[1]);
    assert.ok(Math.abs(megabytes - 307) < 25, tip); // 360 s * ~560/s * 1,480 B
    await shot(page, 'live-tooltip');
  });
});

await check('a finding shows its onset on the timeline and its stack in the flame graph', () =>
  open('server.html', {}, async (page) => {
    await page.locator('.finding').first().locator('button.show').click();
    await page.waitForTimeout(400);
    assert.equal(await page.locator('[data-what="live"]').getAttribute('aria-pressed'), 'true');
    assert.match(await page.locator('.finding').first().getAttribute('class'), /chosen/);
    assert.ok((await page.locator('g.frame.accused').count()) >= 6);
    assert.match(await page.locator('.crumb.here').innerText(), /RequestLog::remember/);
    await shot(page, 'finding', true);
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('g.frame.accused').count(), 0);
  }));

await check('the function table finds its function, tables sort', () =>
  open('server.html', {}, async (page) => {
    await page.locator('.functions button').first().click();
    await page.waitForTimeout(150);
    assert.match(await page.locator('.matched').innerText(), /matched/);
    await page.locator('#spans th button', { hasText: 'p99' }).click();
    assert.match(await page.locator('#spans tbody tr').first().innerText(), /cam\.request/);
    await page.locator('#spans th button', { hasText: 'p99' }).click();
    assert.match(await page.locator('#spans tbody tr').first().innerText(), /cam\.arbitration/);
    assert.match(await page.locator('#sockets').innerText(), /10\.0\.3\.17:8443/);
    assert.match(await page.locator('#cam').innerText(), /Provider switch rate\s*17\.5 %/);
    assert.match(await page.locator('#cam').innerText(), /Cost optimization rate\s*36\.6 %/);
    await page.keyboard.press('?');
    assert.ok(await page.locator('#help').isVisible());
  }));

await check('a request is one tree over the processes it went through', () =>
  open('mesh.html', {}, async (page) => {
    const entries = page.locator('.trace-entry');
    assert.equal(await entries.count(), 4);
    assert.match(await entries.first().innerText(), /cam\.request\s+never ended/);
    await page.locator('.trace-filter').fill('PROVIDER.answer');
    assert.equal(await entries.count(), 1);
    assert.match(await entries.first().innerText(), /cam\.request\s+100 ms\s+gateway → provider\s+4 spans · 0:01/);
    await entries.first().click();
    const rows = page.locator('.trace-row:not(.axis)');
    const tree = await rows.evaluateAll((list) => list.map((row) => [row.dataset.depth, row.querySelector('.name').textContent, row.querySelector('.span-time').textContent]));
    assert.deepEqual(tree, [['0', 'cam.request', '100 ms'], ['1', 'cam.arbitration', '20 ms'], ['1', 'cam.provider_call', '50 ms'], ['2', 'provider.answer', '30 ms']]);
    assert.match(await page.locator('.trace-head').innerText(), /trace 4bf92f3577b34da6a3ce929d0e0e4736/);
    // On the axis: the answer lies within the call that asked for it, and each begins where it began.
    const lane = await rows.first().locator('.span-lane').boundingBox();
    const bars = await rows.locator('.span-bar').evaluateAll((list) => list.map((bar) => bar.getBoundingClientRect()).map((r) => [r.left, r.right]));
    const share = bars.map(([from, to]) => [(from - lane.x) / lane.width, (to - lane.x) / lane.width].map((x) => Math.round(x * 100)));
    assert.deepEqual(share, [[0, 100], [10, 30], [40, 90], [50, 80]]);
    assert.ok(await rows.nth(3).evaluate((row) => parseFloat(row.querySelector('.span-label').style.paddingLeft)) > await rows.nth(2).evaluate((row) => parseFloat(row.querySelector('.span-label').style.paddingLeft)));
    assert.match(await rows.nth(1).innerText(), /provider=atlas cost=0\.25 tokens=120/);
    await rows.nth(1).locator('.span-label').click();
    assert.match(await page.locator('.span-details:visible').innerText(), /process\s+gateway, thread 102 worker\s+began\s+10 ms into the trace\s+lasted\s+20 ms\s+provider\s+atlas\s+cost\s+0\.25\s+tokens\s+120/);
    await page.locator('#traces').scrollIntoViewIfNeeded();
    await page.locator('#traces').screenshot({ path: path.join(screenshots, 'traces-light.png') });
    await page.locator('.trace-filter').fill('no such span');
    assert.match(await page.locator('.trace-list').innerText(), /No trace has a span/);
  }));

await check('the slowest traces come first, keys walk through them, and they fit a narrow and dark page', async () => {
  await open('server.html', { scheme: 'dark' }, async (page) => {
    const ms = await page.evaluate(() => JSON.parse(document.getElementById('camprobe-data').textContent).traces.list.map((t) => t.ms));
    assert.equal(ms.length, 50);
    assert.deepEqual(ms, [...ms].sort((a, b) => b - a));
    assert.equal(await page.locator('.trace-entry').count(), 50);
    await page.locator('.trace-list').focus();
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowDown');
    assert.equal(await page.locator('.trace-entry').nth(3).getAttribute('aria-selected'), 'true');
    await page.locator('#traces').screenshot({ path: path.join(screenshots, 'traces-dark.png') });
  });
  await open('mesh.html', { width: 390, height: 844, scheme: 'dark' }, async (page) => {
    assert.ok((await overflow(page)) <= 0);
    await page.locator('.trace-filter').fill('provider.answer');
    await page.locator('.trace-entry').first().click();
    await page.locator('#traces').screenshot({ path: path.join(screenshots, 'traces-narrow.png') });
  });
});

await check('another series can be drawn', () =>
  open('server.html', {}, async (page) => {
    await page.locator('select.more').selectOption({ label: 'process context switches voluntary' });
    await page.waitForTimeout(150);
    assert.ok((await colours(page, 'process context switches voluntary')) > 4);
  }));

await check('dark follows the system, and the reader may choose otherwise', async () => {
  const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await open('server.html', { scheme: 'dark' }, async (page) => {
    assert.equal(await background(page), 'rgb(16, 20, 24)');
    await shot(page, 'wide-dark', true);
    await page.locator('#theme').selectOption('light');
    assert.equal(await background(page), 'rgb(244, 245, 247)');
    assert.match(page.url(), /theme=light/);
  });
  await open('server.html', {}, async (page) => {
    await page.keyboard.press('t');
    assert.equal(await background(page), 'rgb(16, 20, 24)');
  });
});

await check('no width makes the page scroll sideways', async () => {
  for (const [file, width] of [['server.html', 360], ['server.html', 768], ['server.html', 1024], ['server.html', 1920], ['hostile.html', 360], ['empty.html', 360], ['large.html', 360]]) {
    await open(file, { width, height: 800 }, async (page) => {
      assert.ok((await overflow(page)) <= 0, `${file} at ${width}: ${await overflow(page)} px too wide`);
      if (width === 360 && file === 'server.html') {
        assert.ok((await frames(page)) > 10);
        await shot(page, 'narrow-light', true);
      }
      if (width === 1920) await shot(page, 'very-wide', true);
    });
  }
  await open('server.html', { width: 390, height: 844, scheme: 'dark' }, (page) => shot(page, 'narrow-dark', true));
});

await check('an empty run says why each part is empty', () =>
  open('empty.html', {}, async (page) => {
    const text = await page.locator('body').innerText();
    for (const part of [/made without an analysis/, /No load tool told what it did/, /No CPU sample was taken/, /No span of an arbitration/, /No socket was opened/]) assert.match(text, part);
    assert.doesNotMatch(text, /NaN|undefined|Infinity/);
    for (const key of ['2', '3', '4', '5', 'Escape', '0']) await page.keyboard.press(key);
    await shot(page, 'empty', true);
  }));

await check('hostile names are text and nothing else', () =>
  open('hostile.html', {}, async (page) => {
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.locator('body script').count(), 2); // the data and the app, nothing a name brought along
    const text = await page.locator('body').innerText();
    assert.match(text, /<\/script><script>window\.hacked = 1<\/script>/);
    assert.match(text, /<img src=x onerror="window\.hacked = 1">/);
    for (const key of ['1', '2', '3', '4', '5']) {
      await page.keyboard.press(key);
      await page.waitForTimeout(60);
    }
    await page.keyboard.press('1');
    await page.locator('#flame g.frame').nth(3).hover();
    await page.locator('#flame g.frame').nth(3).click();
    for (const finding of await page.locator('.finding button.show').all()) await finding.click();
    for (const hostile of ['__proto__', '</script>', '(((', '\\', '[']) await page.locator('#search').fill(hostile);
    for (const button of (await page.locator('.functions button').all()).slice(0, 5)) await button.click();
    await page.evaluate(() => new Promise((done) => setTimeout(done, 100)));
    await shot(page, 'hostile', true);
  }));

await check('three days with 20,000 stacks open and answer', () =>
  open('large.html', {}, async (page) => {
    const loaded = await page.evaluate(() => performance.timing.loadEventEnd - performance.timing.navigationStart);
    console.log(`     loaded in ${loaded} ms, ${await frames(page)} frames drawn`);
    assert.ok((await frames(page)) > 500 && (await frames(page)) <= 4000);
    const timed = async (what, act) => {
      const began = Date.now();
      await act();
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
      console.log(`     ${what}: ${Date.now() - began} ms`);
    };
    await timed('metric', () => page.keyboard.press('2'));
    await timed('range', () => page.evaluate(() => document.querySelector('[data-panel="CPU"] .u-over').dispatchEvent(new MouseEvent('dblclick'))));
    await timed('search', () => page.locator('#search').fill('.'));
    await timed('reset', () => page.keyboard.press('Escape'));
    await timed('zoom', () => page.locator('#flame g.frame').nth(40).click());
    assert.match(await page.locator('.foot').innerText(), /lightest stacks/);
    await shot(page, 'large', true);
  }));

await check('the same app fetches its data where a server has it', async () => {
  const server = createServer(async (request, response) => {
    const name = request.url === '/' ? 'served.html' : request.url === '/page.json' ? 'page.json' : null;
    response.statusCode = name ? 200 : 404;
    response.setHeader('content-type', name?.endsWith('.json') ? 'application/json' : 'text/html; charset=utf-8');
    response.end(name ? await readFile(path.join(pages, name)) : '');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try {
    await open('served', { url: `http://127.0.0.1:${server.address().port}/` }, async (page) => assert.match(await page.locator('h1').innerText(), /2 leaks/));
  } finally {
    server.close();
  }
});

await check('the policy of a page in one file forbids all network', () =>
  open('server.html', {}, async (page) => {
    const policy = await page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute('content');
    for (const part of ["default-src 'none'", "connect-src 'none'", "script-src 'sha256-", "style-src 'sha256-"]) assert.ok(policy.includes(part), policy);
    assert.ok(!policy.includes('unsafe'), policy);
  }));

// ---- the SVG flame graph

const svgFrame = (page, text) => page.locator('.f', { has: page.locator(`xpath=self::*[@data-n="${text}"]`) }).first();
const svgWidth = (page, text) => svgFrame(page, text).locator('rect').evaluate((r) => r.getBoundingClientRect().width);

await check('the SVG zooms on a click and comes back', () =>
  open('server.cpu.svg', {}, async (page) => {
    const parser = 'cam::HttpParser::feed(std::string_view)';
    const before = await svgWidth(page, parser);
    await svgFrame(page, parser).hover();
    assert.match(await page.locator('#about').textContent(), /cam::HttpParser::feed.*total [\d.]+ s \([\d.]+ %\), self .*src\/http_parser\.cc:40/);
    await shot(page, 'svg-light');
    await svgFrame(page, parser).click();
    assert.ok((await svgWidth(page, parser)) > before * 4);
    assert.equal(await svgFrame(page, 'SSL_write').isVisible(), false);
    await shot(page, 'svg-zoomed');
    await page.locator('#reset').click();
    assert.ok(Math.abs((await svgWidth(page, parser)) - before) < 1);
    await svgFrame(page, parser).click();
    await page.keyboard.press('Escape');
    assert.ok(Math.abs((await svgWidth(page, parser)) - before) < 1);
  }));

await check('the SVG searches', () =>
  open('server.cpu.svg', { scheme: 'dark' }, async (page) => {
    await page.keyboard.press('/');
    await page.keyboard.type('Arbiter::choose|HttpParser');
    const share = Number(/([\d.]+) % matched/.exec(await page.locator('#matched').textContent())[1]);
    assert.ok(share > 31 && share < 36, `${share}`);
    assert.ok((await page.locator('.f.hit').count()) >= 3);
    await shot(page, 'svg-search-dark');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.f.hit').count(), 0);
  }));

await check('the SVG fits narrow windows and holds hostile names as text', async () => {
  await open('server.live.svg', { width: 380, height: 600 }, async (page) => {
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
    await shot(page, 'svg-narrow');
  });
  await open('hostile.cpu.svg', {}, async (page) => {
    assert.equal(await page.locator('script').count(), 1);
    assert.ok((await page.locator('.f').count()) > 20);
    for (const f of (await page.locator('.f').all()).slice(0, 6)) await f.dispatchEvent('click');
    await page.locator('#search').fill('</script>');
    await shot(page, 'svg-hostile');
  });
});

await check('the SVG of 20,000 stacks opens', () =>
  open('large.cpu.svg', {}, async (page) => {
    assert.ok((await page.locator('.f').count()) <= 12_000);
    assert.match(await page.locator('#foot').textContent(), /lightest of \d+ frames are not drawn/);
    await shot(page, 'svg-large');
  }));

await browser.close();
await rm(profile, { recursive: true, force: true });
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
