import { ApiError, post } from '../api/client';
import { load, save } from '../lib/store';
import type { AccountState } from './account.svelte';

/** A text that the node has not taken yet. */
export interface Waiting {
  /** The same for every attempt, so that the node takes it once. */
  key: string;
  account: string;
  conversation: string;
  body: string;
  reply_to?: string;
  /** Why the node refused it. */
  refused?: string;
  /** The node ended while it took it: with this key it will never say more. */
  unknown?: boolean;
}

/** Texts on their way to the node, kept on this machine until it has them. */
class Outbox {
  waiting = $state<Waiting[]>(load<Waiting[]>('outbox', []));
  #sending = false;

  of(account: string, conversation: string): Waiting[] {
    return this.waiting.filter((one) => one.account === account && one.conversation === conversation);
  }

  async add(account: AccountState, conversation: string, body: string, replyTo?: string): Promise<void> {
    this.waiting.push({ key: crypto.randomUUID(), account: account.id, conversation, body, reply_to: replyTo });
    this.keep();
    await this.send();
  }

  drop(key: string): void {
    this.waiting = this.waiting.filter((one) => one.key !== key);
    this.keep();
  }

  /** Sends what waits, in order, as far as the node takes it. */
  async send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (;;) {
        const one = this.waiting.find((each) => !each.refused);
        if (!one) return;
        const path = `/accounts/${one.account}/conversations/${one.conversation}/messages`;
        try {
          await post(path, { body: one.body, reply_to: one.reply_to }, { key: one.key });
        } catch (error) {
          if (error instanceof ApiError && (error.away || error.status === 503 || error.status === 401)) return;
          one.refused = (error as Error).message;
          one.unknown = error instanceof ApiError && error.code === 'outcome_unknown';
          this.keep();
          continue;
        }
        this.drop(one.key);
      }
    } finally {
      this.#sending = false;
    }
  }

  retry(key: string): void {
    const one = this.waiting.find((each) => each.key === key);
    if (one) {
      delete one.refused;
      if (one.unknown) one.key = crypto.randomUUID();
      delete one.unknown;
    }
    void this.send();
  }

  private keep(): void {
    save('outbox', this.waiting.length ? this.waiting : null);
  }
}

export const outbox = new Outbox();
