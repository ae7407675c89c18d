// Lines over time, by uPlot.

import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

export interface Line {
  label: string;
  values: (number | null)[];
  color?: string;
}

const COLORS = ['#0b8a92', '#d9822b', '#7157d9', '#2f9e58', '#c9394a', '#8a6d3b', '#3b7dd8'];

interface Props {
  label: string;
  times: number[];
  lines: Line[];
  unit: (value: number) => string;
  bars?: boolean;
  height?: number;
}

export function Chart({ label, times, lines, unit, bars, height = 190 }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = lines.map((line) => line.label).join('\n');
  useEffect(() => {
    const element = place.current!;
    const soft = getComputedStyle(element).getPropertyValue('--soft');
    const line = getComputedStyle(element).getPropertyValue('--line');
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    plot.current = new uPlot(
      {
        width: Math.max(element.clientWidth, 200),
        height,
        legend: { live: lines.length <= 6 },
        scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1e-9)] } },
        axes: [axis, { ...axis, size: 68, values: (_, splits) => splits.map(unit) }],
        series: [
          {},
          ...lines.map((one, at) => {
            const color = one.color ?? COLORS[at % COLORS.length]!;
            const series: uPlot.Series = { label: one.label, stroke: color, width: 1.6, points: { show: false }, value: (_, value) => (value === null || value === undefined ? '—' : unit(value)) };
            return bars ? { ...series, fill: `${color}66`, paths: uPlot.paths.bars!({ size: [0.7, 60] }) } : series;
          }),
        ],
      },
      [[], ...lines.map(() => [])],
      element,
    );
    const watch = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(element.clientWidth, 200), height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, height, bars]);
  useEffect(() => {
    plot.current?.setData([times, ...lines.map((line) => line.values)] as uPlot.AlignedData);
  });
  return <div ref={place} role="img" aria-label={label} />;
}
