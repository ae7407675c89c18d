// Small parts that every page uses.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export function Head({ title, hint, children }: { title: string; hint?: string; children?: ComponentChildren }) {
  return (
    <div class="head">
      <h1>{title}</h1>
      {hint && <span class="hint">{hint}</span>}
      <div class="more">{children}</div>
    </div>
  );
}

export function Panel({ title, children }: { title?: string; children: ComponentChildren }) {
  return (
    <section class="panel">
      {title && <h2>{title}</h2>}
      {children}
    </section>
  );
}

export function Tile({ label, value, bad }: { label: string; value: string; bad?: boolean }) {
  return (
    <div class="tile">
      <div class="label">{label}</div>
      <div class={bad ? 'value bad' : 'value'}>{value}</div>
    </div>
  );
}

export type Tone = 'good' | 'warn' | 'bad' | '';

export function Badge({ tone = '', children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function Empty({ children, command }: { children: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <div>{children}</div>
      {command && <pre>{command}</pre>}
    </div>
  );
}

export function Bar({ share }: { share: number }) {
  const tone = share >= 1 ? 'bad' : share >= 0.8 ? 'warn' : '';
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return <div class="bar" role="meter" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)} aria-label="used"><i class={tone} style={{ width }} /></div>;
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return <label class="field">{label}{children}</label>;
}

export function Dialog({ title, wide, close, children }: { title: string; wide?: boolean; close: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class={wide ? 'wide' : ''} onClose={close} aria-label={title}>
      <h2>{title}</h2>
      {children}
    </dialog>
  );
}

/** A button that asks once more before it does what can't be undone. */
export function Sure({ children, act }: { children: ComponentChildren; act: () => void }) {
  const [asked, ask] = useState(false);
  useEffect(() => {
    if (!asked) return;
    const timer = setTimeout(() => ask(false), 4000);
    return () => clearTimeout(timer);
  }, [asked]);
  return <button type="button" class="bad" onClick={(event) => { event.stopPropagation(); if (asked) act(); ask(!asked); }}>{asked ? 'Really?' : children}</button>;
}

export function Copy({ text }: { text: string }) {
  const [done, set] = useState(false);
  return <button type="button" onClick={() => void navigator.clipboard.writeText(text).then(() => set(true))}>{done ? 'Copied' : 'Copy'}</button>;
}
