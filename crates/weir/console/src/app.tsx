// The frame: signing in, the list of pages, and the page that the address names.

import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, get, key, signIn, signOut } from './api';
import { today } from './format';
import { Problem } from './parts/load';
import { Alerts } from './pages/alerts';
import { Audit } from './pages/audit';
import { Budgets } from './pages/budgets';
import { Cache } from './pages/cache';
import { Config } from './pages/config';
import { Errors } from './pages/errors';
import { Keys } from './pages/keys';
import { Models } from './pages/models';
import { Overview } from './pages/overview';
import { Playground } from './pages/playground';
import { Providers } from './pages/providers';
import { Requests } from './pages/requests';
import { Routes } from './pages/routes';
import { Spend } from './pages/spend';
import { Teams } from './pages/teams';

const PAGES: [path: string, title: string, page: FunctionComponent<{ rest: string }>][] = [
  ['overview', 'Overview', Overview],
  ['providers', 'Providers', Providers],
  ['models', 'Models', Models],
  ['requests', 'Requests', Requests],
  ['spend', 'Spend', Spend],
  ['keys', 'Keys', Keys],
  ['teams', 'Teams', Teams],
  ['budgets', 'Budgets', Budgets],
  ['routes', 'Routes', Routes],
  ['cache', 'Cache', Cache],
  ['playground', 'Playground', Playground],
  ['errors', 'Errors', Errors],
  ['alerts', 'Alerts', Alerts],
  ['audit', 'Audit log', Audit],
  ['config', 'Configuration', Config],
];

function useHash(): string {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const turn = () => set(location.hash);
    addEventListener('hashchange', turn);
    return () => removeEventListener('hashchange', turn);
  }, []);
  return hash.replace(/^#\/?/, '');
}

const THEMES = ['auto', 'light', 'dark'] as const;

function Theme() {
  const [theme, set] = useState(localStorage.getItem('weir.theme') ?? 'auto');
  useEffect(() => {
    localStorage.setItem('weir.theme', theme);
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
  return (
    <select aria-label="Colours" value={theme} onChange={(event) => set(event.currentTarget.value)}>
      {THEMES.map((one) => <option key={one}>{one}</option>)}
    </select>
  );
}

function SignIn({ enter, problem }: { enter: () => void; problem: ApiError | null }) {
  const [value, set] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    signIn(value.trim());
    enter();
  };
  return (
    <main class="sign">
      <div class="panel">
        <h1>weir</h1>
        <p class="hint">Sign in with the master key, or with a key whose role is admin or viewer.</p>
        <Problem error={problem} />
        <form class="rows" onSubmit={submit}>
          <label class="field">Key<input type="password" autocomplete="current-password" autofocus value={value} onInput={(event) => set(event.currentTarget.value)} /></label>
          <button class="main" disabled={!value.trim()}>Sign in</button>
        </form>
      </div>
    </main>
  );
}

export function App() {
  const [state, set] = useState<'asking' | 'in' | 'out'>('asking');
  const [problem, complain] = useState<ApiError | null>(null);
  const hash = useHash();
  const enter = () => {
    get(`/admin/v1/spend?group_by=day&since=${today()}`)
      .then(() => { complain(null); set('in'); })
      .catch((error: ApiError) => { complain(key() || error.status === 0 ? error : null); set('out'); });
  };
  useEffect(enter, []);
  const [name = '', ...rest] = hash.split('/');
  const current = PAGES.find(([path]) => path === name) ?? PAGES[0]!;
  useEffect(() => {
    document.title = `${current[1]} · weir`;
  }, [current]);
  if (state === 'asking') return <p class="empty">Loading…</p>;
  if (state === 'out') return <SignIn enter={enter} problem={problem} />;
  const Page = current[2];
  return (
    <div class="shell">
      <aside class="side">
        <a class="brand" href="#/overview"><img src="/ui/icon.svg" alt="" />weir</a>
        <nav aria-label="Pages">
          {PAGES.map(([path, title]) => <a key={path} href={`#/${path}`} aria-current={path === current[0] ? 'page' : undefined}>{title}</a>)}
        </nav>
        <div class="foot">
          <Theme />
          {key() && <button type="button" onClick={() => { signOut(); set('out'); }}>Sign out</button>}
        </div>
      </aside>
      <main><Page key={current[0]} rest={rest.map(decodeURIComponent).join('/')} /></main>
    </div>
  );
}
