// A table: columns say how a row is shown, and by what it can be sorted.

import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';

export interface Column<T> {
  title: string;
  show: (row: T) => ComponentChildren;
  by?: (row: T) => string | number;
  number?: boolean;
  wrap?: boolean;
}

interface Props<T> {
  columns: Column<T>[];
  rows: T[];
  open?: (row: T) => void;
  label: string;
}

export function Table<T>({ columns, rows, open, label }: Props<T>) {
  const [order, set] = useState<{ at: number; down: boolean } | null>(null);
  const sorted = useMemo(() => {
    const by = order && columns[order.at]?.by;
    if (!by) return rows;
    const turned = [...rows].sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0));
    return order.down ? turned.reverse() : turned;
  }, [rows, order, columns]);
  const sort = (at: number, number?: boolean) => set((now) => (now?.at === at ? { at, down: !now.down } : { at, down: !!number }));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column, at) => (
              <th class={column.number ? 'n' : ''} key={column.title} aria-sort={order?.at === at ? (order.down ? 'descending' : 'ascending') : undefined}>
                {column.by ? <button type="button" onClick={() => sort(at, column.number)}>{column.title}{order?.at === at ? (order.down ? ' ↓' : ' ↑') : ''}</button> : column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row, at) => (
            <tr
              key={at}
              class={open ? 'open' : ''}
              tabIndex={open ? 0 : undefined}
              onClick={open && (() => open(row))}
              onKeyDown={open && ((event) => event.key === 'Enter' && event.target === event.currentTarget && open(row))}
            >
              {columns.map((column) => <td class={column.number ? 'n' : column.wrap ? 'wrap' : ''} key={column.title}>{column.show(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
