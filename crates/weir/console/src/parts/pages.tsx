// Lists that come in pages.

import { useState } from 'preact/hooks';

/** Where a list is: the cursors that led to the page shown, none for the first. */
export interface Place {
  cursor: string | undefined;
  isFirst: boolean;
  go: (cursors: (now: string[]) => string[]) => void;
}

export function usePlace(): Place {
  const [cursors, go] = useState<string[]>([]);
  return { cursor: cursors.at(-1), isFirst: cursors.length === 0, go };
}

export function Pager({ place, next, words }: { place: Place; next: string | null; words: [back: string, on: string] }) {
  return (
    <div class="filters">
      <button type="button" disabled={place.isFirst} onClick={() => place.go((now) => now.slice(0, -1))}>{words[0]}</button>
      <button type="button" disabled={!next} onClick={() => place.go((now) => [...now, next!])}>{words[1]}</button>
    </div>
  );
}
