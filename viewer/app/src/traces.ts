// Requests as trees of spans on one axis of time: a list to choose from, the slowest first, and the chosen one's tree over
// all processes it went through.

import type { PageData, Trace, TraceSpan } from './data';
import { h, name, replace } from './dom';
import * as format from './format';
import { line, type LineColour } from './palette';

const kInBar = ['provider', 'cost', 'tokens', 'status']; // what a row says without being opened
const kColours = Object.keys(line.light) as LineColour[];

/** Names, processes and lengths of one trace, as the list shows and searches them. */
interface Entry {
  trace: Trace;
  top: string;
  names: string;
}

export class Traces {
  readonly element: HTMLElement;
  private readonly entries: Entry[];
  private readonly list = h('div', { class: 'trace-list', role: 'listbox', 'aria-label': 'Traces', tabindex: 0 });
  private readonly tree = h('div', { class: 'trace-tree' });
  private readonly count = h('span', { class: 'hint', 'aria-live': 'polite' });
  private readonly filter = h('input', { type: 'search', class: 'trace-filter', placeholder: 'Filter by name or process', 'aria-label': 'Filter traces', spellcheck: 'false' });
  private readonly processes: Map<number, string>;
  private readonly colours = new Map<number, LineColour>();
  private chosen: Trace | null = null;

  constructor(private readonly page: PageData) {
    this.processes = new Map(page.processes.map((p) => [p.id, p.name || `pid ${p.pid}`]));
    this.entries = page.traces.list.map((trace) => {
      const own = new Set(trace.spans.map((span) => this.text(span[1])));
      for (const span of trace.spans) {
        own.add(this.processName(span));
        if (!this.colours.has(span[2])) this.colours.set(span[2], kColours[this.colours.size % kColours.length]!);
      }
      return { trace, top: this.text(trace.spans[0]![1]), names: [...own].join('\n').toLowerCase() };
    });
    this.element = h(
      'section',
      { id: 'traces', 'aria-label': 'Traces' },
      h('div', { class: 'section-head' }, h('h2', {}, 'Traces', h('small', {}, this.says())), this.entries.length > 0 && this.filter, this.entries.length > 0 && this.count),
      this.entries.length > 0
        ? h('div', { class: 'traces' }, this.list, this.tree)
        : h('p', { class: 'empty' }, 'No request was recorded as a span. Begin one around each with camprobe.h, and others inside it; the text attribute traceparent ties those of several processes together.'),
    );
    if (this.entries.length === 0) return;
    this.filter.addEventListener('input', () => this.fill());
    this.list.addEventListener('keydown', (event) => this.move(event));
    this.fill();
    this.show(this.entries[0]!.trace);
  }

  redraw(): void {
    if (this.chosen) this.show(this.chosen);
  }

  private text(index: number): string {
    return this.page.traces.texts[index] ?? '';
  }
  private processName(span: TraceSpan): string {
    return this.processes.get(span[2]) ?? 'process';
  }

  private says(): string {
    const { list, recorded } = this.page.traces;
    const slowest = list.filter((trace) => trace.chosen === 'slowest').length;
    const random = list.length - slowest;
    if (random === 0) return list.length > 0 ? `all ${format.count(list.length)} that were kept, slowest first` : '';
    return `of ${format.count(recorded)} that were kept the ${slowest} slowest, and ${random} at random`;
  }

  private fill(): void {
    const wanted = this.filter.value.trim().toLowerCase();
    const found = this.entries.filter((entry) => entry.names.includes(wanted));
    const longest = this.entries.reduce((most, entry) => Math.max(most, entry.trace.ms), 0);
    this.count.textContent = wanted ? `${found.length} of ${this.entries.length}` : '';
    replace(
      this.list,
      ...found.map(({ trace, top }) => {
        const bar = h('span', { class: 'trace-bar' });
        bar.style.width = `${longest > 0 ? Math.max(1, (trace.ms / longest) * 100) : 1}%`;
        const services = [...new Set(trace.spans.map((span) => this.processName(span)))];
        const row = h(
          'div',
          { class: 'trace-entry', role: 'option', 'aria-selected': String(trace === this.chosen), 'data-trace': trace.id, onclick: () => this.show(trace) },
          h('div', { class: 'trace-line' }, name(top), h('b', {}, trace.is_complete ? format.milliseconds(trace.ms) : 'never ended')),
          h('div', { class: 'trace-line quiet' }, h('span', {}, `${services.slice(0, 3).join(' → ')}${services.length > 3 ? ' …' : ''}`), h('span', {}, `${format.count(trace.spans.length + trace.left_out)} ${trace.spans.length + trace.left_out === 1 ? 'span' : 'spans'} · ${format.elapsed(trace.at_s)}${trace.chosen === 'random' ? ' · at random' : ''}`)),
          bar,
        );
        return row;
      }),
      found.length === 0 && h('p', { class: 'empty' }, 'No trace has a span or a process of that name.'),
    );
  }

  private move(event: KeyboardEvent): void {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const rows = [...this.list.querySelectorAll<HTMLElement>('.trace-entry')];
    const at = rows.findIndex((row) => row.getAttribute('aria-selected') === 'true');
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    next?.click();
    next?.scrollIntoView({ block: 'nearest' });
  }

  private show(trace: Trace): void {
    this.chosen = trace;
    for (const row of this.list.querySelectorAll('.trace-entry')) row.setAttribute('aria-selected', String(row.getAttribute('data-trace') === trace.id));
    const dark = getComputedStyle(document.documentElement).getPropertyValue('--is-dark').trim() === '1';
    const services = new Map<number, string>();
    for (const span of trace.spans) services.set(span[2], this.processName(span));
    const ticks = h('div', { class: 'trace-ticks', 'aria-hidden': 'true' }, ...[0, 0.25, 0.5, 0.75, 1].map((share) => h('span', {}, format.milliseconds(trace.ms * share))));
    replace(
      this.tree,
      h(
        'div',
        { class: 'trace-head' },
        h('div', {}, h('b', {}, this.text(trace.spans[0]![1])), ` ${format.milliseconds(trace.ms)}, begun at ${format.elapsed(trace.at_s)}`),
        h('div', { class: 'quiet' }, 'trace ', h('code', {}, trace.id)),
        h('div', { class: 'legend' }, ...[...services].map(([id, service]) => h('span', { class: 'legend-entry' }, this.swatch(id, dark), name(service)))),
      ),
      h('div', { class: 'trace-row axis' }, h('div', {}), ticks),
      ...trace.spans.flatMap((span) => this.row(trace, span, dark)),
      trace.left_out > 0 && h('p', { class: 'hint' }, `${format.count(trace.left_out)} more spans of this trace are not shown; camprobe export --format otlp has them.`),
    );
  }

  private swatch(process: number, dark: boolean): HTMLElement {
    const key = h('span', { class: 'key' });
    key.style.background = line[dark ? 'dark' : 'light'][this.colours.get(process) ?? 'blue'];
    return key;
  }

  private row(trace: Trace, span: TraceSpan, dark: boolean): HTMLElement[] {
    const [depth, title, process, thread, from_ms, ms, attributes] = span;
    const all = Math.max(trace.ms, 1e-6);
    const lasted = ms ?? Math.max(0, trace.ms - from_ms);
    const left = Math.min(100, Math.max(0, (from_ms / all) * 100));
    const width = Math.min(100 - left, (lasted / all) * 100);
    const bar = h('span', { class: ms === null ? 'span-bar open' : 'span-bar' });
    bar.style.left = `${left}%`;
    bar.style.width = `${width}%`;
    bar.style.background = line[dark ? 'dark' : 'light'][this.colours.get(process) ?? 'blue'];
    const said = h('span', { class: 'span-time' }, ms === null ? 'never ended' : format.milliseconds(ms));
    // Where the bar leaves room: behind it, or before it.
    if (left + width > 70) said.style.right = `calc(${100 - left}% + 4px)`;
    else said.style.left = `calc(${left + width}% + 4px)`;
    if (left + width > 70 && left < 20) {
      said.classList.add('inside');
      said.style.right = `calc(${100 - left - width}% + 6px)`;
    }
    const value = (key: number, v: string | number | boolean) => `${this.text(key)}=${typeof v === 'number' ? format.number(v) : v}`;
    const short = attributes.filter(([key]) => kInBar.includes(this.text(key))).map(([key, v]) => value(key, v));
    const label = h(
      'button',
      { type: 'button', class: 'span-label', 'aria-expanded': 'false', title: 'Attributes' },
      this.swatch(process, dark),
      name(this.text(title)),
      short.length > 0 && h('small', {}, short.join(' ')),
    );
    label.style.paddingLeft = `${Math.min(depth, 12) * 16}px`;
    const facts: [string, string][] = [
      ['process', `${this.processName(span)}${thread === null ? '' : `, thread ${this.text(thread)}`}`],
      ['began', `${format.milliseconds(from_ms)} into the trace`],
      ['lasted', ms === null ? 'it never ended' : format.milliseconds(ms)],
      ...attributes.map(([key, v]): [string, string] => [this.text(key), typeof v === 'number' ? String(v) : String(v)]),
    ];
    const details = h('dl', { class: 'span-details', hidden: true }, ...facts.flatMap(([key, v]) => [h('dt', {}, name(key)), h('dd', {}, name(v))]));
    label.addEventListener('click', () => {
      details.hidden = !details.hidden;
      label.setAttribute('aria-expanded', String(!details.hidden));
    });
    return [h('div', { class: 'trace-row', 'data-depth': depth }, label, h('div', { class: 'span-lane' }, bar, said)), details];
  }
}
