import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { app } from './state/app.svelte';
import { prefs } from './state/prefs.svelte';

await prefs.start();
mount(App, { target: document.getElementById('app')! });
void app.start();

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // The policy of the page lets scripts be loaded only by what says so by name.
  const types = (window as { trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): string } } }).trustedTypes;
  const worker = types?.createPolicy('baraza', { createScriptURL: () => '/sw.js' }).createScriptURL('') ?? '/sw.js';
  navigator.serviceWorker.register(worker).catch(() => {});
  navigator.serviceWorker.addEventListener('message', (event) => {
    const hash = (event.data as { go?: string }).go;
    if (hash) location.hash = hash;
  });
}
