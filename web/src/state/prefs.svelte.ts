import { preferred, setLanguage, LANGUAGES, type Language } from '../i18n/index.svelte';
import { load, save } from '../lib/store';

export type Theme = 'auto' | 'light' | 'dark';

/** How this browser shows the app. */
class Prefs {
  language = $state<Language>('en');
  theme = $state<Theme>(load<Theme>('theme', 'auto'));
  contrast = $state<'auto' | 'more'>(load<'auto' | 'more'>('contrast', 'auto'));
  sound = $state(load('sound', true));
  notify = $state(load('notify', false));
  enterSends = $state(load('enterSends', true));

  async start(): Promise<void> {
    const kept = load<string>('language', '');
    await this.setLanguage(kept in LANGUAGES ? (kept as Language) : preferred(), false);
    this.dress();
  }

  async setLanguage(language: Language, keep = true): Promise<void> {
    await setLanguage(language);
    this.language = language;
    if (keep) save('language', language);
  }

  set<K extends 'theme' | 'contrast' | 'sound' | 'notify' | 'enterSends'>(name: K, value: Prefs[K]): void {
    (this as Prefs)[name] = value as never;
    save(name, value);
    this.dress();
  }

  private dress(): void {
    const root = document.documentElement;
    if (this.theme === 'auto') delete root.dataset.theme;
    else root.dataset.theme = this.theme;
    if (this.contrast === 'auto') delete root.dataset.contrast;
    else root.dataset.contrast = this.contrast;
  }
}

export const prefs = new Prefs();
