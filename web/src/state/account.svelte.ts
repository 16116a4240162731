import { SvelteMap } from 'svelte/reactivity';
import { ApiError, get, post, query } from '../api/client';
import type { Account, Contact, ContactRequest, Conversation, Entry, EntryPage, FileView, GroupProfile, NodeEvent, Profile } from '../api/types';
import { list, t } from '../i18n/index.svelte';
import { pictureUrl } from '../lib/picture';
import { toast } from './notices.svelte';

/** What is shown of a person or a group. */
export interface Face {
  name: string;
  picture: string | null;
}

const shortId = (id: string) => id.slice(0, 8);

/** All that the app knows of one account, kept up to date by events. */
export class AccountState {
  identity = $state.raw<Account>() as Account;
  loaded = $state(false);
  conversations = new SvelteMap<string, Conversation>();
  contacts = new SvelteMap<string, Contact>();
  requests = $state.raw<ContactRequest[]>([]);
  faces = new SvelteMap<string, Face>();
  groups = new SvelteMap<string, GroupProfile & Face>();
  preferences = new SvelteMap<string, Record<string, string>>();
  files = new SvelteMap<string, FileView>();
  quotes = new SvelteMap<string, Entry | null>();
  typing = new SvelteMap<string, string[]>();
  #asked = new Set<string>();
  #turns = new Map<string, number>();
  #touched = new Map<string, number>();
  #typingEnds = new Map<string, number>();
  readonly path: string;

  constructor(identity: Account) {
    this.identity = identity;
    this.path = '/accounts/' + identity.account;
  }

  get id(): string {
    return this.identity.account;
  }
  get me(): string {
    return this.identity.jami_id;
  }
  conversationPath(conversation: string): string {
    return `${this.path}/conversations/${conversation}`;
  }

  /** Conversations, the one where something happened last first. */
  readonly sorted = $derived.by(() =>
    [...this.conversations.values()].sort((a, b) => (b.newest?.timestamp ?? 0) - (a.newest?.timestamp ?? 0)),
  );
  readonly unread = $derived.by(() =>
    this.requests.length +
    [...this.conversations.values()].reduce((sum, one) => sum + (this.muted(one.id) ? 0 : (one.unread ?? 0)), 0),
  );

  async load(): Promise<void> {
    await Promise.all([this.loadConversations(), this.loadContacts(), this.loadRequests()]);
    this.loaded = true;
  }

  async loadConversations(): Promise<void> {
    const all = await get<Conversation[]>(this.path + '/conversations');
    const ids = new Set(all.map((one) => one.id));
    for (const id of [...this.conversations.keys()]) if (!ids.has(id)) this.conversations.delete(id);
    for (const one of all) {
      this.conversations.set(one.id, one);
      void this.loadPreferences(one.id);
      if (one.mode !== 0) void this.loadGroup(one.id);
    }
  }

  async loadContacts(): Promise<void> {
    const all = await get<Contact[]>(this.path + '/contacts');
    const ids = new Set(all.map((one) => one.id));
    for (const id of [...this.contacts.keys()]) if (!ids.has(id)) this.contacts.delete(id);
    for (const one of all) this.contacts.set(one.id, one);
  }

  /** Asks somebody to talk; the conversation with them, if there is one at once. */
  async ask(id: string, message: string): Promise<string | null> {
    const asked = await post<{ conversation?: string | null }>(this.path + '/contacts', { id, message });
    await Promise.all([this.loadContacts(), this.loadConversations()]);
    toast(t('new.asked'));
    return asked.conversation ?? null;
  }

  async loadRequests(): Promise<void> {
    this.requests = await get<ContactRequest[]>(this.path + '/requests');
  }

  async loadIdentity(): Promise<void> {
    this.identity = await get<Account>(this.path);
  }

  async loadPreferences(conversation: string): Promise<void> {
    this.preferences.set(conversation, await get(this.conversationPath(conversation) + '/preferences'));
  }

  async loadGroup(conversation: string): Promise<void> {
    const profile = await get<GroupProfile>(this.conversationPath(conversation) + '/profile');
    this.groups.set(conversation, { ...profile, name: profile.title ?? '', picture: pictureUrl(profile.avatar) });
  }

  /** Asks for a person's name and picture, once. */
  wantFace(id: string): void {
    if (this.#asked.has(id)) return;
    this.#asked.add(id);
    // Of two answers under way, the one to the later question counts.
    const turn = (this.#turns.get(id) ?? 0) + 1;
    this.#turns.set(id, turn);
    const path = id === this.me ? '/profile' : `/contacts/${id}/profile`;
    get<Profile>(this.path + path)
      .then((profile) => {
        if (this.#turns.get(id) !== turn) return;
        this.faces.set(id, { name: profile.name, picture: pictureUrl(profile.picture, profile.picture_type) });
      })
      .catch(() => this.#asked.delete(id));
  }

  /** Asks for where a file is, once; events tell the rest. */
  wantFile(conversation: string, message: string): void {
    const name = 'file ' + message;
    if (this.#asked.has(name)) return;
    this.#asked.add(name);
    get<FileView>(`${this.conversationPath(conversation)}/files/${message}`)
      .then((file) => this.files.set(message, file))
      .catch(() => this.#asked.delete(name));
  }

  /** Asks for a message that another one answers, once. */
  wantQuote(conversation: string, message: string): void {
    const name = 'quote ' + message;
    if (this.#asked.has(name)) return;
    this.#asked.add(name);
    get<EntryPage>(`${this.conversationPath(conversation)}/entries${query({ around: message, limit: 1 })}`)
      .then((page) => this.quotes.set(message, page.entries.find((entry) => entry.id === message) ?? null))
      .catch((error) => {
        if (error instanceof ApiError && error.away) this.#asked.delete(name);
        else this.quotes.set(message, null);
      });
  }

  nameOf(id: string): string {
    if (id === this.me) return t('you');
    const contact = this.contacts.get(id);
    return contact?.name || this.faces.get(id)?.name || contact?.registered_name || shortId(id);
  }

  /** Whether a name is known; if not, only the beginning of the Jami ID is shown. */
  named(id: string): boolean {
    return this.nameOf(id) !== shortId(id);
  }

  /** The other one of a conversation of two. */
  other(conversation: Conversation): string | null {
    if (conversation.mode !== 0) return null;
    return conversation.members.find((member) => member !== this.me) ?? this.contactOf(conversation.id) ?? this.me;
  }

  private contactOf(conversation: string): string | undefined {
    for (const contact of this.contacts.values()) if (contact.conversation === conversation) return contact.id;
    return undefined;
  }

  titleOf(conversation: Conversation): string {
    const other = this.other(conversation);
    if (other) return other === this.me ? this.identity.display_name : this.nameOf(other);
    const title = this.groups.get(conversation.id)?.title;
    if (title) return title;
    const others = conversation.members.filter((member) => member !== this.me);
    return others.length ? list(others.slice(0, 4).map((id) => this.nameOf(id))) : t('group.unnamed');
  }

  muted(conversation: string): boolean {
    return this.preferences.get(conversation)?.ignoreNotifications === 'true';
  }

  /** Reads a conversation anew, soon, however often it is asked for. */
  touch(conversation: string): void {
    if (this.#touched.has(conversation)) return;
    this.#touched.set(
      conversation,
      window.setTimeout(() => {
        this.#touched.delete(conversation);
        get<Conversation>(this.conversationPath(conversation))
          .then((one) => this.conversations.set(one.id, one))
          .catch((error) => {
            if (error instanceof ApiError && error.status === 404) this.conversations.delete(conversation);
          });
      }, 120),
    );
  }

  told(event: NodeEvent): void {
    const conversation = event.conversation ?? '';
    switch (event.event) {
      case 'registration_state_changed':
      case 'device_announced':
        void this.loadIdentity();
        break;
      case 'request_received':
      case 'request_removed':
        void this.loadRequests();
        break;
      case 'contact_added':
      case 'contact_removed':
        void this.loadContacts();
        break;
      case 'presence_changed': {
        const contact = this.contacts.get(event.contact as string);
        if (contact) this.contacts.set(contact.id, { ...contact, presence: event.presence as Contact['presence'] });
        break;
      }
      case 'conversation_ready':
        void this.loadConversations();
        void this.loadContacts();
        break;
      case 'conversation_removed':
        this.conversations.delete(conversation);
        break;
      case 'conversation_diverged':
      case 'member_event':
        this.touch(conversation);
        break;
      case 'message_received': {
        this.touch(conversation);
        const message = event.message as Record<string, string>;
        this.quotes.delete(message.edit ?? '');
        this.#asked.delete('quote ' + message.edit);
        if (message.type === 'application/update-profile') void this.loadGroup(conversation);
        this.setTyping(conversation, message.author ?? '', false);
        break;
      }
      case 'message_read':
        if (event.account === this.me) this.touch(conversation);
        break;
      case 'composing_changed':
        this.setTyping(conversation, event.account as string, event.active as boolean);
        break;
      case 'preferences_changed':
        void this.loadPreferences(conversation);
        break;
      case 'profile_changed':
      case 'name_changed':
        for (const id of [event.account as string, event.id as string]) if (this.#asked.delete(id)) this.wantFace(id);
        void this.loadContacts();
        void this.loadIdentity();
        break;
      case 'file_changed': {
        const message = event.message as string;
        const file = this.files.get(message);
        const status = event.status as FileView['status'];
        if (file) this.files.set(message, { ...file, status, received: event.received as number });
        if (file?.status !== status) {
          this.#asked.delete('file ' + message);
          this.wantFile(conversation, message);
        }
        break;
      }
    }
  }

  setTyping(conversation: string, who: string, active: boolean): void {
    if (who === this.me) return;
    const others = (this.typing.get(conversation) ?? []).filter((one) => one !== who);
    if (active) others.push(who);
    else if (!this.typing.has(conversation)) return;
    if (others.length) this.typing.set(conversation, others);
    else this.typing.delete(conversation);
    const name = conversation + who;
    clearTimeout(this.#typingEnds.get(name));
    // Whoever goes away says no end.
    if (active) this.#typingEnds.set(name, window.setTimeout(() => this.setTyping(conversation, who, false), 15_000));
  }
}
