import { useState } from 'preact/hooks';
import { get, query, type ApiError, type Page } from '../api';
import { ago, count, millis, short, time, usd } from '../format';
import { Badge, Dialog, Empty, Field, Head, Panel, type Tone } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';
import { Pager, usePlace } from '../parts/pages';
import { Table } from '../parts/table';

interface Attempt {
  id: string;
  provider?: string;
  model?: string;
  state?: string;
  upstream_status?: number | null;
  started_at?: string;
  ttft_ms?: number | null;
  duration_ms?: number | null;
  cost_usd?: string | null;
  error_code?: string | null;
}

interface Call {
  id: string;
  request_id?: string;
  started_at: string;
  key?: string;
  route?: string;
  provider?: string | null;
  model?: string | null;
  status: number;
  end: string;
  stream?: boolean;
  cost_usd?: string | null;
  duration_ms?: number | null;
  ttft_ms?: number | null;
  error_code?: string | null;
  input_tokens?: number;
  output_tokens?: number;
  attempts?: number | Attempt[];
  [more: string]: unknown;
}

const tone = (call: { end: string }): Tone => (call.end === 'complete' ? 'good' : ['client_gone', 'cut', 'refused'].includes(call.end) ? 'warn' : 'bad');

const ENDS = ['', 'complete', 'client_gone', 'provider_error', 'timeout', 'cut', 'refused', 'gateway_error', 'orphaned'];

export function Requests({ rest }: { rest: string }) {
  const [filter, setFilter] = useState<Record<string, string>>({});
  const place = usePlace();
  const list = useLoad<Page<Call>>(`/admin/v1/requests${query({ limit: 50, cursor: place.cursor, ...filter })}`, place.isFirst ? 5_000 : 0);
  const [wanted, want] = useState('');
  const [problem, complain] = useState<ApiError | null>(null);
  const put = (name: string) => (event: { currentTarget: { value: string } }) => { place.go(() => []); setFilter({ ...filter, [name]: event.currentTarget.value }); };
  const find = (event: Event) => {
    event.preventDefault();
    get<Call>(`/admin/v1/requests/${encodeURIComponent(wanted.trim())}`)
      .then((call) => { complain(null); location.hash = `#/requests/${encodeURIComponent(call.id)}`; })
      .catch(complain);
  };
  return (
    <>
      <Head title="Requests" hint="newest first">
        <form onSubmit={find}><input type="search" aria-label="Find by id" placeholder="id or x-request-id" value={wanted} onInput={(event) => want(event.currentTarget.value)} /> <button disabled={!wanted.trim()}>Find</button></form>
      </Head>
      <Problem error={problem} />
      <Panel>
        <div class="filters">
          <Field label="Key"><input value={filter.key ?? ''} onChange={put('key')} /></Field>
          <Field label="Model"><input value={filter.model ?? ''} onChange={put('model')} /></Field>
          <Field label="Provider"><input value={filter.provider ?? ''} onChange={put('provider')} /></Field>
          <Field label="End"><select value={filter.end ?? ''} onChange={put('end')}>{ENDS.map((end) => <option key={end} value={end}>{end || 'any'}</option>)}</select></Field>
        </div>
        <Show from={list}>
          {(page) => page.data.length === 0 ? <Empty>No call fits.</Empty> : (
            <>
              <Table
                label="Requests" rows={page.data} open={(call) => { location.hash = `#/requests/${encodeURIComponent(call.id)}`; }}
                columns={[
                  { title: 'When', show: (call) => <span title={time(call.started_at)}>{ago(call.started_at)}</span> },
                  { title: 'Key', show: (call) => call.key ?? '' },
                  { title: 'Asked for', show: (call) => call.route ?? '' },
                  { title: 'Answered by', wrap: true, show: (call) => (call.provider ? `${call.provider}/${call.model}` : '—') },
                  { title: 'End', show: (call) => <><Badge tone={tone(call)}>{call.end}</Badge> {call.status}</> },
                  { title: 'Tokens in / out', number: true, show: (call) => `${count(call.input_tokens)} / ${count(call.output_tokens)}` },
                  { title: 'First token', number: true, show: (call) => millis(call.ttft_ms) },
                  { title: 'Time', number: true, show: (call) => millis(call.duration_ms) },
                  { title: 'Cost', number: true, show: (call) => short(call.cost_usd) },
                ]}
              />
              <Pager place={place} next={page.next_cursor} words={['Newer', 'Older']} />
            </>
          )}
        </Show>
      </Panel>
      {rest && <One id={rest} />}
    </>
  );
}

function One({ id }: { id: string }) {
  const call = useLoad<Call>(`/admin/v1/requests/${encodeURIComponent(id)}`);
  return (
    <Dialog title={`Call ${id}`} wide close={() => { location.hash = '#/requests'; }}>
      <Show from={call}>
        {(call) => (
          <>
            <Waterfall call={call} />
            <dl>
              {Object.entries(call).filter(([name, value]) => name !== 'attempts' && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0)).map(([name, value]) => (
                <><dt key={name}>{name}</dt><dd>{name === 'cost_usd' ? usd(value as string) : name.endsWith('_at') ? time(value as string) : typeof value === 'object' ? JSON.stringify(value) : String(value)}</dd></>
              ))}
            </dl>
          </>
        )}
      </Show>
      <form method="dialog" class="row"><button class="main">Close</button></form>
    </Dialog>
  );
}

/** When each attempt ran, within the call; the lighter part is the wait for its first token. */
function Waterfall({ call }: { call: Call }) {
  const attempts = Array.isArray(call.attempts) ? call.attempts : [];
  const start = new Date(call.started_at).getTime();
  const whole = Math.max(call.duration_ms ?? 0, 1);
  const lane = (attempt: Attempt) => {
    const left = Math.max(0, new Date(attempt.started_at ?? call.started_at).getTime() - start) / whole;
    const width = (attempt.duration_ms ?? 0) / whole;
    const first = attempt.ttft_ms ? attempt.ttft_ms / whole : 0;
    return (
      <div class="lane">
        <i class={attempt.state === 'ok' ? '' : 'bad'} style={{ left: `${left * 100}%`, width: `${width * 100}%` }} />
        {first > 0 && <i class="first" style={{ left: `${left * 100}%`, width: `${first * 100}%` }} />}
      </div>
    );
  };
  if (!attempts.length) return <p class="hint">No provider was asked{call.error_code ? ` (${call.error_code})` : ''}.</p>;
  return (
    <Panel title="Attempts">
      <div class="wait">
        {attempts.map((attempt) => (
          <>
            <span title={attempt.id}>{attempt.provider}/{attempt.model}</span>
            {lane(attempt)}
            <span>{millis(attempt.duration_ms)}</span>
            <span class="hint">{attempt.state}{attempt.upstream_status ? ` · ${attempt.upstream_status}` : ''}</span>
            <span class="hint">{attempt.error_code ?? ''}</span>
            <span class="hint">{short(attempt.cost_usd)}</span>
          </>
        ))}
      </div>
    </Panel>
  );
}
