import { useState } from 'preact/hooks';
import { query, type Page } from '../api';
import { time } from '../format';
import { Empty, Head, Panel } from '../parts/bits';
import { Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';

interface Entry {
  id: string;
  at: string;
  actor: string;
  action: string;
  kind: string;
  name: string;
  before?: unknown;
  after?: unknown;
}

export function Audit() {
  const [cursors, setCursors] = useState<string[]>([]);
  const list = useLoad<Page<Entry>>(`/admin/v1/audit${query({ limit: 50, cursor: cursors.at(-1) })}`);
  const change = (entry: Entry) => [entry.before && `− ${JSON.stringify(entry.before)}`, entry.after && `+ ${JSON.stringify(entry.after)}`].filter(Boolean).join('\n');
  return (
    <>
      <Head title="Audit log" hint="each change of keys, teams, users and budgets" />
      <Panel>
        <Show from={list}>
          {(page) => page.data.length === 0 ? <Empty>Nothing was changed yet.</Empty> : (
            <>
              <Table
                label="Audit log" rows={page.data}
                columns={[
                  { title: 'When', show: (entry) => time(entry.at) },
                  { title: 'Who', show: (entry) => entry.actor },
                  { title: 'What', show: (entry) => `${entry.action} ${entry.kind} ${entry.name}` },
                  { title: 'Change', wrap: true, show: (entry) => <code>{change(entry)}</code> },
                ]}
              />
              <div class="filters">
                <button type="button" disabled={!cursors.length} onClick={() => setCursors(cursors.slice(0, -1))}>Newer</button>
                <button type="button" disabled={!page.next_cursor} onClick={() => setCursors([...cursors, page.next_cursor!])}>Older</button>
              </div>
            </>
          )}
        </Show>
      </Panel>
    </>
  );
}
