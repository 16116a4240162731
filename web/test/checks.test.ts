import { expect, test } from 'vitest';
import type { Status } from '../src/api/types';
import { checksOf } from '../src/lib/checks';

const mine = { running: true, enabled: true, announced: true, state: 'REGISTERED', backed_up: 1, diagnostics: { owed: 0, links: [] } };
const status = { dht: { good_ipv4: 30, good_ipv6: 0 }, bootstrap: ['a'] };
const of = (node: object, account: object) => Object.fromEntries(checksOf({ ...status, ...node } as unknown as Status, { ...mine, ...account } as never).map((one) => [one.name, one]));

test('all is well', () => {
  expect(Object.values(of({}, {})).map((one) => one.state)).toEqual(['good', 'good', 'good', 'good']);
});

test('each trouble has its colour and what to try', () => {
  expect(of({ dht: null }, {})['check.dht']).toMatchObject({ state: 'bad', hint: 'check.dht.endedhint' });
  expect(of({ dht: { good_ipv4: 0, good_ipv6: 0 } }, {})['check.dht']).toMatchObject({ state: 'bad', hint: 'check.dht.nonehint' });
  expect(of({ dht: { good_ipv4: 0, good_ipv6: 0 }, bootstrap: [] }, {})['check.dht']).toMatchObject({ hint: 'check.dht.alone' });
  expect(of({ dht: { good_ipv4: 2, good_ipv6: 0 } }, {})['check.dht']).toMatchObject({ state: 'fair' });
  expect(of({}, { running: false })['check.account']).toMatchObject({ state: 'bad' });
  expect(of({}, { enabled: false })['check.account']).toMatchObject({ state: 'fair' });
  expect(of({}, { announced: false })['check.account']).toMatchObject({ state: 'fair' });
  expect(of({}, { diagnostics: { owed: 2, links: [] } })['check.delivery']).toMatchObject({ state: 'fair', values: { n: 2 } });
  expect(of({}, { backed_up: null })['check.backup']).toMatchObject({ state: 'fair' });
});
