import { useState } from 'preact/hooks';
import { type ApiError, query, text } from '../api';
import { approximate, count, short, today, usd } from '../format';
import { Empty, Field, Head, Panel, Tile } from '../parts/bits';
import { Chart } from '../parts/chart';
import { Problem, Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';
import type { SpendRows } from './overview';

const GROUPS = ['model', 'provider', 'route', 'key', 'team', 'user', 'session', 'tag', 'day'];
const SPANS = ['today', '7d', '30d', '90d', '365d'];

// So many lines are shown; the file that is exported has all.
const SHOWN = 500;

export function Spend() {
  const [by, setBy] = useState('model');
  const [since, setSince] = useState('7d');
  const from = since === 'today' ? today() : since;
  const spend = useLoad<SpendRows>(`/admin/v1/spend${query({ group_by: by, since: from, top: SHOWN })}`, 30_000);
  const days = useLoad<SpendRows>(`/admin/v1/spend${query({ group_by: 'day', since: since === 'today' ? '7d' : since })}`, 60_000);
  const [problem, complain] = useState<ApiError | null>(null);
  const save = () => {
    text(`/admin/v1/spend${query({ group_by: by, since: from, format: 'csv' })}`).then((file) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([file], { type: 'text/csv' }));
      link.download = `spend-by-${by}-${since}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
      complain(null);
    }).catch(complain);
  };
  return (
    <>
      <Head title="Spend">
        <Field label="By"><select name="by" value={by} onChange={(event) => setBy(event.currentTarget.value)}>{GROUPS.map((one) => <option key={one}>{one}</option>)}</select></Field>
        <Field label="Since"><select value={since} onChange={(event) => setSince(event.currentTarget.value)}>{SPANS.map((one) => <option key={one}>{one}</option>)}</select></Field>
        <button type="button" disabled={!spend.data} onClick={save}>Export CSV</button>
      </Head>
      <Problem error={problem} />
      <Show from={spend}>
        {(spend) => (
          <>
            <div class="tiles">
              <Tile label="Spent" value={usd(spend.total.cost_usd as string)} />
              <Tile label="Calls" value={count(spend.total.calls as number)} />
              <Tile label="Attempts" value={count(spend.total.attempts as number)} />
              <Tile label="Calls without a price" value={count(spend.total.unpriced_calls as number)} bad={(spend.total.unpriced_calls as number) > 0} />
            </div>
            <ByDay days={days.data} />
            <Panel>
              {spend.rows.length === 0 ? <Empty>Nothing was spent in this time.</Empty> : (
                <Table
                  label={`Spend by ${by}`} rows={spend.rows}
                  columns={[
                    { title: by[0]!.toUpperCase() + by.slice(1), wrap: true, show: (row) => row[by] ?? <span class="hint">none</span>, by: (row) => String(row[by] ?? '') },
                    { title: 'Calls', number: true, show: (row) => count(row.calls as number), by: (row) => row.calls as number },
                    { title: 'Input', number: true, show: (row) => count(row.input_tokens as number), by: (row) => row.input_tokens as number },
                    { title: 'From cache', number: true, show: (row) => count(row.cache_read_tokens as number), by: (row) => row.cache_read_tokens as number },
                    { title: 'Output', number: true, show: (row) => count(row.output_tokens as number), by: (row) => row.output_tokens as number },
                    { title: 'Reasoning', number: true, show: (row) => count(row.reasoning_tokens as number), by: (row) => row.reasoning_tokens as number },
                    { title: 'Cost', number: true, show: (row) => usd(row.cost_usd as string), by: (row) => approximate(row.cost_usd as string) },
                  ]}
                />
              )}
              {(spend.left_out ?? 0) > 0 && <p class="hint">The dearest {SHOWN} are shown; {count(spend.left_out!)} more are in the exported file.</p>}
            </Panel>
          </>
        )}
      </Show>
    </>
  );
}

/** Each day's cost, and what the days ahead would cost at the pace of the last seven whole ones. */
function ByDay({ days }: { days?: SpendRows }) {
  const rows = [...(days?.rows ?? [])].filter((row) => row.day).sort((a, b) => (a.day! < b.day! ? -1 : 1));
  if (rows.length < 2) return null;
  const at = (day: unknown) => Date.parse(`${day}T00:00:00Z`) / 1000;
  const costs = rows.map((row) => approximate(row.cost_usd as string));
  const recent = costs.slice(0, -1).slice(-7);
  const pace = recent.reduce((total, cost) => total + cost, 0) / recent.length;
  const ahead = [1, 2, 3, 4, 5, 6, 7];
  const last = at(rows.at(-1)!.day);
  return (
    <Panel title={`By day; at the pace of the last ${recent.length} days a month costs about ${short((pace * 30).toFixed(6))}`}>
      <Chart
        label="Cost by day" bars unit={(v) => `$${v.toPrecision(2)}`}
        times={[...rows.map((row) => at(row.day)), ...ahead.map((n) => last + n * 86_400)]}
        lines={[{ label: 'spent', values: [...costs, ...ahead.map(() => null)] }, { label: 'at this pace', values: [...costs.map(() => null), ...ahead.map(() => pace)], color: '#d9822b' }]}
      />
    </Panel>
  );
}
