import { useState } from 'preact/hooks';
import { write, type ApiError } from '../api';
import { Head, Panel } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';

interface Setting {
  path: string;
  value: string;
  origin: string;
}

/** A tree of settings as a list; leaves may carry `{value, origin}`. */
function settings(value: unknown, path = ''): Setting[] {
  if (value !== null && typeof value === 'object') {
    const members = value as Record<string, unknown>;
    if ('origin' in members && 'value' in members) return [{ path, value: JSON.stringify(members.value), origin: String(members.origin) }];
    const entries = Array.isArray(value) ? value.map((one, at) => [`[${at}]`, one] as const) : Object.entries(members).map(([name, one]) => [path ? `.${name}` : name, one] as const);
    if (entries.length) return entries.flatMap(([name, one]) => settings(one, path + name));
  }
  return [{ path, value: JSON.stringify(value), origin: '' }];
}

export function Config() {
  const config = useLoad<Record<string, unknown>>('/admin/v1/config');
  const [search, set] = useState('');
  const [problem, complain] = useState<ApiError | null>(null);
  const [done, tell] = useState(false);
  const reload = () => write('POST', '/admin/v1/config/reload').then(() => { complain(null); tell(true); config.reload(); }).catch((error) => { tell(false); complain(error); });
  return (
    <>
      <Head title="Configuration" hint="as it is in force; secrets are masked"><button type="button" class="main" onClick={() => void reload()}>Load the file again</button></Head>
      <Problem error={problem} />
      {done && <div class="notice good" role="status">Loaded.</div>}
      <Panel>
        <div class="filters"><input type="search" aria-label="Search settings" placeholder="timeouts" value={search} onInput={(event) => set(event.currentTarget.value)} /></div>
        <Show from={config}>
          {(data) => (
            <Table
              label="Settings" rows={settings(data).filter((one) => one.path.includes(search))}
              columns={[
                { title: 'Setting', show: (one) => <code>{one.path}</code>, by: (one) => one.path },
                { title: 'Value', wrap: true, show: (one) => <code>{one.value}</code> },
                { title: 'From', show: (one) => one.origin },
              ]}
            />
          )}
        </Show>
      </Panel>
    </>
  );
}
