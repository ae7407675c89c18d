import { query } from '../api';
import { count, percent, seconds, short, today } from '../format';
import { quantile, rates, sum, useLive, values } from '../live';
import { Chart } from '../parts/chart';
import { Empty, Head, Panel, Tile } from '../parts/bits';
import { Table } from '../parts/table';
import { useLoad } from '../parts/load';

export interface SpendRows {
  rows: Record<string, string | number | null>[];
  total: Record<string, string | number | null>;
  /** Lines beyond those that were asked for. */
  left_out?: number;
}

const failed = (labels: Record<string, string>) => Number(labels.status) >= 400;

export function Overview() {
  const scrapes = useLive();
  const spent = useLoad<SpendRows>(`/admin/v1/spend${query({ group_by: 'model', since: today() })}`, 15_000);
  const times = scrapes.map((one) => one.at);
  const latest = scrapes.at(-1);
  const at = (values: (number | null)[]) => values.at(-1) ?? null;
  const calls = rates('weir_requests_total');
  const errors = rates('weir_requests_total', failed);
  const share = (at(calls) ?? 0) > 0 ? (at(errors) ?? 0) / at(calls)! : 0;
  const history = (part: number, name: string) => scrapes.map((_, end) => quantile(part, name, undefined, 15, end));
  const anything = latest && sum(latest, 'weir_requests_total') > 0;
  return (
    <>
      <Head title="Overview" hint="live, the last ten minutes that this page was open" />
      <div class="tiles">
        <Tile label="Calls per second" value={at(calls)?.toFixed(1) ?? '—'} />
        <Tile label="Errors" value={percent(share)} bad={share > 0.05} />
        <Tile label="Under way" value={count(sum(latest, 'weir_inflight_requests'))} />
        <Tile label="Time to first token, p95" value={seconds(quantile(0.95, 'weir_time_to_first_token_seconds'))} />
        <Tile label="Duration, p95" value={seconds(quantile(0.95, 'weir_request_duration_seconds'))} />
        <Tile label="weir's own share, p50" value={seconds(quantile(0.5, 'weir_overhead_seconds'))} />
        <Tile label="Cost, today (UTC)" value={short(spent.data?.total.cost_usd as string | undefined)} />
      </div>
      {latest && !anything && (
        <Panel>
          <Empty command={`curl ${location.origin}/v1/chat/completions \\\n  -H "content-type: application/json" \\\n  -d '{"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]}'`}>
            No call has come yet. Send the first one:
          </Empty>
        </Panel>
      )}
      <div class="grid">
        <Panel title="Calls per second">
          <Chart label="Calls and errors per second" times={times} unit={(v) => v.toFixed(v < 10 ? 1 : 0)} lines={[{ label: 'calls', values: calls }, { label: 'errors', values: errors, color: '#c9394a' }]} />
        </Panel>
        <Panel title="Latency">
          <Chart
            label="Time to first token and duration" times={times} unit={seconds}
            lines={[
              { label: 'first token p50', values: history(0.5, 'weir_time_to_first_token_seconds') },
              { label: 'duration p50', values: history(0.5, 'weir_request_duration_seconds') },
              { label: 'duration p95', values: history(0.95, 'weir_request_duration_seconds') },
            ]}
          />
        </Panel>
        <Panel title="Cost per minute">
          <Chart label="Cost per minute" times={times} unit={(v) => `$${v.toPrecision(2)}`} lines={[{ label: 'USD per minute', values: rates('weir_cost_usd_total').map((v) => (v === null ? null : v * 60)) }]} />
        </Panel>
        <Panel title="Tokens per second">
          <Chart label="Tokens per second" times={times} unit={count} lines={['input', 'output', 'cache_read', 'reasoning'].map((kind) => ({ label: kind, values: rates('weir_tokens_total', (labels) => labels.class === kind) }))} />
        </Panel>
      </div>
      <div class="grid">
        <Panel title="Providers, now">
          <Table
            label="Providers"
            rows={values('weir_upstream_attempts_total', 'provider')}
            columns={[
              { title: 'Provider', show: (name) => <a href={`#/providers/${encodeURIComponent(name)}`}>{name}</a> },
              { title: 'Attempts/s', number: true, show: (name) => at(rates('weir_upstream_attempts_total', (l) => l.provider === name))?.toFixed(1) ?? '—' },
              { title: 'Failed', number: true, show: (name) => failures(name, at) },
            ]}
          />
        </Panel>
        <Panel title="Dearest models, today (UTC)">
          <Table
            label="Models by cost"
            rows={(spent.data?.rows ?? []).slice(0, 8)}
            columns={[
              { title: 'Model', show: (row) => row.model ?? '—' },
              { title: 'Calls', number: true, show: (row) => count(row.calls as number) },
              { title: 'Cost', number: true, show: (row) => short(row.cost_usd as string) },
            ]}
          />
        </Panel>
      </div>
    </>
  );
}

function failures(provider: string, at: (values: (number | null)[]) => number | null): string {
  const all = at(rates('weir_upstream_attempts_total', (l) => l.provider === provider)) ?? 0;
  const good = at(rates('weir_upstream_attempts_total', (l) => l.provider === provider && l.result === 'ok')) ?? 0;
  return all > 0 ? percent(1 - good / all) : '—';
}
