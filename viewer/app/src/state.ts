// What the reader has chosen: one place, told to whoever listens, kept in the address so that a link shows the same view.

export type What = 'cpu' | 'alloc' | 'live' | 'retained' | 'wait';
export type Theme = 'auto' | 'light' | 'dark';

export interface View {
  what: What;
  /** Seconds since the start; null is the whole run. */
  range: [number, number] | null;
  search: string;
  /** The stack node the flame graph is zoomed to, 0 for all. */
  node: number;
  /** The finding whose onset is marked. */
  finding: number | null;
  theme: Theme;
}

const kWhats: What[] = ['cpu', 'alloc', 'live', 'retained', 'wait'];

export class State {
  view: View;
  private readonly listeners: ((view: View, changed: Set<keyof View>) => void)[] = [];

  constructor() {
    const from = new URLSearchParams(location.hash.slice(1));
    const what = from.get('what') as What;
    const range = (from.get('range') ?? '').split('-').map(Number);
    const theme = from.get('theme');
    this.view = {
      what: kWhats.includes(what) ? what : 'cpu',
      range: range.length === 2 && range.every(Number.isFinite) && range[0]! < range[1]! ? [range[0]!, range[1]!] : null,
      search: from.get('search') ?? '',
      node: Math.max(0, Math.floor(Number(from.get('node'))) || 0),
      finding: null,
      theme: theme === 'light' || theme === 'dark' ? theme : 'auto',
    };
  }

  listen(listener: (view: View, changed: Set<keyof View>) => void): void {
    this.listeners.push(listener);
  }

  set(change: Partial<View>): void {
    const changed = new Set<keyof View>();
    for (const key of Object.keys(change) as (keyof View)[]) {
      if (JSON.stringify(this.view[key]) !== JSON.stringify(change[key])) changed.add(key);
    }
    if (changed.size === 0) return;
    this.view = { ...this.view, ...change };
    const to = new URLSearchParams();
    if (this.view.what !== 'cpu') to.set('what', this.view.what);
    if (this.view.range) to.set('range', this.view.range.map((s) => String(Math.round(s * 1000) / 1000)).join('-'));
    if (this.view.search) to.set('search', this.view.search);
    if (this.view.node) to.set('node', String(this.view.node));
    if (this.view.theme !== 'auto') to.set('theme', this.view.theme);
    try {
      history.replaceState(null, '', `#${to.toString()}`);
    } catch {
      // An embedded page may not touch its address; the view works all the same.
    }
    for (const listener of this.listeners) listener(this.view, changed);
  }
}
