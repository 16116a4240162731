import { sessionHeaders } from './session';

/** A refusal of the node, or that it cannot be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string = '',
  ) {
    super(message);
  }
  /** Whether the node did not answer at all. */
  get away(): boolean {
    return this.status === 0;
  }
}

let onSignedOut = () => {};
/** Calls back when the node says that the page is not signed in. */
export function whenSignedOut(call: () => void): void {
  onSignedOut = call;
}

/** The error in the body of an answer: RFC 9457, or the node's older form. */
export function errorOf(status: number, body: unknown): ApiError {
  const problem = (body ?? {}) as Record<string, unknown>;
  const inner = (typeof problem.error === 'object' && problem.error ? problem.error : problem) as Record<string, unknown>;
  const text = (key: string) => (typeof inner[key] === 'string' ? (inner[key] as string) : '');
  const message = text('detail') || text('message') || text('title') || `HTTP ${status}`;
  return new ApiError(status, text('code') || 'unknown', message, text('hint'));
}

/** What went wrong, for people. */
export const problemText = (problem: unknown): string =>
  [(problem as Error).message, (problem as { hint?: string }).hint].filter(Boolean).join(' — ');

async function refused(response: Response): Promise<ApiError> {
  if (response.status === 401) onSignedOut();
  return errorOf(response.status, await response.json().catch(() => null));
}

export interface Options {
  signal?: AbortSignal;
  key?: string;
  accept?: string;
}

async function ask(method: string, path: string, body?: unknown, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = sessionHeaders();
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (options.key) headers['Idempotency-Key'] = options.key;
  if (options.accept) headers.Accept = options.accept;
  let response: Response;
  try {
    response = await fetch('/api/v1' + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: options.signal,
      cache: 'no-store',
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, 'away', String(error));
  }
  if (!response.ok) throw await refused(response);
  return response;
}

async function json<T>(response: Response): Promise<T> {
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = async <T>(path: string, options?: Options) => json<T>(await ask('GET', path, undefined, options));
/** An answer as it stands. */
export const getText = async (path: string) => (await ask('GET', path)).text();
export const post = async <T = void>(path: string, body?: unknown, options?: Options) => json<T>(await ask('POST', path, body, options));
export const patch = async <T = void>(path: string, body: unknown, options?: Options) => json<T>(await ask('PATCH', path, body, options));
export const put = async <T = void>(path: string, body: unknown) => json<T>(await ask('PUT', path, body));
export const remove = async <T = void>(path: string) => json<T>(await ask('DELETE', path));

/** A POST whose answer is lines of JSON as things go on. */
export async function postLines<T>(path: string, body: unknown, line: (value: T) => void, signal?: AbortSignal): Promise<void> {
  const response = await ask('POST', path, body, { accept: 'application/x-ndjson', signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? '';
    const lines = rest.split('\n');
    rest = done ? '' : lines.pop()!;
    for (const text of lines) if (text.trim()) line(JSON.parse(text) as T);
    if (done) return;
  }
}

/** Sends a file, telling how much of it is sent. */
export function upload<T>(path: string, file: Blob, progress: (part: number) => void, signal: AbortSignal, key?: string, method = 'POST'): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, '/api/v1' + path);
    for (const [name, value] of Object.entries(sessionHeaders())) request.setRequestHeader(name, value);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    if (key) request.setRequestHeader('Idempotency-Key', key);
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      const body = parse(request.responseText);
      if (request.status >= 200 && request.status < 300) resolve(body as T);
      else reject(errorOf(request.status, body));
    };
    request.onerror = () => reject(new ApiError(0, 'away', 'the node cannot be reached'));
    request.onabort = () => reject(new DOMException('canceled', 'AbortError'));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The content of something binary. */
export async function blob(path: string, signal?: AbortSignal): Promise<Blob> {
  return (await ask('GET', path, undefined, { signal })).blob();
}

/** A query from what is given; what is undefined is left out. */
export function query(values: Record<string, string | number | boolean | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) search.set(name, String(value));
  const text = search.toString();
  return text ? '?' + text : '';
}
