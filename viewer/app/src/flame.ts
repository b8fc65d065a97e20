// The flame graph of the chosen metric over the chosen range, the search in it, and the functions it is made of.
//
// d3-flame-graph draws it: kept up since 2014, it zooms, keeps frames in place and takes our colours, tooltip and order.
// What it would do slowly on a large run is done here on plain arrays instead: building the tree, searching (its own
// search fails beyond about 100,000 matches) and counting. Frames too narrow to see are not made into elements at all,
// so the page stays quick whatever the run holds; they appear as one zooms in.

import flamegraph, { type FlameDatum, type FlameGraph, type FlameNode, type FlameTooltip } from 'd3-flame-graph';
import { select } from 'd3-selection';
import type { PageData, Profile } from './data';
import { h, name, replace } from './dom';
import { whatOf } from './findings';
import * as format from './format';
import { faded, frameColour, isNeutral, kHit, moduleColours, neutral, script } from './palette';
import type { State, View, What } from './state';
import { byFunction, findStack, matches, profileOf, toFlameTree, weigh, type Weighed } from './tree';

const kMetrics: { what: What; title: string; hint: string }[] = [
  { what: 'cpu', title: 'CPU', hint: 'Time on a CPU' },
  { what: 'alloc', title: 'Allocated', hint: 'Bytes allocated, whatever became of them' },
  { what: 'live', title: 'Live', hint: 'Bytes alive at the end of the range' },
  { what: 'retained', title: 'Retained', hint: 'Bytes allocated in the range and still alive at its end' },
  { what: 'wait', title: 'Waiting', hint: 'Time spent waiting' },
];

const kMostElements = 3500;
const kRow = 19;

export class Flame {
  readonly element: HTMLElement;
  private readonly graph = h('div', { class: 'flame', role: 'img' });
  private readonly tooltip = h('div', { class: 'tooltip', hidden: true });
  private readonly crumbs = h('nav', { class: 'crumbs', 'aria-label': 'Zoomed to' });
  private readonly caption = h('p', { class: 'flame-caption' });
  private readonly legend = h('div', { class: 'legend' });
  private readonly functions = h('div', { class: 'functions' });
  private readonly matched = h('output', { class: 'matched', 'aria-live': 'polite' });
  private readonly search: HTMLInputElement;
  private readonly buttons = new Map<What, HTMLButtonElement>();
  private readonly programs: Set<string>;
  private weighed: Weighed;
  private chart: FlameGraph | null = null;
  private root: FlameNode | null = null;
  private hits: Uint8Array | null = null;
  private path = new Set<number>();
  private width = 0;
  private readonly colours: string[] = [];
  private readonly modules: Map<string, string>;

  constructor(
    private readonly page: PageData,
    private readonly state: State,
  ) {
    this.programs = new Set(page.processes.map((p) => p.name));
    this.weighed = weigh(page, state.view.what, state.view.range);
    this.modules = this.rankModules();
    this.search = h('input', {
      type: 'search',
      id: 'search',
      placeholder: 'Search: function, file or module (regex)',
      'aria-label': 'Search the flame graph',
      autocomplete: 'off',
      spellcheck: 'false',
      oninput: () => state.set({ search: this.search.value }),
    });
    this.search.value = state.view.search;
    const metrics = h('div', { class: 'segmented', role: 'group', 'aria-label': 'Metric' });
    kMetrics.forEach(({ what, title, hint }, i) => {
      const button = h('button', { type: 'button', title: `${hint} (${i + 1})`, 'data-what': what, onclick: () => state.set({ what, node: 0 }) }, title);
      if (profileOf(page, what)?.absent) button.classList.add('without');
      this.buttons.set(what, button);
      metrics.append(button);
    });
    this.element = h(
      'section',
      { id: 'flame', 'aria-label': 'Flame graph' },
      h('div', { class: 'section-head' }, h('h2', {}, 'Where it goes'), metrics, h('div', { class: 'searching' }, this.search, this.matched), h('button', { type: 'button', id: 'reset', title: 'Everything, unsearched (Esc)', onclick: () => this.reset() }, 'Reset')),
      this.caption,
      h('div', { class: 'flame-and-functions' }, h('div', { class: 'flame-box' }, this.crumbs, this.graph, this.legend), this.functions),
      this.tooltip,
    );
    this.graph.addEventListener('mousemove', (event) => this.placeTooltip(event));
    this.graph.addEventListener('mouseleave', () => (this.tooltip.hidden = true));
    state.listen((view, changed) => this.changed(view, changed));
    new ResizeObserver(() => {
      if (this.graph.clientWidth !== this.width && this.graph.clientWidth > 0) this.draw();
    }).observe(this.graph);
  }

  focusSearch(): void {
    this.search.focus();
    this.search.select();
  }

  reset(): void {
    this.search.value = '';
    this.state.set({ search: '', node: 0, finding: null });
  }

  redraw(): void {
    this.draw();
  }

  private changed(view: View, changed: Set<keyof View>): void {
    if (changed.has('finding')) this.path = this.pathOf(view);
    if (changed.has('what') || changed.has('range')) {
      this.weighed = weigh(this.page, view.what, view.range);
    }
    if (changed.has('finding') && view.finding !== null) {
      const target = this.findingNode(view);
      if (target > 0 && target !== view.node) {
        this.state.set({ node: target });
        this.draw();
        return;
      }
    }
    if (changed.has('what') || changed.has('range') || changed.has('finding')) this.draw();
    else if (changed.has('search')) this.runSearch(true);
    else if (changed.has('node')) this.zoom();
    if (changed.has('search') && this.search.value !== view.search) this.search.value = view.search;
  }

  private findingNode(view: View): number {
    const finding = view.finding === null ? undefined : this.page.report?.findings[view.finding];
    if (!finding) return 0;
    return findStack(this.page, weigh(this.page, whatOf(finding), view.range), finding.where.stack.map((f) => f.function));
  }

  // The nodes of the chosen finding's stack, to be outlined.
  private pathOf(view: View): Set<number> {
    const path = new Set<number>();
    for (let node = this.findingNode(view); node > 0; node = this.page.nodes.parent[node]!) path.add(node);
    return path;
  }

  private frameOf(node: number): number {
    return this.page.nodes.frame[node]!;
  }

  // By their share of CPU and of bytes, so that a module keeps its colour whatever is looked at.
  private rankModules(): Map<string, string> {
    const { module, strings, kind } = this.page.frames;
    const weights = new Map<number, number>();
    for (const what of ['cpu', 'alloc', 'live'] as What[]) {
      const { self, all } = weigh(this.page, what, null);
      if (all <= 0) continue;
      for (let node = 1; node < self.length; node++) {
        const frame = this.frameOf(node);
        if (!isNeutral(kind[frame]!)) weights.set(module[frame]!, (weights.get(module[frame]!) ?? 0) + self[node]! / all);
      }
    }
    const ranked = [...weights].sort((a, b) => b[1] - a[1]).map(([m]) => strings[m] ?? '');
    return moduleColours(ranked.filter(Boolean).map((path) => ({ path, isProgram: this.programs.has(path.slice(path.lastIndexOf('/') + 1)) })));
  }

  private baseColour(frame: number): string {
    const { strings, module, kind } = this.page.frames;
    if (isNeutral(kind[frame]!)) return neutral;
    return this.modules.get(strings[module[frame]!] ?? '') ?? (/js|python|java/.test(kind[frame]!) ? script : neutral);
  }

  private colour(frame: number): string {
    return (this.colours[frame] ??= frameColour(this.baseColour(frame), this.page.frames.function[frame]!));
  }

  private draw(): void {
    const { view } = this.state;
    const profile = profileOf(this.page, view.what);
    for (const [what, button] of this.buttons) button.setAttribute('aria-pressed', String(what === view.what));
    this.writeCaption(profile);
    this.chart?.destroy();
    this.chart = null;
    this.root = null;
    this.width = this.graph.clientWidth;
    this.tooltip.hidden = true;
    replace(this.graph);
    if (this.width === 0) return;
    if (this.weighed.all <= 0) {
      replace(this.graph, h('p', { class: 'empty' }, profile?.absent ?? 'Nothing in this range of time. Press 0 for the whole run.'));
      replace(this.crumbs);
      replace(this.legend);
      replace(this.functions);
      replace(this.matched);
      return;
    }
    const tree = toFlameTree(this.page, this.weighed, view.node);
    const dark = getComputedStyle(document.documentElement).getPropertyValue('--is-dark').trim() === '1';
    const tooltip = Object.assign(() => undefined, {
      show: (event: MouseEvent, d: FlameNode) => this.showTooltip(event, d),
      hide: () => (this.tooltip.hidden = true),
      destroy: () => undefined,
    }) as unknown as FlameTooltip;
    this.chart = flamegraph()
      .width(this.width)
      .cellHeight(kRow)
      .inverted(true)
      .transitionDuration(matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 160)
      .sort((a, b) => b.data.value - a.data.value || (a.data.name < b.data.name ? -1 : 1))
      .resetHeightOnZoom(true)
      .tooltip(tooltip)
      .setColorMapper((d) => {
        if (d.data.node === 0) return dark ? '#8b949e' : '#d9dee4';
        const frame = this.frameOf(d.data.node);
        if (this.hits) return this.hits[frame] ? kHit : faded(this.colour(frame), dark);
        return this.colour(frame);
      })
      .getName((d) => format.label(d.data.name, ((d.x1 - d.x0) / (this.root ? this.root.x1 - this.root.x0 : 1)) * this.width))
      .onClick((d) => this.state.set({ node: d.data.node }));
    const selection = select(this.graph as HTMLElement).datum(tree as FlameDatum);
    // The layout exists only once drawn: draw the wide frames, count the others, draw again as finely as is quick.
    this.chart.minFrameSize(this.width / 60);
    this.chart(selection as never);
    this.root = select(this.graph as HTMLElement).datum() as unknown as FlameNode;
    this.runSearch(false);
    this.zoom();
    this.writeLegend();
    this.writeFunctions();
  }

  // Frames of at least this width become elements: as narrow as leaves them few enough.
  private fineness(): number {
    if (!this.root) return 1;
    const pixels = this.width / (this.root.x1 - this.root.x0);
    const limits = [0.7, 1, 1.5, 2, 3, 4, 6, 10];
    const counts = limits.map(() => 0);
    const walk = (node: FlameNode) => {
      const width = (node.x1 - node.x0) * pixels;
      if (width <= limits[0]!) return;
      for (let i = 0; i < limits.length && width > limits[i]!; i++) counts[i]!++;
      node.children?.forEach(walk);
    };
    walk(this.root);
    return limits[counts.findIndex((n) => n <= kMostElements)] ?? limits[limits.length - 1]!;
  }

  private update(): void {
    if (!this.chart) return;
    this.chart.minFrameSize(this.fineness());
    this.chart.update();
    this.markPath();
  }

  private zoom(): void {
    if (!this.chart || !this.root) return;
    const { node } = this.state.view;
    let target: FlameNode | null = this.root;
    if (node > 0) {
      const chain: number[] = [];
      for (let at = node; at > 0; at = this.page.nodes.parent[at]!) chain.push(at);
      for (const at of chain.reverse()) {
        const next: FlameNode | undefined = target?.children?.find((c) => c.data.node === at);
        if (!next) break;
        target = next;
      }
    }
    // The library reports a zoom it is told to do like a click; the state is the same then, so that ends there.
    this.chart.minFrameSize(this.width / 60);
    this.chart.zoomTo(target ?? this.root);
    this.update();
    this.writeCrumbs(target ?? this.root);
    this.bringIntoSight((target ?? this.root).depth);
  }

  private bringIntoSight(depth: number): void {
    const top = depth * kRow;
    const { scrollTop, clientHeight } = this.graph;
    if (top < scrollTop || top + 3 * kRow > scrollTop + clientHeight) this.graph.scrollTop = Math.max(0, top - clientHeight * 0.5);
  }

  private runSearch(redraw: boolean): void {
    const { search } = this.state.view;
    if (!search || this.weighed.all <= 0) {
      this.hits = null;
      replace(this.matched);
    } else {
      const found = matches(this.page, this.weighed, search);
      this.hits = found.frames;
      replace(this.matched, h('b', {}, format.percent(found.weight / this.weighed.all)), ` matched, ${format.inUnit(found.weight, this.weighed.unit)}${found.literal ? ' (as plain text)' : ''}`);
    }
    if (redraw) {
      this.update();
      this.writeFunctions();
    }
  }

  // The elements know their whole names, and which of them the chosen finding accuses.
  private markPath(): void {
    select(this.graph as HTMLElement)
      .selectAll<SVGGElement, FlameNode>('g.frame')
      .attr('data-function', (d) => d.data.name)
      .classed('accused', (d) => this.path.has(d.data.node));
  }

  private place(frame: number): string {
    const { strings, file, line, module } = this.page.frames;
    const at = strings[file[frame]!] ?? '';
    if (at) return line[frame]! > 0 ? `${at}:${line[frame]}` : at;
    return strings[module[frame]!] ?? '';
  }

  private showTooltip(event: MouseEvent, d: FlameNode): void {
    const { node } = d.data;
    const total = this.weighed.total[node]!;
    const self = this.weighed.self[node]!;
    const unit = this.weighed.unit;
    const zoomed = this.weighed.total[this.state.view.node] || this.weighed.all;
    const row = (label: string, value: string, share?: number) => h('tr', {}, h('th', {}, label), h('td', {}, value), h('td', {}, share === undefined ? '' : format.percent(share)));
    if (node === 0) {
      replace(this.tooltip, h('strong', {}, 'Everything'), h('table', {}, row('total', format.inUnit(total, unit), 1)));
    } else {
      const frame = this.frameOf(node);
      const { strings, module, kind } = this.page.frames;
      const at = strings[this.page.frames.file[frame]!] ? this.place(frame) : '';
      const whole = d.data.name.length > 300 ? `${d.data.name.slice(0, 300)} …` : d.data.name;
      const short = format.shortName(d.data.name).slice(0, 300);
      const kindText = { inlined: 'inlined', js: 'JavaScript', python: 'Python', java: 'Java', kernel: 'kernel' }[kind[frame]!] ?? '';
      replace(
        this.tooltip,
        h('strong', {}, name(short, '')),
        short !== d.data.name && h('div', { class: 'whole' }, name(whole, '')),
        h('table', {}, row('total', format.inUnit(total, unit), total / this.weighed.all), row('self', format.inUnit(self, unit), self / this.weighed.all), this.state.view.node > 0 && total <= zoomed && row('of zoomed', '', total / zoomed)),
        at && h('div', { class: 'at' }, h('bdi', {}, at)),
        strings[module[frame]!] && h('div', { class: 'at' }, h('bdi', {}, strings[module[frame]!] ?? ''), kindText && `, ${kindText}`),
      );
    }
    this.tooltip.hidden = false;
    this.placeTooltip(event);
  }

  private placeTooltip(event: MouseEvent): void {
    if (this.tooltip.hidden) return;
    const { offsetWidth, offsetHeight } = this.tooltip;
    const left = Math.max(4, Math.min(event.clientX + 14, innerWidth - offsetWidth - 8));
    const below = event.clientY + 18;
    const top = below + offsetHeight > innerHeight - 4 ? Math.max(4, event.clientY - offsetHeight - 12) : below;
    this.tooltip.style.left = `${left}px`;
    this.tooltip.style.top = `${top}px`;
  }

  private writeCaption(profile: Profile | undefined): void {
    const { view } = this.state;
    const w = this.weighed;
    const metric = kMetrics.find((m) => m.what === view.what)!;
    const all = format.inUnit(w.all, w.unit);
    const range = view.range ? `${format.elapsed(view.range[0])} – ${format.elapsed(view.range[1])}` : 'the whole run';
    let text: string;
    if (view.what === 'live') text = `${all} alive at ${view.range ? format.elapsed(view.range[1]) : 'the end of the run'}`;
    else if (view.what === 'retained') text = `${all} allocated in ${range} and still alive at its end`;
    else if (view.what === 'alloc') text = `${all} allocated in ${range}`;
    else text = `${all} of ${view.what === 'cpu' ? 'CPU time' : 'waiting'} in ${range}`;
    const known = profile && profile.samples > 0 && !view.range ? `, from ${format.count(profile.samples)} samples` : '';
    const coarse = view.range && w.width_s > 1 ? ` (known by ${format.duration(w.width_s)})` : '';
    replace(this.caption, profile?.absent ? metric.hint : `${text}${known}${coarse}.`);
    this.graph.setAttribute('aria-label', `Flame graph: ${text}`);
  }

  private writeCrumbs(target: FlameNode): void {
    const chain: FlameNode[] = [];
    for (let at: FlameNode | null = target; at; at = at.parent) chain.unshift(at);
    const parts: (HTMLElement | string)[] = [];
    const shown = chain.length > 5 ? [chain[0]!, null, ...chain.slice(-3)] : chain;
    shown.forEach((node, i) => {
      if (i > 0) parts.push(h('span', { class: 'sep', 'aria-hidden': true }, '›'));
      if (node === null) {
        parts.push(h('span', { class: 'sep' }, '…'));
        return;
      }
      const text = node.data.node === 0 ? 'all' : node.data.name;
      const last = i === shown.length - 1;
      parts.push(
        last
          ? h('span', { class: 'crumb here', 'aria-current': true }, name(format.shortName(text), text))
          : h('button', { type: 'button', class: 'crumb', onclick: () => this.state.set({ node: node.data.node }) }, name(format.shortName(text), text)),
      );
    });
    if (target.data.node > 0) {
      parts.push(h('span', { class: 'crumb-share' }, format.percent(this.weighed.total[target.data.node]! / this.weighed.all)));
      parts.push(h('button', { type: 'button', class: 'copy', title: 'Copy this stack, leaf first (C)', onclick: () => this.copyStack() }, 'Copy stack'));
    }
    this.crumbs.classList.toggle('zoomed', target.data.node > 0);
    replace(this.crumbs, ...parts);
  }

  copyStack(): void {
    const lines: string[] = [];
    for (let node = this.state.view.node; node > 0; node = this.page.nodes.parent[node]!) {
      const frame = this.frameOf(node);
      lines.push(`${this.page.frames.function[frame]}  ${this.place(frame)}`.trim());
    }
    if (lines.length === 0) return;
    const done = (text: string) => {
      const button = this.crumbs.querySelector('.copy');
      if (button) button.textContent = text;
    };
    navigator.clipboard?.writeText(lines.join('\n')).then(
      () => done('Copied'),
      () => done('Not allowed to copy'),
    );
  }

  private writeLegend(): void {
    const byModule = new Map<string, { colour: string; weight: number }>();
    const { strings, module, kind } = this.page.frames;
    for (let node = 1; node < this.weighed.self.length; node++) {
      const weight = this.weighed.self[node]!;
      if (!(weight > 0)) continue;
      const frame = this.frameOf(node);
      const path = strings[module[frame]!] ?? '';
      const label = path.slice(path.lastIndexOf('/') + 1) || (kind[frame] === 'js' ? 'JavaScript' : kind[frame] === 'kernel' ? 'kernel' : 'unknown');
      const entry = byModule.get(label) ?? { colour: this.baseColour(frame), weight: 0 };
      entry.weight += weight;
      byModule.set(label, entry);
    }
    const entries = [...byModule].sort((a, b) => b[1].weight - a[1].weight);
    replace(
      this.legend,
      ...entries.slice(0, 8).map(([label, { colour, weight }]) => {
        const key = h('i', { class: 'key' });
        key.style.background = colour;
        return h('span', { class: 'legend-entry' }, key, name(label), h('small', {}, format.percent(weight / this.weighed.all)));
      }),
      entries.length > 8 && h('span', { class: 'legend-entry' }, `and ${entries.length - 8} more modules`),
    );
  }

  private writeFunctions(): void {
    let rows = byFunction(this.page, this.weighed);
    if (this.hits) rows = rows.filter((r) => this.hits![r.frame]);
    const kShown = 60;
    const largest = rows[0]?.self ?? 1;
    const body = h('tbody');
    for (const row of rows.slice(0, kShown)) {
      const functionName = this.page.frames.function[row.frame]!;
      const bar = h('i', { class: 'bar' });
      bar.style.width = `${Math.max(0.5, (row.self / Math.max(largest, 1e-9)) * 100)}%`;
      bar.style.background = this.colour(row.frame);
      const pick = () => this.state.set({ search: `^${functionName.slice(0, 300).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}${functionName.length > 300 ? '' : '$'}`, node: 0 });
      body.append(
        h(
          'tr',
          {},
          h('td', { class: 'function' }, h('button', { type: 'button', title: `${functionName.slice(0, 300)}\n${this.place(row.frame)}`, onclick: pick }, name(format.shortName(functionName), '')), bar),
          h('td', { class: 'n', title: format.inUnit(row.self, this.weighed.unit) }, format.percent(row.self / this.weighed.all)),
          h('td', { class: 'n', title: format.inUnit(row.total, this.weighed.unit) }, format.percent(row.total / this.weighed.all)),
        ),
      );
    }
    replace(
      this.functions,
      h('table', {}, h('thead', {}, h('tr', {}, h('th', {}, 'Function'), h('th', { class: 'n', title: 'Itself' }, 'self'), h('th', { class: 'n', title: 'With all it calls' }, 'total'))), body),
      rows.length > kShown && h('p', { class: 'hint' }, `${format.count(rows.length - kShown)} more; search to see them`),
      rows.length === 0 && h('p', { class: 'empty' }, 'Nothing matches.'),
    );
  }
}
