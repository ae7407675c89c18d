import { query, type Page } from '../api';
import { time } from '../format';
import { Empty, Head, Panel } from '../parts/bits';
import { Show, useLoad } from '../parts/load';
import { Pager, usePlace } from '../parts/pages';
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
  const place = usePlace();
  const list = useLoad<Page<Entry>>(`/admin/v1/audit${query({ limit: 50, cursor: place.cursor })}`);
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
              <Pager place={place} next={page.next_cursor} words={['Newer', 'Older']} />
            </>
          )}
        </Show>
      </Panel>
    </>
  );
}
