import { useState } from 'preact/hooks';
import { write, type ApiError } from '../api';
import { Head, Panel } from '../parts/bits';
import { Problem, Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';

interface Setting {
  path: string;
  value: unknown;
  origin: string;
}

export function Config() {
  const config = useLoad<{ file: string | null; data: Setting[] }>('/admin/v1/config');
  const [search, set] = useState('');
  const [problem, complain] = useState<ApiError | null>(null);
  const [done, tell] = useState(false);
  const reload = () => write('POST', '/admin/v1/config/reload').then(() => { complain(null); tell(true); config.reload(); }).catch((error) => { tell(false); complain(error); });
  return (
    <>
      <Head title="Configuration" hint={`${config.data?.file ?? 'no file'}; as it is in force, secrets masked`}><button type="button" class="main" onClick={() => void reload()}>Load the file again</button></Head>
      <Problem error={problem} />
      {done && <div class="notice good" role="status">Loaded.</div>}
      <Panel>
        <div class="filters"><input type="search" aria-label="Search settings" placeholder="timeouts" value={search} onInput={(event) => set(event.currentTarget.value)} /></div>
        <Show from={config}>
          {({ data }) => (
            <Table
              label="Settings" rows={data.filter((one) => one.path.includes(search))}
              columns={[
                { title: 'Setting', show: (one) => <code>{one.path}</code>, by: (one) => one.path },
                { title: 'Value', wrap: true, show: (one) => <code>{JSON.stringify(one.value)}</code> },
                { title: 'From', show: (one) => one.origin },
              ]}
            />
          )}
        </Show>
      </Panel>
    </>
  );
}
