import type { Status } from '../api/types';

/** One thing that was looked at: how it is, in words, and what to try. */
export interface Check {
  /** A text of the app, or words for people. */
  name: string;
  state: 'good' | 'fair' | 'bad';
  verdict: string;
  hint?: string;
  values?: Record<string, string | number>;
}

type Mine = Status['accounts'][number];

/** What the node's state means for a person. */
export function checksOf(status: Status, mine: Mine): Check[] {
  const nodes = (status.dht?.good_ipv4 ?? 0) + (status.dht?.good_ipv6 ?? 0);
  const checks: Check[] = [];
  checks.push(
    !status.dht
      ? { name: 'check.dht', state: 'bad', verdict: 'check.dht.ended', hint: 'check.dht.endedhint' }
      : nodes === 0
        ? { name: 'check.dht', state: 'bad', verdict: 'check.dht.none', hint: status.bootstrap.length ? 'check.dht.nonehint' : 'check.dht.alone' }
        : nodes < 4
          ? { name: 'check.dht', state: 'fair', verdict: 'check.dht.few', values: { n: nodes }, hint: 'check.dht.fewhint' }
          : { name: 'check.dht', state: 'good', verdict: 'check.dht.well', values: { n: nodes } },
  );
  if (!mine.running) checks.push({ name: 'check.account', state: 'bad', verdict: 'check.account.stopped', hint: 'check.account.stoppedhint' });
  else if (mine.enabled === false) checks.push({ name: 'check.account', state: 'fair', verdict: 'check.account.disabled', hint: 'check.account.disabledhint' });
  else if (mine.state === 'ERROR_GENERIC') checks.push({ name: 'check.account', state: 'bad', verdict: 'check.account.error', hint: 'check.account.stoppedhint' });
  else if (mine.announced) checks.push({ name: 'check.account', state: 'good', verdict: 'check.account.found' });
  else checks.push({ name: 'check.account', state: 'fair', verdict: 'check.account.soon', hint: 'check.account.soonhint' });
  const { owed, links } = mine.diagnostics;
  checks.push(
    owed === 0
      ? { name: 'check.delivery', state: 'good', verdict: 'check.delivery.all', values: { n: links.length } }
      : { name: 'check.delivery', state: 'fair', verdict: 'check.delivery.owed', values: { n: owed }, hint: 'check.delivery.owedhint' },
  );
  checks.push(
    mine.backed_up
      ? { name: 'check.backup', state: 'good', verdict: 'check.backup.made' }
      : { name: 'check.backup', state: 'fair', verdict: 'check.backup.never', hint: 'check.backup.hint' },
  );
  return checks;
}
