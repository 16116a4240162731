// Who the page is to the node. Signed in with a code or password, it has a cookie that scripts
// cannot read, and shows with a header of its own that no foreign page asks.

const CSRF = 'X-Baraza';

/** Headers that each request carries. */
export function sessionHeaders(): Record<string, string> {
  return { [CSRF]: '1' };
}

/** The subprotocols of the event stream. */
export function socketProtocols(): string[] {
  return ['baraza'];
}

/** Takes the login code out of the address, so that it is in no history. */
export function takeCode(): string | null {
  const code = /^#login=(.+)$/.exec(location.hash)?.[1];
  if (!code) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return decodeURIComponent(code);
}

/** Whether the page is signed in; its cookie then lasts for a month again. */
export async function signedIn(): Promise<boolean> {
  const response = await fetch('/api/v1/session', { headers: sessionHeaders(), cache: 'no-store' });
  return response.status !== 401;
}

/** Signs in; throws the node's refusal. */
export async function signIn(secret: { code: string } | { password: string }): Promise<void> {
  const response = await fetch('/api/v1/session', {
    method: 'POST',
    headers: { ...sessionHeaders(), 'Content-Type': 'application/json' },
    body: JSON.stringify(secret),
  });
  if (!response.ok) throw response;
}

/** Signs out. */
export async function signOut(): Promise<void> {
  await fetch('/api/v1/session', { method: 'DELETE', headers: sessionHeaders() });
}
