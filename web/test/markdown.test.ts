import { expect, test } from 'vitest';
import { blocks, emojiOnly, inline } from '../src/lib/markdown';

const text = (text: string) => ({ kind: 'text', text });

test('the usual signs', () => {
  expect(inline('a **b** *c* `d*e*` ~~f~~')).toEqual([
    text('a '),
    { kind: 'bold', inner: [text('b')] },
    text(' '),
    { kind: 'italic', inner: [text('c')] },
    text(' '),
    { kind: 'code', text: 'd*e*' },
    text(' '),
    { kind: 'strike', inner: [text('f')] },
  ]);
});

test('what is no sign stays as it is', () => {
  for (const plain of ['2 * 3 * 4', 'snake_case_name', '**', '* a', 'a ** b ** c', '<b>x</b>', '&lt;']) expect(inline(plain)).toEqual([text(plain)]);
});

test('addresses become links, without the sentence’s end', () => {
  expect(inline('see https://example.org/a_b_(c).')).toEqual([text('see '), { kind: 'link', href: 'https://example.org/a_b_(c', text: 'https://example.org/a_b_(c' }, text(').')]);
  expect(inline('[here](https://example.org)')).toEqual([{ kind: 'link', href: 'https://example.org/', text: 'here' }]);
});

test('no link leads to a script, and none lies about where it leads', () => {
  expect(JSON.stringify(inline('[x](javascript:alert(1)) javascript:alert(1) data:text/html,x'))).not.toContain('"link"');
  expect(inline('[https://bank.example](https://evil.example/)')).toEqual([{ kind: 'link', href: 'https://evil.example/', text: 'https://evil.example/' }]);
});

test('blocks', () => {
  expect(blocks('a\nb\n\n> c\n> d\n\n- e\n- f\n\n3. g\n```\n<h>\n```')).toEqual([
    { kind: 'paragraph', lines: [[text('a')], [text('b')]] },
    { kind: 'quote', lines: [[text('c')], [text('d')]] },
    { kind: 'list', ordered: false, start: 1, items: [[text('e')], [text('f')]] },
    { kind: 'list', ordered: true, start: 3, items: [[text('g')]] },
    { kind: 'code', text: '<h>' },
  ]);
});

test('every line comes out somewhere, and hostile texts take no time', () => {
  for (const hard of ['*'.repeat(16_000), '**a'.repeat(5000), '['.repeat(16_000), '`'.repeat(16_001), '> '.repeat(8000), '~~x'.repeat(5000), '_a '.repeat(5000), 'https://'.repeat(2000)]) {
    const start = performance.now();
    blocks(hard);
    expect(performance.now() - start, hard.slice(0, 8)).toBeLessThan(1500);
  }
  expect(blocks('```\nnever closed')).toEqual([{ kind: 'paragraph', lines: [[text('```')], [text('never closed')]] }]);
});

test('emoji alone', () => {
  for (const yes of ['👍', '❤️', '👩‍👩‍👧 🎉', '🇹🇿']) expect(emojiOnly(yes), yes).toBe(true);
  for (const no of ['', '1', 'a👍', '👍👍👍👍👍👍👍👍👍👍👍👍👍', '#']) expect(emojiOnly(no), no).toBe(false);
});
