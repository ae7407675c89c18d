import { percent, seconds } from '../format';
import { quantile, rates, sum, useLive, values } from '../live';
import { Badge, Empty, Head, Panel, type Tone } from '../parts/bits';
import { Chart } from '../parts/chart';
import { Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';
import type { Page } from '../api';

interface Provider {
  name: string;
  kind?: string;
  base_url?: string;
  [more: string]: unknown;
}

function state(provider: string): [Tone, string] {
  const latest = useLive().at(-1);
  const of = (labels: Record<string, string>) => labels.provider === provider;
  const open = (latest?.samples.get('weir_breaker_state') ?? []).filter((one) => of(one.labels) && one.value === 2).length;
  if (open) return ['bad', `${open} breaker${open > 1 ? 's' : ''} open`];
  const up = latest?.samples.get('weir_provider_up')?.find((one) => of(one.labels));
  if (!up) return ['', 'not asked yet'];
  return up.value ? ['good', 'up'] : ['bad', 'down'];
}

function State({ provider }: { provider: string }) {
  const [tone, words] = state(provider);
  return <Badge tone={tone}>{words}</Badge>;
}

export function Providers({ rest }: { rest: string }) {
  useLive();
  const list = useLoad<Page<Provider>>('/admin/v1/providers?limit=200', 10_000);
  const last = (values: (number | null)[]) => values.at(-1) ?? 0;
  const all = (name: string) => last(rates('weir_upstream_attempts_total', (l) => l.provider === name, 30));
  const good = (name: string) => last(rates('weir_upstream_attempts_total', (l) => l.provider === name && l.result === 'ok', 30));
  return (
    <>
      <Head title="Providers" hint="figures of the last minute" />
      <Panel>
        <Show from={list}>
          {({ data }) => data.length === 0 ? <Empty command="export OPENAI_API_KEY=…   # or name it in weir.yaml">No provider is configured.</Empty> : (
            <Table
              label="Providers" rows={data} open={(row) => { location.hash = `#/providers/${encodeURIComponent(row.name)}`; }}
              columns={[
                { title: 'Provider', show: (row) => <b>{row.name}</b>, by: (row) => row.name },
                { title: 'Kind', show: (row) => row.kind ?? '' },
                { title: 'State', show: (row) => <State provider={row.name} /> },
                { title: 'Attempts/s', number: true, show: (row) => all(row.name).toFixed(1), by: (row) => all(row.name) },
                { title: 'Failed', number: true, show: (row) => (all(row.name) ? percent(1 - good(row.name) / all(row.name)) : '—') },
                { title: 'First token, p95', number: true, show: (row) => seconds(quantile(0.95, 'weir_time_to_first_token_seconds', (l) => l.provider === row.name)) },
                { title: 'Address', wrap: true, show: (row) => <code>{row.base_url ?? ''}</code> },
              ]}
            />
          )}
        </Show>
      </Panel>
      {rest && <One name={rest} about={list.data?.data.find((one) => one.name === rest)} />}
    </>
  );
}

function One({ name, about }: { name: string; about?: Provider }) {
  const scrapes = useLive();
  const of = (labels: Record<string, string>) => labels.provider === name;
  const times = scrapes.map((one) => one.at);
  const results = [...new Set((scrapes.at(-1)?.samples.get('weir_upstream_attempts_total') ?? []).filter((one) => of(one.labels)).map((one) => one.labels.result ?? ''))].sort();
  const models = values('weir_upstream_attempts_total', 'model').filter((model) => sum(scrapes.at(-1), 'weir_upstream_attempts_total', (l) => of(l) && l.model === model) > 0);
  return (
    <>
      <Head title={name}><a class="button" href="#/providers">Close</a></Head>
      <div class="grid">
        <Panel title="Attempts per second, by result">
          <Chart label="Attempts by result" times={times} unit={(v) => v.toFixed(1)} lines={results.map((result) => ({ label: result, values: rates('weir_upstream_attempts_total', (l) => of(l) && l.result === result), color: result === 'ok' ? '#2f9e58' : undefined }))} />
        </Panel>
        <Panel title="Time to first token">
          <Chart label="Time to first token" times={times} unit={seconds} lines={[0.5, 0.95].map((part) => ({ label: `p${part * 100}`, values: scrapes.map((_, end) => quantile(part, 'weir_time_to_first_token_seconds', of, 15, end)) }))} />
        </Panel>
      </div>
      <Panel title="Models asked">
        <Table
          label="Models" rows={models}
          columns={[
            { title: 'Model', show: (model) => model },
            { title: 'Attempts', number: true, show: (model) => sum(scrapes.at(-1), 'weir_upstream_attempts_total', (l) => of(l) && l.model === model) },
            { title: 'Failed', number: true, show: (model) => sum(scrapes.at(-1), 'weir_upstream_attempts_total', (l) => of(l) && l.model === model && l.result !== 'ok') },
          ]}
        />
      </Panel>
      {about && <Panel title="All that is known"><pre>{JSON.stringify(about, null, 2)}</pre></Panel>}
    </>
  );
}
