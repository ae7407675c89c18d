import { useMemo, useState } from 'preact/hooks';
import { approximate, count, usd } from '../format';
import { Badge, Empty, Field, Head, Panel } from '../parts/bits';
import { Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';

interface Model {
  id: string;
  context_length?: number | null;
  pricing?: { prompt?: string; completion?: string } | null;
  architecture?: { input_modalities?: string[] };
  supported_parameters?: string[];
}

/** A price per token as one per million tokens: the point moves six places. */
export function perMillion(price: string | undefined): string | null {
  if (!price || !/^\d+(\.\d+)?$/.test(price)) return null;
  const [whole = '0', fraction = ''] = price.split('.');
  const digits = fraction.padEnd(6, '0');
  const left = `${whole}${digits.slice(0, 6)}`.replace(/^0+(?=\d)/, '');
  const right = digits.slice(6).replace(/0+$/, '');
  return right ? `${left}.${right}` : left;
}

const NEEDS: [string, string, (model: Model) => boolean][] = [
  ['tools', 'Tools', (model) => !!model.supported_parameters?.includes('tools')],
  ['schema', 'JSON schema', (model) => !!model.supported_parameters?.some((name) => ['json_schema', 'response_format', 'structured_outputs'].includes(name))],
  ['reasoning', 'Reasoning', (model) => !!model.supported_parameters?.some((name) => name.startsWith('reasoning'))],
  ['image', 'Images', (model) => !!model.architecture?.input_modalities?.includes('image')],
  ['audio', 'Audio', (model) => !!model.architecture?.input_modalities?.includes('audio')],
];

export function Models() {
  const list = useLoad<{ data: Model[] }>('/v1/models');
  const [search, setSearch] = useState('');
  const [needs, setNeeds] = useState<string[]>([]);
  const [context, setContext] = useState(0);
  const [most, setMost] = useState('');
  const fit = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return (list.data?.data ?? []).filter((model) =>
      words.every((word) => model.id.toLowerCase().includes(word))
      && NEEDS.every(([name, , has]) => !needs.includes(name) || has(model))
      && (!context || (model.context_length ?? 0) >= context)
      && (!most || (perMillion(model.pricing?.completion) !== null && approximate(perMillion(model.pricing?.completion)) <= Number(most))));
  }, [list.data, search, needs, context, most]);
  const price = (model: Model, side: 'prompt' | 'completion') => perMillion(model.pricing?.[side]);
  return (
    <>
      <Head title="Models" hint={list.data ? `${fit.length} of ${list.data.data.length}; prices in USD per million tokens` : ''} />
      <Panel>
        <div class="filters">
          <Field label="Search"><input type="search" value={search} placeholder="gpt-4o, claude, :free" onInput={(event) => setSearch(event.currentTarget.value)} /></Field>
          <Field label="Context of at least">
            <select value={context} onChange={(event) => setContext(Number(event.currentTarget.value))}>
              {[0, 32_000, 128_000, 200_000, 1_000_000].map((size) => <option key={size} value={size}>{size ? count(size) : 'any'}</option>)}
            </select>
          </Field>
          <Field label="Output for at most $"><input type="number" min="0" step="0.1" value={most} onInput={(event) => setMost(event.currentTarget.value)} /></Field>
          {NEEDS.map(([name, title]) => (
            <label key={name}><input type="checkbox" checked={needs.includes(name)} onChange={() => setNeeds(needs.includes(name) ? needs.filter((one) => one !== name) : [...needs, name])} /> {title}</label>
          ))}
        </div>
        <Show from={list}>
          {() => fit.length === 0 ? <Empty>No model fits. Ask for less, or add a provider.</Empty> : (
            <Table
              label="Models" rows={fit.slice(0, 400)}
              columns={[
                { title: 'Model', show: (model) => <><a href={`#/playground/${encodeURIComponent(model.id)}`}>{model.id}</a></>, by: (model) => model.id },
                { title: 'Input', number: true, show: (model) => usd(price(model, 'prompt')), by: (model) => approximate(price(model, 'prompt') ?? '1e9') },
                { title: 'Output', number: true, show: (model) => usd(price(model, 'completion')), by: (model) => approximate(price(model, 'completion') ?? '1e9') },
                { title: 'Context', number: true, show: (model) => count(model.context_length), by: (model) => model.context_length ?? 0 },
                { title: 'Can', show: (model) => NEEDS.filter(([, , has]) => has(model)).map(([name, title]) => <><Badge key={name}>{title}</Badge>{' '}</>) },
              ]}
            />
          )}
        </Show>
        {fit.length > 400 && <p class="hint">The first 400 are shown; search for the others.</p>}
      </Panel>
    </>
  );
}
