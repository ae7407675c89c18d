import { useState } from 'preact/hooks';
import { write, type ApiError, type Page } from '../api';
import { ago, usd } from '../format';
import { Badge, Dialog, Empty, Field, Head, Panel, Sure } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';
import { budgetsOf, limitsText, type Budget, type Limits } from './keys';

interface Team {
  id: string;
  name: string;
  budgets?: Budget[];
  limits?: Limits | null;
  created_at?: string;
  owner: 'file' | 'db';
}

export function Teams() {
  const list = useLoad<Page<Team>>('/admin/v1/teams?limit=200');
  const [making, make] = useState(false);
  const [problem, complain] = useState<ApiError | null>(null);
  const remove = (team: Team) => write('DELETE', `/admin/v1/teams/${encodeURIComponent(team.id)}`).then(list.reload).catch(complain);
  return (
    <>
      <Head title="Teams" hint="keys that share budgets and limits"><button type="button" class="main" onClick={() => make(true)}>Create a team</button></Head>
      <Problem error={problem} />
      <Panel>
        <Show from={list}>
          {({ data }) => data.length === 0 ? <Empty command="weir teams create --name platform --budget 500/month">There is no team yet.</Empty> : (
            <Table
              label="Teams" rows={data}
              columns={[
                { title: 'Name', show: (team) => <b>{team.name}</b>, by: (team) => team.name },
                { title: 'Budgets', show: (team) => (team.budgets ?? []).map((one) => `${usd(String(one.limit))} / ${one.period}`).join(', ') || <span class="hint">none</span> },
                { title: 'Limits', show: (team) => limitsText(team.limits) || <span class="hint">none</span> },
                { title: 'Made', show: (team) => (team.created_at ? ago(team.created_at) : '') },
                { title: '', show: (team) => (team.owner === 'file' ? <Badge>weir.yaml</Badge> : <Sure act={() => void remove(team)}>Remove</Sure>) },
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
  const [name, setName] = useState('');
  const [budgets, setBudgets] = useState('');
  const [problem, complain] = useState<ApiError | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    write('POST', '/admin/v1/teams', { name, budgets: budgets ? budgetsOf(budgets) : undefined }).then(done).catch(complain);
  };
  return (
    <Dialog title="Create a team" close={close}>
      <Problem error={problem} />
      <form class="rows" onSubmit={submit}>
        <Field label="Name"><input required autofocus value={name} onInput={(event) => setName(event.currentTarget.value)} /></Field>
        <Field label="Budgets in USD"><input placeholder="500/month" value={budgets} onInput={(event) => setBudgets(event.currentTarget.value)} /></Field>
        <div class="row"><button type="button" onClick={close}>Cancel</button><button class="main">Create</button></div>
      </form>
    </Dialog>
  );
}
