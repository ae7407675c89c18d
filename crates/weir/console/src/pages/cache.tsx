import { useState } from 'preact/hooks';
import { write, type ApiError } from '../api';
import { count, percent } from '../format';
import { rates, sum, useLive } from '../live';
import { Head, Panel, Sure, Tile } from '../parts/bits';
import { Chart } from '../parts/chart';
import { Problem, useLoad } from '../parts/load';

export function Cache() {
  const scrapes = useLive();
  const stats = useLoad<Record<string, unknown>>('/admin/v1/cache', 5_000);
  const [problem, complain] = useState<ApiError | null>(null);
  const of = (result: string) => sum(scrapes.at(-1), 'weir_cache_requests_total', (labels) => labels.result === result);
  const [hits, misses] = [of('hit'), of('miss')];
  const purge = () => write('DELETE', '/admin/v1/cache').then(() => { complain(null); stats.reload(); }).catch(complain);
  return (
    <>
      <Head title="Cache" hint="answers that cost nothing"><Sure act={() => void purge()}>Purge</Sure></Head>
      <Problem error={problem ?? stats.error} />
      <div class="tiles">
        <Tile label="Hits" value={count(hits)} />
        <Tile label="Misses" value={count(misses)} />
        <Tile label="Share of hits" value={percent(hits + misses ? hits / (hits + misses) : null)} />
        <Tile label="Saved, USD" value={sum(scrapes.at(-1), 'weir_cache_saved_usd_total').toPrecision(3)} />
      </div>
      <Panel title="Look-ups per second">
        <Chart label="Cache look-ups per second" times={scrapes.map((one) => one.at)} unit={(v) => v.toFixed(1)} lines={['hit', 'miss'].map((result) => ({ label: result, values: rates('weir_cache_requests_total', (labels) => labels.result === result) }))} />
      </Panel>
      {stats.data && <Panel title="Now"><dl>{Object.entries(stats.data).map(([name, value]) => <><dt key={name}>{name}</dt><dd>{typeof value === 'object' ? JSON.stringify(value) : String(value)}</dd></>)}</dl></Panel>}
      <p class="hint">A route caches where its entry in weir.yaml says <code>{'cache: { mode: exact, ttl: 1h }'}</code>.</p>
    </>
  );
}
