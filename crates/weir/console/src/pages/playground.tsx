import { useRef, useState } from 'preact/hooks';
import { ApiError, events, send } from '../api';
import { count, millis } from '../format';
import { Field, Head, Panel } from '../parts/bits';
import { Problem, useLoad } from '../parts/load';

interface Turn {
  role: 'user' | 'assistant';
  content: string;
}

interface Run {
  said: string;
  thought: string;
  first: number | null;
  took: number | null;
  usage: { prompt_tokens?: number; completion_tokens?: number; cost?: number | null } | null;
  served: string;
  error: ApiError | null;
}

const FRESH: Run = { said: '', thought: '', first: null, took: null, usage: null, served: '', error: null };

export function Playground({ rest }: { rest: string }) {
  const models = useLoad<{ data: { id: string }[] }>('/v1/models');
  const [one, setOne] = useState(rest || 'demo/echo');
  const [two, setTwo] = useState('');
  const [prompt, setPrompt] = useState('');
  const [asked, ask] = useState<{ text: string; turn: number } | null>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!prompt.trim()) return;
    ask({ text: prompt, turn: (asked?.turn ?? 0) + 1 });
    setPrompt('');
  };
  const chosen = [one, two].filter(Boolean);
  return (
    <>
      <Head title="Playground" hint="through the gateway, as any client; what it costs is recorded"><button type="button" onClick={() => ask(null)}>Start anew</button></Head>
      <Panel>
        <form class="rows" onSubmit={submit}>
          <div class="filters">
            <Field label="Model"><input list="models" value={one} onInput={(event) => setOne(event.currentTarget.value)} /></Field>
            <Field label="Beside it"><input list="models" value={two} placeholder="compare with…" onInput={(event) => setTwo(event.currentTarget.value)} /></Field>
            <datalist id="models">{models.data?.data.map((model) => <option key={model.id} value={model.id} />)}</datalist>
          </div>
          <textarea rows={3} aria-label="Your message" placeholder="Ask something. Enter sends, Shift+Enter makes a line." value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} onKeyDown={(event) => event.key === 'Enter' && !event.shiftKey && submit(event)} />
          <div><button class="main" disabled={!prompt.trim()}>Send</button></div>
        </form>
      </Panel>
      <div class="pair">{chosen.map((model, at) => <Talk key={`${at}:${asked ? '' : 'fresh'}`} model={model} asked={asked} />)}</div>
    </>
  );
}

function Talk({ model, asked }: { model: string; asked: { text: string; turn: number } | null }) {
  const turns = useRef<Turn[]>([]);
  const begun = useRef(0);
  const abort = useRef<AbortController | null>(null);
  const [run, set] = useState<Run>(FRESH);
  if (asked && begun.current !== asked.turn) {
    begun.current = asked.turn;
    turns.current = [...turns.current, { role: 'user', content: asked.text }];
    abort.current = new AbortController();
    void talk(model, turns.current, abort.current.signal, set).then((said) => {
      turns.current = [...turns.current, { role: 'assistant', content: said }];
    });
  }
  const earlier = turns.current.slice(0, run.took === null ? undefined : -1);
  return (
    <Panel title={model}>
      {earlier.map((turn, at) => <p key={at} class="said"><b>{turn.role === 'user' ? 'You' : 'Model'}:</b> {turn.content}</p>)}
      <Problem error={run.error} />
      {run.thought && <details><summary>Reasoning</summary><p class="said hint">{run.thought}</p></details>}
      <div class="said" aria-live="polite" data-testid="answer">{run.said}</div>
      {run.took === null && asked && !run.error && <button type="button" onClick={() => abort.current?.abort()}>Stop</button>}
      <p class="hint">
        {run.first !== null && `first token ${millis(run.first)}`}
        {run.took !== null && ` · ${millis(run.took)}`}
        {run.usage && ` · ${count(run.usage.prompt_tokens)} in, ${count(run.usage.completion_tokens)} out · ${run.usage.cost === null || run.usage.cost === undefined ? 'price not known' : `$${run.usage.cost}`}`}
        {run.served && ` · ${run.served}`}
      </p>
    </Panel>
  );
}

async function talk(model: string, messages: Turn[], signal: AbortSignal, set: (run: Run) => void): Promise<string> {
  const run = { ...FRESH };
  const began = performance.now();
  set({ ...run });
  try {
    const body = JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } });
    const response = await send('/v1/chat/completions', { method: 'POST', body, signal });
    run.served = [response.headers.get('x-weir-provider'), response.headers.get('x-weir-model')].filter(Boolean).join('/');
    for await (const data of events(response)) {
      if (data === '[DONE]') break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(200, chunk.error.code ?? '', chunk.error.message);
      const delta = chunk.choices?.[0]?.delta ?? {};
      run.thought += delta.reasoning_content ?? delta.reasoning ?? '';
      run.said += delta.content ?? '';
      if (run.first === null && (run.said || run.thought)) run.first = performance.now() - began;
      if (chunk.usage) run.usage = chunk.usage;
      set({ ...run });
    }
  } catch (error) {
    if (error instanceof ApiError) run.error = error;
    else if (!(error instanceof DOMException)) run.error = new ApiError(0, '', String(error));
  }
  run.took = performance.now() - began;
  set({ ...run });
  return run.said;
}
