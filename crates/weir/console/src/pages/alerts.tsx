import type { Page } from '../api';
import { time } from '../format';
import { Badge, Empty, Head, Panel } from '../parts/bits';
import { Show, useLoad } from '../parts/load';
import { Table } from '../parts/table';

interface Alert {
  kind: string;
  cause: string;
  fired_at: string;
  resolved_at: string | null;
}

export function Alerts() {
  const list = useLoad<Page<Alert>>('/admin/v1/alerts', 5_000);
  return (
    <>
      <Head title="Alerts" hint="fired once, resolved once" />
      <Panel>
        <Show from={list}>
          {({ data }) => data.length === 0 ? <Empty command={'alerts:\n  - { kind: webhook, url: "${ALERT_URL}", on: [budget, error_rate, provider_down, latency] }'}>Nothing is wrong. To be told when something is, name where to:</Empty> : (
            <Table
              label="Alerts" rows={data}
              columns={[
                { title: 'State', show: (alert) => (alert.resolved_at ? <Badge tone="good">resolved</Badge> : <Badge tone="bad">firing</Badge>) },
                { title: 'Kind', show: (alert) => alert.kind },
                { title: 'Cause', wrap: true, show: (alert) => alert.cause },
                { title: 'Fired', show: (alert) => time(alert.fired_at) },
                { title: 'Resolved', show: (alert) => time(alert.resolved_at) },
              ]}
            />
          )}
        </Show>
      </Panel>
    </>
  );
}
