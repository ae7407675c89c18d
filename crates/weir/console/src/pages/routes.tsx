import { useState } from 'preact/hooks';
import { write, type ApiError, type Page } from '../api';
import { useLive, type Scrape } from '../live';
import { Badge, Empty, Field, Head, Panel, type Tone } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';

interface Target {
  model?: string;
  provider?: string;
  weight?: number;
  [more: string]: unknown;
}

interface Route {
  name: string;
  strategy?: string;
  targets?: (Target | string)[];
  fallbacks?: string[];
  [more: string]: unknown;
}

const words: Record<number, [Tone, string]> = { 0: ['good', 'closed'], 1: ['warn', 'half-open'], 2: ['bad', 'open'] };

function full(target: Target | string): string {
  if (typeof target === 'string') return target;
  return target.provider && target.model && !String(target.model).startsWith(`${target.provider}/`) ? `${target.provider}/${target.model}` : String(target.model ?? '');
}

function Node({ target, latest }: { target: Target | string; latest?: Scrape }) {
  const name = full(target);
  const breaker = (latest?.samples.get('weir_breaker_state') ?? []).find((one) => `${one.labels.provider}/${one.labels.model}` === name);
  const [tone, word] = (breaker && words[breaker.value]) || ['', ''];
  return <span class="node">{name}{typeof target !== 'string' && target.weight !== undefined && target.weight !== 1 ? ` ×${target.weight}` : ''} {word && <Badge tone={tone as Tone}>{word}</Badge>}</span>;
}

export function Routes() {
  const latest = useLive().at(-1);
  const list = useLoad<Page<Route>>('/admin/v1/routes?limit=200', 10_000);
  return (
    <>
      <Head title="Routes" hint="public names, and who serves them" />
      <Panel>
        <Show from={list}>
          {({ data }) => data.length === 0 ? <Empty command={'models:\n  smart:\n    targets: [claude/claude-sonnet-4-5, openai/gpt-4o]'}>No public name is declared. Any provider/model works without one; in weir.yaml a name gets several targets:</Empty> : (
            <div class="rows">
              {data.map((route) => (
                <div class="flow" key={route.name}>
                  <span class="node"><b>{route.name}</b> <Badge>{route.strategy ?? 'ordered'}</Badge></span>
                  {(route.targets ?? []).map((target) => <>→ <Node key={full(target)} target={target} latest={latest} /></>)}
                  {(route.fallbacks ?? []).map((name) => <>⇢ <span class="node" key={name}>{name}</span></>)}
                </div>
              ))}
            </div>
          )}
        </Show>
      </Panel>
      <Explain />
    </>
  );
}

function Explain() {
  const [model, setModel] = useState('demo/echo');
  const [prompt, setPrompt] = useState('hello');
  const [answer, set] = useState<unknown>(null);
  const [problem, complain] = useState<ApiError | null>(null);
  const ask = (event: Event) => {
    event.preventDefault();
    write('POST', '/admin/v1/explain', { model, messages: [{ role: 'user', content: prompt }] })
      .then((said) => { complain(null); set(said); }).catch(complain);
  };
  return (
    <Panel title="What would happen to a call">
      <form class="filters" onSubmit={ask}>
        <Field label="Model"><input value={model} onInput={(event) => setModel(event.currentTarget.value)} /></Field>
        <Field label="Prompt"><input value={prompt} size={40} onInput={(event) => setPrompt(event.currentTarget.value)} /></Field>
        <button>Explain</button>
      </form>
      <Problem error={problem} />
      {answer !== null && <pre>{JSON.stringify(answer, null, 2)}</pre>}
    </Panel>
  );
}
