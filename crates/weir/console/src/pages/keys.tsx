import { useState } from 'preact/hooks';
import { query, write, type ApiError, type Page } from '../api';
import { ago, time, usd } from '../format';
import { Badge, Copy, Dialog, Empty, Field, Head, Panel, Sure } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';
import { Pager, usePlace } from '../parts/pages';
import { Table } from '../parts/table';

export interface Budget {
  id?: string;
  limit: string;
  period: string;
  timezone?: string | null;
  hard?: boolean;
  alert_at?: (string | number)[];
  [scope: string]: unknown;
}

export interface Limits {
  requests_per_minute?: number;
  tokens_per_minute?: number;
  requests_per_day?: number;
  tokens_per_day?: number;
  concurrency?: number;
}

interface Key {
  id: string;
  name: string;
  prefix?: string;
  role: string;
  team?: string | null;
  models?: string[] | null;
  budgets?: Budget[];
  limits?: Limits | null;
  expires_at?: string | null;
  revoked_at?: string | null;
  created_at?: string;
  owner: 'file' | 'db';
  key?: string;
}

const state = (key: Key) =>
  key.revoked_at ? <Badge tone="bad">revoked</Badge> : key.expires_at && new Date(key.expires_at) < new Date() ? <Badge tone="warn">expired</Badge> : <Badge tone="good">active</Badge>;

export function Keys() {
  const place = usePlace();
  const list = useLoad<Page<Key>>(`/admin/v1/keys${query({ limit: 50, cursor: place.cursor })}`);
  const [making, make] = useState(false);
  const [made, tell] = useState<Key | null>(null);
  const [problem, complain] = useState<ApiError | null>(null);
  const act = (method: 'POST' | 'DELETE', path: string) =>
    write<Key>(method, path).then((key) => { complain(null); if (key?.key) tell(key); list.reload(); }).catch(complain);
  return (
    <>
      <Head title="Keys" hint="what callers authenticate with; only hashes are kept"><button type="button" class="main" onClick={() => make(true)}>Create a key</button></Head>
      <Problem error={problem} />
      <Panel>
        <Show from={list}>
          {(page) => page.data.length === 0 && place.isFirst ? <Empty command="weir keys create --name ci --budget 5/day">There is no key yet. As long as there is none, everybody on this machine may call.</Empty> : (
            <>
              <Table
                label="Keys" rows={page.data}
                columns={[
                  { title: 'Name', show: (key) => <b>{key.name}</b>, by: (key) => key.name },
                  { title: 'Key', show: (key) => <code>{key.prefix ?? ''}</code> },
                  { title: 'State', show: state },
                  { title: 'Role', show: (key) => key.role },
                  { title: 'Team', show: (key) => key.team ?? '' },
                  { title: 'Models', wrap: true, show: (key) => key.models?.join(', ') ?? <span class="hint">all</span> },
                  { title: 'Budgets', show: (key) => (key.budgets ?? []).map((one) => `${usd(String(one.limit))} / ${one.period}`).join(', ') || <span class="hint">none</span> },
                  { title: 'Limits', show: (key) => limitsText(key.limits) || <span class="hint">none</span> },
                  { title: 'Expires', show: (key) => (key.expires_at ? time(key.expires_at) : <span class="hint">never</span>) },
                  { title: 'Made', show: (key) => (key.created_at ? ago(key.created_at) : '') },
                  { title: '', show: (key) => key.owner === 'file' ? <Badge>weir.yaml</Badge> : !key.revoked_at && (
                    <>
                      <button type="button" onClick={() => void act('POST', `/admin/v1/keys/${encodeURIComponent(key.id)}/rotate`)}>Rotate</button>{' '}
                      <Sure act={() => void act('DELETE', `/admin/v1/keys/${encodeURIComponent(key.id)}`)}>Revoke</Sure>
                    </>
                  ) },
                ]}
              />
              <Pager place={place} next={page.next_cursor} words={['Back', 'More']} />
            </>
          )}
        </Show>
      </Panel>
      {making && <Create close={() => make(false)} done={(key) => { make(false); tell(key); list.reload(); }} />}
      {made?.key && (
        <Dialog title={`The key ${made.name}`} close={() => tell(null)}>
          <p class="notice">It is shown this once. Keep it where your secrets are.</p>
          <pre data-testid="new-key">{made.key}</pre>
          <p class="hint">Point a client here:</p>
          <pre>{`export OPENAI_BASE_URL=${location.origin}/v1\nexport OPENAI_API_KEY=${made.key}`}</pre>
          <form method="dialog" class="row"><Copy text={made.key} /><button class="main">I have it</button></form>
        </Dialog>
      )}
    </>
  );
}

export function limitsText(limits: Limits | null | undefined): string {
  const named: [keyof Limits, string][] = [['requests_per_minute', 'rpm'], ['tokens_per_minute', 'tpm'], ['requests_per_day', 'rpd'], ['tokens_per_day', 'tpd'], ['concurrency', 'at once']];
  return named.filter(([name]) => limits?.[name]).map(([name, short]) => `${limits![name]} ${short}`).join(', ');
}

/** `5/day, 50/month` as budgets. */
export function budgetsOf(text: string): Budget[] {
  return text.split(',').map((one) => one.trim()).filter(Boolean).map((one) => {
    const [limit = '', period = ''] = one.split('/').map((part) => part.trim());
    return { limit, period: period || 'total' };
  });
}

function Create({ close, done }: { close: () => void; done: (key: Key) => void }) {
  const [form, set] = useState<Record<string, string>>({ role: 'caller' });
  const [problem, complain] = useState<ApiError | null>(null);
  const put = (name: string) => (event: { currentTarget: { value: string } }) => set({ ...form, [name]: event.currentTarget.value });
  const number = (name: string) => (form[name] ? Number(form[name]) : undefined);
  const submit = (event: Event) => {
    event.preventDefault();
    const limits = { requests_per_minute: number('rpm'), tokens_per_minute: number('tpm'), concurrency: number('concurrency') };
    const models = (form.models ?? '').split(',').map((one) => one.trim()).filter(Boolean);
    const body = {
      name: form.name,
      role: form.role,
      team: form.team || undefined,
      models: models.length ? models : undefined,
      budgets: form.budgets ? budgetsOf(form.budgets) : undefined,
      limits: Object.values(limits).some((one) => one !== undefined) ? limits : undefined,
      expires_at: form.days ? new Date(Date.now() + Number(form.days) * 86_400_000).toISOString() : undefined,
    };
    write<Key>('POST', '/admin/v1/keys', body).then((key) => done(key!)).catch(complain);
  };
  return (
    <Dialog title="Create a key" close={close}>
      <Problem error={problem} />
      <form class="rows" onSubmit={submit}>
        <Field label="Name"><input required autofocus name="name" placeholder="ci" onInput={put('name')} /></Field>
        <Field label="Role"><select name="role" onChange={put('role')}><option>caller</option><option>viewer</option><option>admin</option></select></Field>
        <Field label="Team"><input name="team" onInput={put('team')} /></Field>
        <Field label="Models, with commas between; empty for all"><input name="models" placeholder="smart, openai/*" onInput={put('models')} /></Field>
        <Field label="Budgets in USD"><input name="budgets" placeholder="5/day, 50/month" onInput={put('budgets')} /></Field>
        <div class="pair">
          <Field label="Requests per minute"><input name="rpm" type="number" min="1" onInput={put('rpm')} /></Field>
          <Field label="Tokens per minute"><input name="tpm" type="number" min="1" onInput={put('tpm')} /></Field>
          <Field label="Calls at once"><input name="concurrency" type="number" min="1" onInput={put('concurrency')} /></Field>
          <Field label="Expires after days"><input name="days" type="number" min="1" onInput={put('days')} /></Field>
        </div>
        <div class="row"><button type="button" onClick={close}>Cancel</button><button class="main">Create</button></div>
      </form>
    </Dialog>
  );
}
