import { ApiError, get, whenSignedOut } from '../api/client';
import { EventStream } from '../api/events';
import { signedIn, signIn, takeCode } from '../api/session';
import type { Account, NodeEvent, Status } from '../api/types';
import { load, save } from '../lib/store';
import { go, replace, route } from '../lib/router.svelte';
import { AccountState } from './account.svelte';
import { tellOf } from './notices.svelte';

export type Phase = 'starting' | 'away' | 'login' | 'welcome' | 'main';

class App {
  phase = $state<Phase>('starting');
  accounts = $state.raw<AccountState[]>([]);
  current = $state.raw<AccountState | null>(null);
  /** Whether the node's events arrive. */
  linked = $state(true);
  /** Told of each event, beside the account: what is open on the screen. */
  listeners = new Set<(event: NodeEvent, account: AccountState) => void>();
  /** Called when events arrive again after a pause. */
  returns = new Set<() => void>();
  #stream: EventStream | null = null;

  async start(): Promise<void> {
    whenSignedOut(() => this.signedOut());
    const code = takeCode();
    if (code) {
      try {
        await signIn({ code });
        replace();
      } catch {
        // The page may be signed in already; else it asks for a new code.
      }
    }
    await this.enter();
  }

  /** Goes on as far as the session lets. */
  async enter(): Promise<void> {
    try {
      if (!(await signedIn())) {
        this.phase = 'login';
        return;
      }
      const status = await get<Status>('/status');
      await this.loadAccounts();
      this.#stream?.close();
      this.#stream = new EventStream(status.cursor, (event) => this.told(event), (open) => this.linkChanged(open));
      this.phase = this.accounts.length ? 'main' : 'welcome';
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return;
      this.phase = 'away';
      setTimeout(() => this.phase === 'away' && this.enter(), 2000);
    }
  }

  signedOut(): void {
    this.#stream?.close();
    this.#stream = null;
    this.phase = 'login';
  }

  async loadAccounts(): Promise<void> {
    const all = await get<Account[]>('/accounts');
    this.accounts = all.map((identity) => {
      const known = this.accounts.find((one) => one.id === identity.account);
      if (!known) return new AccountState(identity);
      known.identity = identity;
      return known;
    });
    await Promise.all(this.accounts.filter((one) => one.identity.device_id).map((one) => one.load()));
    const wanted = this.current?.id ?? load('account', '');
    this.current = this.accounts.find((one) => one.id === wanted) ?? this.accounts[0] ?? null;
  }

  choose(id: string): void {
    this.current = this.accounts.find((one) => one.id === id) ?? this.current;
    save('account', this.current?.id);
    go();
  }

  private linkChanged(open: boolean): void {
    const back = open && !this.linked;
    this.linked = open;
    if (back) {
      for (const call of this.returns) call();
    } else if (!open) {
      // A session may have ended with the node.
      signedIn().then((yes) => yes || this.signedOut()).catch(() => {});
    }
  }

  private told(event: NodeEvent): void {
    if (event.event === 'gap') {
      void this.loadAccounts().then(() => this.returns.forEach((call) => call()));
      return;
    }
    if (event.event === 'account_added' || event.event === 'account_removed') {
      void this.loadAccounts().then(() => {
        if (!this.accounts.length) this.phase = 'welcome';
      });
      return;
    }
    for (const account of this.meant(event)) {
      account.told(event);
      for (const call of this.listeners) call(event, account);
      tellOf(event, account, this.current === account && route()[0] === 'c' && route()[1] === event.conversation);
    }
  }

  /** Whose an event is. Where `account` is another person, the conversation tells. */
  private meant(event: NodeEvent): AccountState[] {
    const named = this.accounts.find((one) => one.id === event.account);
    if (named) return [named];
    if (!event.conversation) return this.accounts;
    return this.accounts.filter((one) => one.conversations.has(event.conversation!));
  }
}

export const app = new App();
