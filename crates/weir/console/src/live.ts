// Live figures: /metrics, read every two seconds, kept for ten minutes in this tab.

import { useEffect, useState } from 'preact/hooks';
import { text } from './api';

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** What was scraped at one moment, in seconds since 1970. */
export interface Scrape {
  at: number;
  samples: Map<string, Sample[]>;
}

const EVERY = 2_000;
const KEPT = 300;
const scrapes: Scrape[] = [];
const listeners = new Set<() => void>();
let timer = 0;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function parse(body: string): Map<string, Sample[]> {
  const samples = new Map<string, Sample[]>();
  for (const line of body.split('\n')) {
    const match = line.startsWith('#') ? null : LINE.exec(line);
    if (!match) continue;
    const labels: Record<string, string> = {};
    for (const [, name, value] of (match[2] ?? '').matchAll(LABEL)) labels[name!] = value!.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    const sample = { name: match[1]!, labels, value: match[3] === '+Inf' ? Infinity : Number(match[3]) };
    samples.set(sample.name, [...(samples.get(sample.name) ?? []), sample]);
  }
  return samples;
}

async function scrape(): Promise<void> {
  try {
    scrapes.push({ at: Date.now() / 1000, samples: parse(await text('/metrics')) });
    if (scrapes.length > KEPT) scrapes.shift();
    listeners.forEach((tell) => tell());
  } catch {
    // The page says by itself that the gateway is away.
  }
  timer = listeners.size ? window.setTimeout(scrape, EVERY) : 0;
}

/** All scrapes so far; the component renders again with each. */
export function useLive(): Scrape[] {
  const [, turn] = useState(0);
  useEffect(() => {
    const tell = () => turn((n) => n + 1);
    listeners.add(tell);
    if (!timer) void scrape();
    return () => void listeners.delete(tell);
  }, []);
  return scrapes;
}

type Match = (labels: Record<string, string>) => boolean;
const all: Match = () => true;

export function sum(scrape: Scrape | undefined, name: string, match: Match = all): number {
  return (scrape?.samples.get(name) ?? []).filter((one) => match(one.labels)).reduce((total, one) => total + one.value, 0);
}

/** Growth per second between neighbours, smoothed over about ten seconds. */
export function rates(name: string, match: Match = all, over = 5): (number | null)[] {
  return scrapes.map((scrape, at) => {
    const before = scrapes[Math.max(0, at - over)]!;
    if (before === scrape) return null;
    return Math.max(0, sum(scrape, name, match) - sum(before, name, match)) / (scrape.at - before.at);
  });
}

/** The value at a share of a histogram's growth over the last `over` scrapes, from its buckets; null without any. */
export function quantile(share: number, name: string, match: Match = all, over = 30, end = scrapes.length - 1): number | null {
  const [after, before] = [scrapes[end], scrapes[Math.max(0, end - over)]];
  if (!after) return null;
  const bounds = new Map<number, number>();
  const add = (scrape: Scrape | undefined, sign: number) => {
    for (const { labels, value } of scrape?.samples.get(`${name}_bucket`) ?? []) {
      if (!match(labels)) continue;
      const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
      bounds.set(bound, (bounds.get(bound) ?? 0) + sign * value);
    }
  };
  add(after, 1);
  if (before !== after) add(before, -1);
  const sorted = [...bounds].sort(([a], [b]) => a - b);
  const total = sorted.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  let [low, under] = [0, 0];
  for (const [bound, upTo] of sorted) {
    if (upTo >= total * share) {
      if (!Number.isFinite(bound)) return low;
      return upTo === under ? bound : low + ((bound - low) * (total * share - under)) / (upTo - under);
    }
    [low, under] = [bound, upTo];
  }
  return null;
}

/** The values that a label has. */
export function values(name: string, label: string): string[] {
  const latest = scrapes.at(-1)?.samples.get(name) ?? [];
  return [...new Set(latest.map((one) => one.labels[label] ?? ''))].filter(Boolean).sort();
}
