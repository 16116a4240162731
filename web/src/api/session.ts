// Who the page is to the node. Signed in with a code or password, it has a cookie that scripts
// cannot read, and shows with a header of its own that no foreign page asks.

const CSRF = 'X-Baraza';
const KEPT = 'baraza.token';

/** A token pasted instead of a code, with a node that knows no sessions; else none. */
let token = sessionStorage.getItem(KEPT);

/** Headers that each request carries. */
export function sessionHeaders(): Record<string, string> {
  return token ? { [CSRF]: '1', Authorization: `Bearer ${token}` } : { [CSRF]: '1' };
}

/** The subprotocols of the event stream. */
export function socketProtocols(): string[] {
  return token ? ['baraza', 'baraza.token.' + token] : ['baraza'];
}

/** Whether addresses of files can be given to the browser, which then adds the cookie. */
export function byCookie(): boolean {
  return !token;
}

/** Takes the login code out of the address, so that it is in no history. */
export function takeCode(): string | null {
  const code = /^#login=(.+)$/.exec(location.hash)?.[1];
  if (!code) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return decodeURIComponent(code);
}

/** Whether the page is signed in. */
export async function signedIn(): Promise<boolean> {
  const response = await fetch('/api/v1/status', { headers: sessionHeaders() });
  return response.status !== 401;
}

/** Signs in; throws the node's refusal. */
export async function signIn(secret: { code: string } | { password: string }): Promise<void> {
  const response = await fetch('/api/v1/session', {
    method: 'POST',
    headers: { ...sessionHeaders(), 'Content-Type': 'application/json' },
    body: JSON.stringify(secret),
  });
  if (response.ok) return;
  if ('code' in secret && /^[0-9a-f]{64}$/.test(secret.code)) {
    token = secret.code;
    if (await signedIn()) return sessionStorage.setItem(KEPT, token);
    token = null;
  }
  throw response;
}

/** Signs out. */
export async function signOut(): Promise<void> {
  await fetch('/api/v1/session', { method: 'DELETE', headers: sessionHeaders() });
  token = null;
  sessionStorage.removeItem(KEPT);
}
