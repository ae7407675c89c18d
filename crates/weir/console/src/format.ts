// How numbers, money and times are written. Money comes as decimal text and stays text: it is never a float here.

/** `0.000412` as `$0.000412`, `12.3` as `$12.30`; thousands apart. */
export function usd(amount: string | null | undefined): string {
  if (amount === null || amount === undefined) return '—';
  if (!/^-?\d+(\.\d+)?$/.test(amount)) return amount;
  const negative = amount.startsWith('-');
  const [whole = '0', fraction = ''] = amount.replace('-', '').split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ' ');
  const tail = fraction.replace(/0+$/, '');
  return `${negative ? '−' : ''}$${grouped}.${tail.length < 2 ? tail.padEnd(2, '0') : tail}`;
}

/** Money for a narrow place: at most four digits that count, rounded down. */
export function short(amount: string | null | undefined): string {
  if (!amount || !/^-?\d+(\.\d+)?$/.test(amount)) return usd(amount);
  const [whole = '0', fraction = ''] = amount.split('.');
  if (whole.replace('-', '').length > 1) return usd(`${whole}.${fraction.slice(0, 2)}`);
  const leading = fraction.match(/^0*/)![0].length;
  return usd(`${whole}.${fraction.slice(0, Math.max(whole === '0' ? leading + 3 : 3, 2))}`);
}

/** Decimal text as a number, for the length of bars and the height of lines only. */
export const approximate = (amount: string | null | undefined): number => Number(amount ?? 0);

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return '—';
  return Math.abs(value) < 10_000 ? String(value) : new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value);
}

export function seconds(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '—';
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${Math.round(value * 1e3)} ms`;
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

export const millis = (value: number | null | undefined): string => (value === null || value === undefined ? '—' : seconds(value / 1000));

export function percent(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return '—';
  return `${(share * 100).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
}

export function time(stamp: string | null | undefined): string {
  if (!stamp) return '—';
  const date = new Date(stamp);
  return Number.isNaN(date.getTime()) ? stamp : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The day that it is now (UTC), as the API takes it. Days are summed up already, whatever the number of calls in them. */
export const today = (): string => new Date().toISOString().slice(0, 10);

export function ago(stamp: string | null | undefined): string {
  if (!stamp) return '—';
  const past = (Date.now() - new Date(stamp).getTime()) / 1000;
  if (past < 60) return `${Math.max(0, Math.round(past))} s ago`;
  if (past < 3600) return `${Math.round(past / 60)} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} d ago`;
}
