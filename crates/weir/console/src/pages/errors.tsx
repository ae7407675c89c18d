import type { Page } from '../api';
import { time } from '../format';
import { Badge, Empty, Head, Panel } from '../parts/bits';
import { Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';

interface Group {
  fingerprint: string;
  class: string;
  provider: string | null;
  message: string;
  count: number;
  first_seen: string;
  last_seen: string;
  sample: { id: string; route: string; key: string; status: number | null };
}

export function Errors() {
  const list = useLoad<Page<Group>>('/admin/v1/errors?limit=200', 5_000);
  return (
    <>
      <Head title="Errors" hint="of this process since its start, by cause; messages are kept without what clients and providers wrote" />
      <Panel>
        <Show from={list}>
          {({ data }) => data.length === 0 ? <Empty command="weir logs -f --failed">Nothing went wrong since this process began. To watch for it:</Empty> : (
            <Table
              label="Errors" rows={data}
              columns={[
                { title: 'Kind', show: (group) => <Badge tone="bad">{group.class}</Badge> },
                { title: 'Provider', show: (group) => group.provider ?? '–' },
                { title: 'Message', wrap: true, show: (group) => group.message || '–' },
                { title: 'Count', show: (group) => group.count.toLocaleString('en') },
                { title: 'First', show: (group) => time(group.first_seen) },
                { title: 'Last', show: (group) => time(group.last_seen) },
                { title: 'Status', show: (group) => group.sample.status ?? '–' },
                { title: 'Last call', show: (group) => <a href={`#/requests/${group.sample.id}`}>{group.sample.route}</a> },
              ]}
            />
          )}
        </Show>
      </Panel>
    </>
  );
}
