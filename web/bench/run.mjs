// `make bench-web`: how much the app loads at first, and how it scrolls through a long history.
//   node web/bench/run.mjs [MESSAGES]
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const MESSAGES = Number(process.argv[2] ?? 100_000);
const BARAZA = process.env.BARAZA ?? 'target/release/baraza';
const FILL = process.env.FILL ?? BARAZA.replace(/baraza$/, 'examples/crowd_data');
const LIMIT = 200 * 1024;
const data = mkdtempSync(join(tmpdir(), 'baraza-bench-web-'));

async function start() {
  const node = spawn(BARAZA, ['--json', '--data-dir', data, 'run', '--loopback', '--no-bootstrap', '--api', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const line = await new Promise((done, failed) => {
    node.stdout.once('data', (text) => done(String(text).split('\n')[0]));
    node.once('exit', (code) => failed(new Error(`the node ended with ${code}`)));
  });
  const { api } = JSON.parse(line);
  const token = readFileSync(join(data, 'api-token'), 'utf8').trim();
  const ask = async (path, options = {}) => (await fetch(`http://${api}/api/v1${path}`, { ...options, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' } })).json();
  return { node, api, ask, stop: () => node.exitCode !== null || new Promise((done) => { node.on('exit', done); node.kill('SIGTERM'); }) };
}

const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
let browser;
let running;
try {
  running = await start();
  const account = await running.ask('/accounts', { method: 'POST', body: JSON.stringify({ display_name: 'Bench' }) });
  await running.stop();
  const filled = spawnSync(FILL, [data, '1', String(MESSAGES)], { encoding: 'utf8' });
  if (filled.status !== 0) throw new Error(`${FILL}: ${filled.error ?? filled.stderr}`);
  running = await start();
  let conversation;
  for (;;) {
    [conversation] = await running.ask(`/accounts/${account.account}/conversations`);
    if (conversation?.length >= MESSAGES) break;
    await new Promise((done) => setTimeout(done, 500));
  }

  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  let bytes = 0;
  let files = 0;
  const ours = new Set();
  network.on('Network.responseReceived', ({ requestId, response }) => new URL(response.url).pathname.startsWith('/api/') || ours.add(requestId));
  network.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (!ours.has(requestId)) return;
    bytes += encodedDataLength;
    files++;
  });
  const { app } = JSON.parse(spawnSync(BARAZA, ['--json', '--data-dir', data, 'open'], { encoding: 'utf8' }).stdout);
  let begun = Date.now();
  await page.goto(app);
  const row = page.locator(`a[href="#/c/${conversation.id}"]`);
  await row.waitFor();
  console.log(`first load: ${(bytes / 1024).toFixed(1)} KiB in ${files} files (at most ${LIMIT / 1024}); the list is there after ${Date.now() - begun} ms`);
  if (bytes > LIMIT) process.exitCode = 1;

  begun = Date.now();
  await row.click();
  await page.locator('li[data-id]').first().waitFor();
  console.log(`a conversation of ${conversation.length} opens in ${Date.now() - begun} ms`);

  for (const way of ['up', 'down']) {
    begun = Date.now();
    const found = await page.evaluate(async (up) => {
      const box = document.querySelector('li[data-id]').closest('.box');
      const frames = [];
      let seen = new Set();
      let most = 0;
      let still = 0;
      let last = performance.now();
      for (;;) {
        const before = box.scrollTop;
        box.scrollTop += up ? -900 : 900;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
        const items = box.querySelectorAll('li[data-id]');
        most = Math.max(most, items.length);
        for (const item of [items[0], items[items.length - 1]]) seen.add(item.dataset.id);
        // At the end nothing moves and nothing comes any more.
        still = Math.abs(box.scrollTop - before) < 1 ? still + 1 : 0;
        if (still > 90) return { frames: frames.slice(0, -90), most, pages: seen.size };
      }
    }, way === 'up');
    const frames = found.frames.sort((a, b) => a - b);
    const memory = await page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
    console.log(
      `scrolling ${way} through all: ${((Date.now() - begun) / 1000).toFixed(1)} s, ${frames.length} frames, ms for one: ` +
        `median ${quantile(frames, 0.5).toFixed(1)}, 95 % ${quantile(frames, 0.95).toFixed(1)}, 99 % ${quantile(frames, 0.99).toFixed(1)}, longest ${frames.at(-1).toFixed(1)}; ` +
        `at most ${found.most} messages on the page, heap ${(memory / 1e6).toFixed(1)} MB`,
    );
  }
} finally {
  await browser?.close();
  await running?.stop();
  rmSync(data, { recursive: true, force: true });
}
