import { query, upload } from '../api/client';
import type { AccountState } from './account.svelte';
import { fail } from './notices.svelte';

/** A file on its way to the node. */
export interface Upload {
  id: string;
  conversation: string;
  name: string;
  size: number;
  part: number;
  stop: () => void;
}

class Uploads {
  all = $state<Upload[]>([]);

  of(conversation: string): Upload[] {
    return this.all.filter((one) => one.conversation === conversation);
  }

  async add(account: AccountState, conversation: string, file: File, replyTo?: string): Promise<void> {
    const stop = new AbortController();
    const id = crypto.randomUUID();
    this.all.push({ id, conversation, name: file.name, size: file.size, part: 0, stop: () => stop.abort() });
    const one = this.all.find((each) => each.id === id)!;
    const path = `${account.conversationPath(conversation)}/files${query({ name: file.name || 'file', reply_to: replyTo })}`;
    try {
      await upload(path, file, (part) => (one.part = part), stop.signal, id);
    } catch (error) {
      fail(error);
    } finally {
      this.all = this.all.filter((each) => each.id !== id);
    }
  }
}

export const uploads = new Uploads();
