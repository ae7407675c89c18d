// Loading something, and saying so when it fails.

import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError, get } from '../api';

export interface Loaded<T> {
  data?: T;
  error?: ApiError;
  reload: () => void;
}

/** What stands at `path`, again whenever the path changes, and every `every` milliseconds where that is given. */
export function useLoad<T>(path: string | null, every = 0): Loaded<T> {
  const [state, set] = useState<{ path?: string; data?: T; error?: ApiError }>({});
  const [turn, next] = useState(0);
  useEffect(() => {
    if (!path) return;
    const abort = new AbortController();
    get<T>(path, abort.signal)
      .then((data) => set({ path, data }))
      .catch((error) => error instanceof ApiError && set({ path, error }));
    return () => abort.abort();
  }, [path, turn]);
  useEffect(() => {
    if (!every) return;
    const timer = setInterval(() => document.hidden || next((n) => n + 1), every);
    return () => clearInterval(timer);
  }, [every]);
  const reload = useCallback(() => next((n) => n + 1), []);
  return state.path === path ? { data: state.data, error: state.error, reload } : { reload };
}

export function Problem({ error }: { error?: ApiError | null }) {
  return error ? <div class="notice bad" role="alert">{error.message}</div> : null;
}

/** Shows `children` with the data, or why there is none. */
export function Show<T>({ from, children }: { from: Loaded<T>; children: (data: T) => ComponentChildren }) {
  if (from.error) return <Problem error={from.error} />;
  if (from.data === undefined) return <p class="hint" aria-busy="true">Loading…</p>;
  return <>{children(from.data)}</>;
}
