// Keeps the app's own files, so that it opens without the node and says that it is away.
// Nothing of the API is ever kept.
const CACHE = 'baraza-' + "VERSION";
const FILES = ["FILES"];

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  const old = (name) => name.startsWith('baraza-') && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== location.origin) return;
  if (url.pathname === '/api' || url.pathname.startsWith('/api/')) return;
  const page = event.request.mode === 'navigate';
  if (page) {
    // The node's page first: it may be newer.
    event.respondWith(fetch(event.request).catch(() => caches.match('/')));
  } else {
    event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)));
  }
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const hash = event.notification.data?.hash ?? '#/';
  event.waitUntil(
    self.clients.matchAll({ type: 'window', includeUncontrolled: true }).then(([page]) => {
      if (!page) return self.clients.openWindow('/' + hash);
      page.postMessage({ go: hash });
      return page.focus();
    }),
  );
});
