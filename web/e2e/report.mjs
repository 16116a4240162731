// Steps with their times, checks for accessibility, and pictures.
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { directory, ROOT } from './world.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'));
export const shooting = !process.argv.includes('--no-pictures');
let passed = 0;
let failed = 0;
export const pages = new Set();

/** One thing that must work. Later steps go on even if it does not. */
export async function step(name, what) {
  const start = Date.now();
  try {
    await what();
    passed++;
    console.log(`ok     ${((Date.now() - start) / 1000).toFixed(1).padStart(5)} s  ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${((Date.now() - start) / 1000).toFixed(1).padStart(5)} s  ${name}\n       ${String(error.stack ?? error).split('\n').slice(0, 14).join('\n       ')}`);
    let at = 0;
    for (const page of pages) await page.screenshot({ path: join(directory, '..', `baraza-e2e-failed-${failed}-${at++}.png`) }).catch(() => {});
  }
}

/** WCAG 2.2 A and AA, and axe's best practices, on what the page shows. */
export async function accessible(page, view) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
    return result.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? '')).join(' | ')}`);
  });
  if (found.length) throw new Error(`axe on ${view}:\n${found.join('\n')}`);
}

/** Waits until a view has what it asked the node for. */
export const settled = (page) =>
  page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('progress:indeterminate, [aria-busy=true]') && [...document.images].every((image) => image.complete));

export async function picture(page, name) {
  if (!shooting) return;
  const folder = join(ROOT, 'docs/screenshots');
  mkdirSync(folder, { recursive: true });
  await settled(page);
  await page.screenshot({ path: join(folder, name + '.png') });
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Waits until something holds. */
export async function until(what, message, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${message}: not in ${seconds} s`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

export const wanted = (name) => !only.length || only.includes(name);

export function summary() {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}
