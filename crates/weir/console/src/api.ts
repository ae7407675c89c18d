// Talks to the gateway. The key stays in this tab's session storage and goes nowhere but to this origin.

const STORED = 'weir.key';

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

export function key(): string {
  return sessionStorage.getItem(STORED) ?? '';
}

export function signIn(value: string): void {
  sessionStorage.setItem(STORED, value);
}

export function signOut(): void {
  sessionStorage.removeItem(STORED);
}

function headers(more: Record<string, string> = {}): Record<string, string> {
  return key() ? { authorization: `Bearer ${key()}`, ...more } : more;
}

async function failure(response: Response): Promise<ApiError> {
  const body = await response.json().catch(() => null);
  const error = body?.error;
  return new ApiError(response.status, error?.code ?? '', error?.message ?? `The gateway answered ${response.status}.`);
}

export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const body: Record<string, string> = init.body ? { 'content-type': 'application/json' } : {};
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: headers({ ...body, ...(init.headers as Record<string, string>) }) });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, 'unreachable', 'The gateway does not answer. Is it running?');
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send(path, { signal })).json();
}

export async function text(path: string, signal?: AbortSignal): Promise<string> {
  return (await send(path, { signal })).text();
}

export async function write<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T | null> {
  const init = { method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'idempotency-key': crypto.randomUUID() } };
  const response = await send(path, init);
  return response.status === 204 ? null : response.json();
}

/** A page of a list. */
export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

export function query(members: Record<string, string | number | undefined | null>): string {
  const pairs = Object.entries(members).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return pairs.length ? `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : '';
}

/** The data of a server-sent event stream, one message at a time. */
export async function* events(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const lines = rest.split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim();
  }
}
