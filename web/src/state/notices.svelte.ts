import type { NodeEvent } from '../api/types';
import { t } from '../i18n/index.svelte';
import { href } from '../lib/router.svelte';
import type { AccountState } from './account.svelte';
import { prefs } from './prefs.svelte';

/** Said to screen readers, when they have a moment. */
export const live = $state({ text: '', urgent: '' });
/** Short notes on the screen, that go by themselves. */
export const toasts = $state<{ id: number; text: string; error: boolean }[]>([]);
let next = 0;

export function announce(text: string): void {
  // The same text twice would not be said again.
  live.text = live.text === text ? text + '\u200b' : text;
}

export function toast(text: string, error = false): void {
  const id = next++;
  toasts.push({ id, text, error });
  setTimeout(() => dismiss(id), error ? 9000 : 4500);
}

export function dismiss(id: number): void {
  const at = toasts.findIndex((one) => one.id === id);
  if (at >= 0) toasts.splice(at, 1);
}

/** An error as a toast. */
export function fail(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return;
  const { message, hint, away } = error as { message?: string; hint?: string; away?: boolean };
  toast(away ? t('error.away') : [message ?? String(error), hint].filter(Boolean).join(' — '), true);
}

/** Tells the person of what came in, unless they look at it. */
export function tellOf(event: NodeEvent, account: AccountState, open: boolean): void {
  if (event.event === 'request_received') {
    const name = (event.name as string) || (event.from as string).slice(0, 8);
    notify(t('notice.request', { name }), '', href('requests', event.conversation!), true);
    return;
  }
  if (event.event !== 'message_received') return;
  const message = event.message as Record<string, string>;
  const conversation = account.conversations.get(event.conversation!);
  const speaks = message.type === 'text/plain' || message.type === 'application/data-transfer+json';
  if (!conversation || message.author === account.me || !speaks || message.edit || message['react-to']) return;
  const text = message.type === 'text/plain' ? (message.body ?? '') : t('file.named', { name: message.displayName ?? '' });
  const name = account.nameOf(message.author!);
  announce(t('notice.message', { name, text }));
  if (account.muted(conversation.id)) return;
  const watching = open && document.hasFocus();
  if (!watching) {
    const title = conversation.mode === 0 ? name : t('notice.ingroup', { name, group: account.titleOf(conversation) });
    notify(title, text, href('c', conversation.id), false);
  }
}

function notify(title: string, body: string, hash: string, say: boolean): void {
  if (say) announce(title);
  if (prefs.sound) chime();
  if (!prefs.notify || document.hasFocus() || !('Notification' in window) || Notification.permission !== 'granted') return;
  const options = { body: body.slice(0, 200), icon: '/icon-192.png', tag: hash, data: { hash } };
  navigator.serviceWorker?.ready.then((worker) => worker.showNotification(title, options)).catch(() => {});
}

let audio: AudioContext | null = null;
/** Two soft notes. */
function chime(): void {
  // Before the person has touched the page, browsers allow no sound.
  if (!navigator.userActivation?.hasBeenActive) return;
  audio ??= new AudioContext();
  [523.25, 659.25].forEach((frequency, place) => {
    const start = audio!.currentTime + place * 0.11;
    const tone = audio!.createOscillator();
    const volume = audio!.createGain();
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.08, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0005, start + 0.45);
    tone.connect(volume).connect(audio!.destination);
    tone.start(start);
    tone.stop(start + 0.5);
  });
}
