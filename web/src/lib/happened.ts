import type { Entry } from '../api/types';
import { known, t } from '../i18n/index.svelte';
import type { AccountState } from '../state/account.svelte';

/** Something that is no message, in words. */
export function happened(account: AccountState, entry: Entry): string {
  const { action = '', uri = '' } = entry.details;
  const whom = uri ? account.nameOf(uri) : '';
  // Who came or went is named by the commit, whoever wrote it.
  const itself = entry.kind === 'member' && (action === 'join' || action === 'remove');
  const actor = itself && uri ? uri : entry.author;
  const who = account.nameOf(actor);
  const what = entry.kind === 'member' ? action : entry.kind;
  const yours = `event.you.${what}`;
  if (actor === account.me && known(yours)) return t(yours, { whom });
  const key = `event.${what}`;
  return known(key) ? t(key, { who, whom }) : t('event.other', { who, text: entry.text });
}
