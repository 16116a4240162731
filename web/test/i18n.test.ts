import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import en from '../src/i18n/en.json';
import fa from '../src/i18n/fa.json';
import fr from '../src/i18n/fr.json';

const all: Record<string, Record<string, string>> = { en, fr, fa };
const base = (key: string) => key.split('#')[0]!;
const sources = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : /\.(svelte|ts)$/.test(entry.name) ? [readFileSync(path, 'utf8')] : [];
  });
const source = sources('src').join('\n');

/** Keys in the source: whole ones, and patterns of those that are put together. */
const used = new Set<string>();
const patterns: RegExp[] = [];
for (const [, text] of source.matchAll(/(?:\bt|\bknown)\(\s*'([^']+)'/g)) used.add(text!);
for (const [, text] of source.matchAll(/'((?:check|unit)\.[a-z.]+)'/g)) used.add(text!);
// Texts that hold `${…}`: in `t(…)`, and as the name of a key.
for (const [, text] of source.matchAll(/(?:\b(?:t|say)\(|(?:key|yours) = )`([^`\s]*\$\{[^`]*)`/g)) {
  const parts = text!.split(/\$\{[^}]*\}/).map((part) => part.replace(/[.]/g, '\\.'));
  patterns.push(new RegExp('^' + parts.join('[a-z_]+') + '$'));
}

test('every language has all texts, and no other ones', () => {
  const wanted = new Set(Object.keys(en).map(base));
  for (const [language, texts] of Object.entries(all)) {
    expect(new Set(Object.keys(texts).map(base)), language).toEqual(wanted);
    for (const [key, text] of Object.entries(texts)) expect(text, `${language}: ${key}`).not.toBe('');
  }
});

test('texts with a number have the forms that the language needs', () => {
  for (const [language, texts] of Object.entries(all)) {
    const counted = new Set(Object.keys(texts).filter((key) => key.includes('#')).map(base));
    // Only whole numbers up to some thousands are counted in the app.
    const rules = new Intl.PluralRules(language);
    const forms = new Set(Array.from({ length: 2000 }, (_, n) => rules.select(n)));
    for (const key of counted) for (const form of forms) expect(Object.keys(texts), `${language}: ${key}`).toContain(`${key}#${form}`);
  }
});

test('translations have the same places to fill', () => {
  const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
  for (const texts of [fr, fa] as Record<string, string>[]) {
    for (const [key, text] of Object.entries(texts)) {
      const original = (en as Record<string, string>)[key];
      if (original !== undefined) expect(places(text), key).toEqual(places(original));
    }
  }
});

test('no text is missing', () => {
  const keys = new Set(Object.keys(en).map(base));
  expect([...used].filter((key) => !keys.has(key))).toEqual([]);
  for (const pattern of patterns) expect([...keys].some((key) => pattern.test(key)), String(pattern)).toBe(true);
});

test('no text is unused', () => {
  const unused = Object.keys(en).map(base).filter((key) => !used.has(key) && !patterns.some((pattern) => pattern.test(key)));
  expect([...new Set(unused)]).toEqual([]);
});

test('every code that the node may give has words', () => {
  const schema = readFileSync('../docs/openapi.json', 'utf8');
  const pending = /what is being waited for: ([^.]*)\./.exec(schema)![1]!.match(/`(\w+)`/g)!;
  for (const code of pending) expect(en).toHaveProperty([`pending.${code.replaceAll('`', '')}`]);
  // Of the doctor: what it found, how it is called, and what was measured.
  const { CheckResult, Finding, Measured } = JSON.parse(schema).components.schemas;
  const codes: [string, string[]][] = [
    ['check', CheckResult.properties.check.enum],
    ['verdict', CheckResult.properties.verdict.enum],
    ['code', Finding.properties.code.enum],
    ['fact', Measured.properties.name.enum],
  ];
  for (const [kind, all] of codes) {
    expect(all.length, kind).toBeGreaterThan(3);
    const named = Object.keys(en).filter((key) => key.startsWith(`doctor.${kind}.`));
    expect(named.sort()).toEqual(all.map((code) => `doctor.${kind}.${code}`).sort());
  }
});
