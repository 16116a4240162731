import { get, query } from '../api/client';
import type { Entry, EntryPage, NodeEvent } from '../api/types';
import type { AccountState } from './account.svelte';

/** Entries fetched at once. */
const PAGE = 50;
/** Most entries kept, and thus most on the page: older or newer ones are fetched again. */
const MOST = 250;

/** A part of a conversation's history: as much as is on the page, however long the whole is. */
export class Thread {
  /** Oldest first. */
  entries = $state.raw<Entry[]>([]);
  ready = $state(false);
  failed = $state<unknown>(null);
  loading = $state<'older' | 'newer' | null>(null);
  hasOlder = $state(false);
  hasNewer = $state(false);
  firstUnread = $state<string | null>(null);
  #timer = 0;
  #path: string;

  constructor(
    readonly account: AccountState,
    readonly conversation: string,
  ) {
    this.#path = account.conversationPath(conversation) + '/entries';
  }

  private page(at: Record<string, string | number | boolean | undefined>): Promise<EntryPage> {
    return get<EntryPage>(this.#path + query({ limit: PAGE, ...at }));
  }

  /** Shows the newest entries, those around one, or the first unread ones. */
  async open(at: { around?: string; unread?: boolean } = {}): Promise<void> {
    this.failed = null;
    try {
      const page = await this.page(at);
      this.entries = page.entries.reverse();
      this.hasOlder = !!page.older;
      this.hasNewer = !!page.newer;
      this.firstUnread = page.first_unread ?? null;
      this.ready = true;
    } catch (error) {
      this.failed = error;
    }
  }

  async loadOlder(): Promise<void> {
    const first = this.entries[0];
    if (!first || !this.hasOlder || this.loading) return;
    this.loading = 'older';
    try {
      const page = await this.page({ before: first.id });
      const all = [...page.entries.reverse(), ...this.entries];
      if (all.length > MOST) this.hasNewer = true;
      this.entries = all.slice(0, MOST);
      this.hasOlder = !!page.older;
    } catch (error) {
      this.failed = error;
    } finally {
      this.loading = null;
    }
  }

  async loadNewer(): Promise<void> {
    const last = this.entries.at(-1);
    if (!last || !this.hasNewer || this.loading) return;
    this.loading = 'newer';
    try {
      const page = await this.page({ after: last.id });
      const all = [...this.entries, ...page.entries.reverse()];
      if (all.length > MOST) this.hasOlder = true;
      this.entries = all.slice(-MOST);
      this.hasNewer = !!page.newer;
    } catch (error) {
      this.failed = error;
    } finally {
      this.loading = null;
    }
  }

  /** Takes in what is new at the end. */
  async refresh(): Promise<void> {
    if (this.hasNewer || !this.ready) return;
    const page = await this.page({}).catch(() => null);
    if (!page || this.hasNewer) return;
    const fresh = page.entries.reverse();
    const at = fresh[0] ? this.entries.findIndex((entry) => entry.id === fresh[0]!.id) : -1;
    if (at < 0 && this.entries.length > 0 && page.older) {
      // More came than a page holds: begin anew at the end.
      this.entries = fresh;
      this.hasOlder = true;
      return;
    }
    const kept = new Map(this.entries.map((entry) => [entry.id, entry]));
    // An entry that did not change stays the same object, and is not drawn again.
    const tail = fresh.map((entry) => {
      const old = kept.get(entry.id);
      return old && JSON.stringify(old) === JSON.stringify(entry) ? old : entry;
    });
    const all = [...(at > 0 ? this.entries.slice(0, at) : []), ...tail];
    if (all.length > MOST) this.hasOlder = true;
    else if (at < 0) this.hasOlder = !!page.older;
    this.entries = all.slice(-MOST);
  }

  /** Reads one entry anew. */
  async refreshEntry(id: string): Promise<void> {
    if (!this.entries.some((entry) => entry.id === id)) return;
    const page = await this.page({ around: id, limit: 1 }).catch(() => null);
    const fresh = page?.entries.find((entry) => entry.id === id);
    if (fresh) this.entries = this.entries.map((entry) => (entry.id === id ? fresh : entry));
  }

  told(event: NodeEvent): void {
    if (event.conversation !== this.conversation) return;
    if (event.event === 'message_received') {
      const message = event.message as Record<string, string>;
      const target = message.edit || message['react-to'];
      // What is edited may be a reaction, to take it back.
      const holder = this.entries.find((entry) => entry.reactions.some((one) => one.id === target));
      if (target) void this.refreshEntry(holder?.id ?? target);
    }
    if (['message_received', 'message_delivered', 'message_read', 'member_event', 'conversation_ready'].includes(event.event)) this.soon();
  }

  /** Refreshes soon, once for many events. */
  soon(): void {
    if (this.#timer) return;
    this.#timer = window.setTimeout(() => {
      this.#timer = 0;
      void this.refresh();
    }, 80);
  }
}
