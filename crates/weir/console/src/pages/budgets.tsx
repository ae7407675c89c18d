import { useState } from 'preact/hooks';
import { write, type ApiError, type Page } from '../api';
import { percent, usd } from '../format';
import { useLive, type Scrape } from '../live';
import { Badge, Bar, Dialog, Empty, Field, Head, Panel, Sure } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';
import type { Budget } from './keys';

type Row = Budget & { id: string; owner: 'file' | 'db' };

const SCOPES = ['provider', 'key', 'team', 'user', 'session', 'tag'];

function scope(budget: Row): [string, string] {
  const name = SCOPES.find((one) => budget[one]);
  return name ? [name, String(budget[name])] : ['gateway', ''];
}

function used(budget: Row, latest: Scrape | undefined): number | null {
  const [kind, name] = scope(budget);
  const gauges = latest?.samples.get('weir_budget_used_ratio') ?? [];
  return gauges.find((one) => one.labels.scope === kind && (one.labels.name === name || one.labels.name === budget.id))?.value ?? null;
}

export function Budgets() {
  const latest = useLive().at(-1);
  const list = useLoad<Page<Row>>('/admin/v1/budgets?limit=200', 10_000);
  const [making, make] = useState(false);
  const [problem, complain] = useState<ApiError | null>(null);
  const remove = (budget: Row) => write('DELETE', `/admin/v1/budgets/${encodeURIComponent(budget.id)}`).then(list.reload).catch(complain);
  return (
    <>
      <Head title="Budgets" hint="what may be spent, by whom, in which time"><button type="button" class="main" onClick={() => make(true)}>Create a budget</button></Head>
      <Problem error={problem} />
      <Panel>
        <Show from={list}>
          {({ data }) => data.length === 0 ? <Empty command="weir budgets create 100/month">There is no budget yet: nothing stops spending.</Empty> : (
            <Table
              label="Budgets" rows={data}
              columns={[
                { title: 'Of', show: (row) => <><b>{scope(row)[0]}</b> {scope(row)[1]}</>, by: (row) => scope(row).join(' ') },
                { title: 'Limit', number: true, show: (row) => usd(String(row.limit)) },
                { title: 'Per', show: (row) => `${row.period}${row.timezone ? `, ${row.timezone}` : ''}` },
                { title: 'Used', show: (row) => (used(row, latest) === null ? <span class="hint">—</span> : <><Bar share={used(row, latest)!} /><span class="hint">{percent(used(row, latest))}</span></>) },
                { title: 'When spent', show: (row) => (row.hard === false ? <Badge tone="warn">alerts</Badge> : <Badge tone="good">refuses</Badge>) },
                { title: '', show: (row) => (row.owner === 'file' ? <Badge>weir.yaml</Badge> : <Sure act={() => void remove(row)}>Remove</Sure>) },
              ]}
            />
          )}
        </Show>
      </Panel>
      {making && <Create close={() => make(false)} done={() => { make(false); list.reload(); }} />}
    </>
  );
}

function Create({ close, done }: { close: () => void; done: () => void }) {
  const [form, set] = useState<Record<string, string>>({ period: 'month', scope: 'gateway', hard: 'on' });
  const [problem, complain] = useState<ApiError | null>(null);
  const put = (name: string) => (event: { currentTarget: { value: string } }) => set({ ...form, [name]: event.currentTarget.value });
  const submit = (event: Event) => {
    event.preventDefault();
    const of = form.scope === 'gateway' ? {} : { [form.scope!]: form.name };
    write('POST', '/admin/v1/budgets', { limit: form.limit, period: form.period, hard: form.hard === 'on', ...of }).then(done).catch(complain);
  };
  return (
    <Dialog title="Create a budget" close={close}>
      <Problem error={problem} />
      <form class="rows" onSubmit={submit}>
        <Field label="Of"><select value={form.scope} onChange={put('scope')}>{['gateway', ...SCOPES].map((one) => <option key={one}>{one}</option>)}</select></Field>
        {form.scope !== 'gateway' && <Field label={`Name of the ${form.scope}`}><input required onInput={put('name')} /></Field>}
        <Field label="Limit in USD"><input required inputMode="decimal" pattern="[0-9]+([.][0-9]+)?" placeholder="100.00" onInput={put('limit')} /></Field>
        <Field label="Period: day, week, month, total, or a duration such as 12h"><input required value={form.period} onInput={put('period')} /></Field>
        <Field label="When it is spent"><select value={form.hard} onChange={put('hard')}><option value="on">refuse calls</option><option value="off">only alert</option></select></Field>
        <div class="row"><button type="button" onClick={close}>Cancel</button><button class="main">Create</button></div>
      </form>
    </Dialog>
  );
}
