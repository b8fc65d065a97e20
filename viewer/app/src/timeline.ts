// The run over time: small charts one under the other that share one clock, one cursor and one chosen range.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { PageData, Series } from './data';
import { h, name, replace } from './dom';
import { isAccusing } from './findings';
import * as format from './format';
import { line, type LineColour } from './palette';
import type { State, View } from './state';

interface PanelSeries {
  label: string;
  /** Added up: CPU is user and system time. */
  names: string[];
  colour: LineColour;
  dash?: number[];
  fill?: boolean;
}
interface Panel {
  title: string;
  series: PanelSeries[];
  absent: string;
}

const kPanels: Panel[] = [
  {
    title: 'Requests',
    series: [
      { label: 'requests', names: ['load_requests'], colour: 'blue', fill: true },
      { label: 'errors', names: ['load_errors'], colour: 'vermillion', dash: [4, 3] },
    ],
    absent: 'No load tool told what it did. Pass its results with --load-results, or let camprobe run start it with --load.',
  },
  {
    title: 'Latency',
    series: [
      { label: 'p50', names: ['latency_p50_ms'], colour: 'green' },
      { label: 'p95', names: ['latency_p95_ms'], colour: 'orange' },
      { label: 'p99', names: ['latency_p99_ms'], colour: 'vermillion' },
    ],
    absent: 'No load tool told how long its requests took.',
  },
  {
    title: 'CPU',
    series: [{ label: 'CPU', names: ['process_cpu_user_ns', 'process_cpu_system_ns'], colour: 'purple', fill: true }],
    absent: 'CPU time was not read.',
  },
  {
    title: 'Memory',
    series: [
      { label: 'RSS', names: ['process_resident_bytes'], colour: 'blue' },
      { label: 'live heap', names: ['heap_live_bytes'], colour: 'orange', fill: true },
      { label: 'kept by the allocator', names: ['allocator_free_bytes', 'allocator_cached_bytes'], colour: 'sky' },
    ],
    absent: 'Memory was not read.',
  },
  {
    title: 'File descriptors',
    series: [{ label: 'open', names: ['process_open_fds'], colour: 'green' }],
    absent: 'Descriptors were not counted.',
  },
  {
    title: 'Threads',
    series: [{ label: 'threads', names: ['process_threads'], colour: 'sky' }],
    absent: 'Threads were not counted.',
  },
];

const kIncrements = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

const kWhole = Array.from({ length: 36 }, (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3));
const kBinary = Array.from({ length: 52 }, (_, i) => 2 ** i);

interface Drawn {
  panel: Panel;
  chosen: { series: PanelSeries; data: Series }[];
  unit: string;
  body: HTMLElement;
  readout: HTMLElement;
  chart: uPlot | null;
}

function find(page: PageData, names: string[]): Series | undefined {
  const parts = names.flatMap((wanted) => page.timeline.series.find((s) => s.name === wanted && s.process === null) ?? []);
  const first = parts[0];
  if (!first || parts.length === 1) return first;
  const values = first.values.map((_, i) => {
    const known = parts.map((p) => p.values[i] ?? null).filter((v): v is number => v !== null);
    return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
  });
  return { ...first, values };
}

/** Nanoseconds of CPU a second are shown as cores, other time a second as a share. */
function scaled(series: Series): { unit: string; values: (number | null)[] } {
  if (series.unit !== 'ns_per_second') return series;
  return { unit: /cpu/.test(series.name) ? 'cores' : 'ratio', values: series.values.map((v) => (v === null ? null : v / 1e9)) };
}

export class Timeline {
  readonly element: HTMLElement;
  private readonly drawn: Drawn[] = [];
  private readonly clock = h('span', { class: 'clock', 'aria-live': 'off' });
  private readonly rangeChip = h('span', { class: 'range' });
  private readonly times: number[];
  private width = 0;

  constructor(
    private readonly page: PageData,
    private readonly state: State,
  ) {
    const { width_s, buckets } = page.timeline;
    this.times = Array.from({ length: buckets }, (_, i) => i * width_s);
    const grid = h('div', { class: 'panels' });
    for (const panel of kPanels) this.addPanel(grid, panel);
    const known = new Set(kPanels.flatMap((p) => p.series.flatMap((s) => s.names)));
    const more = page.timeline.series.filter((s) => !(known.has(s.name) && s.process === null) && s.values.some((v) => v !== null));
    this.element = h(
      'section',
      { id: 'timeline', 'aria-label': 'Timeline' },
      h('div', { class: 'section-head' }, h('h2', {}, 'Timeline'), this.clock, this.rangeChip, more.length > 0 && this.moreChooser(grid, more)),
      this.windowButtons(),
      grid,
    );
    this.showRange(state.view);
    state.listen((view, changed) => {
      if (changed.has('range')) this.applyRange(view);
      if (changed.has('finding')) for (const d of this.drawn) d.chart?.redraw();
    });
    new ResizeObserver(() => this.resize()).observe(grid);
  }

  /** Draws everything again in the colours of the page. */
  redraw(): void {
    for (const drawn of this.drawn) this.draw(drawn);
  }

  private addPanel(grid: HTMLElement, panel: Panel): void {
    const chosen = panel.series.flatMap((series) => {
      const data = find(this.page, series.names);
      return data && data.values.some((v) => v !== null) ? [{ series, data }] : [];
    });
    const body = h('div', { class: 'chart' });
    const readout = h('span', { class: 'readout' });
    const drawn: Drawn = { panel, chosen, unit: chosen[0] ? scaled(chosen[0].data).unit : '', body, readout, chart: null };
    this.drawn.push(drawn);
    grid.append(h('figure', { class: 'panel', 'data-panel': panel.title }, h('figcaption', {}, h('span', { class: 'panel-title' }, name(panel.title)), readout), body));
    if (chosen.length === 0) replace(body, h('p', { class: 'empty' }, panel.absent));
  }

  private moreChooser(grid: HTMLElement, more: Series[]): HTMLElement {
    const label = (s: Series) => {
      const process = this.page.processes.find((p) => p.id === s.process);
      const where = s.process === null ? '' : s.process === 0 ? ' (machine)' : ` (${process ? `${process.name} ${process.pid}` : `process ${s.process}`})`;
      return s.name.replace(/_/g, ' ') + where;
    };
    const select = h('select', { class: 'more', 'aria-label': 'Draw another series' }, h('option', { value: '' }, 'Another series …'));
    more.forEach((s, i) => select.append(h('option', { value: i }, label(s))));
    select.addEventListener('change', () => {
      const series = more[Number(select.value)];
      if (select.value === '' || !series) return;
      const option = select.selectedOptions[0]!;
      option.disabled = true;
      const title = label(series);
      const panel: Panel = { title, series: [{ label: '', names: [], colour: 'sky' }], absent: '' };
      const body = h('div', { class: 'chart' });
      const readout = h('span', { class: 'readout' });
      const drawn: Drawn = { panel, chosen: [{ series: panel.series[0]!, data: series }], unit: scaled(series).unit, body, readout, chart: null };
      this.drawn.push(drawn);
      grid.append(h('figure', { class: 'panel', 'data-panel': title }, h('figcaption', {}, h('span', { class: 'panel-title' }, name(title)), readout), body));
      select.value = '';
      this.draw(drawn);
    });
    return select;
  }

  // Ranges to pick without a mouse: the whole run, and each load window.
  private windowButtons(): HTMLElement {
    const windows = this.page.windows.slice(0, 24);
    const buttons = windows.map((w) =>
      h(
        'button',
        { type: 'button', class: `window ${w.kind}`, title: `${w.kind}: ${format.elapsed(w.from_s)} to ${format.elapsed(w.to_s)}`, onclick: () => this.state.set({ range: [w.from_s, w.to_s] }) },
        name(w.name || w.kind),
        h('small', {}, format.duration(w.to_s - w.from_s)),
      ),
    );
    const all = h('button', { type: 'button', class: 'window all', onclick: () => this.state.set({ range: null }) }, 'Whole run', h('small', {}, format.duration(this.page.run.duration_s)));
    const row = h('div', { class: 'windows', role: 'group', 'aria-label': 'Range of time' }, all, ...buttons);
    const mark = (view: View) => {
      all.setAttribute('aria-pressed', String(view.range === null));
      windows.forEach((w, i) => buttons[i]!.setAttribute('aria-pressed', String(view.range?.[0] === w.from_s && view.range[1] === w.to_s)));
    };
    mark(this.state.view);
    this.state.listen(mark);
    return row;
  }

  private extent(): [number, number] {
    return this.state.view.range ?? [0, Math.max(this.page.timeline.width_s, this.page.run.duration_s)];
  }

  private applyRange(view: View): void {
    const [min, max] = this.extent();
    for (const { chart } of this.drawn) chart?.setScale('x', { min, max });
    this.showRange(view);
  }

  private showRange(view: View): void {
    replace(
      this.rangeChip,
      view.range
        ? h('button', { type: 'button', class: 'chip-button', title: 'Back to the whole run (0)', onclick: () => this.state.set({ range: null }) }, `${format.elapsed(view.range[0])} – ${format.elapsed(view.range[1])}`, h('span', { 'aria-hidden': true }, ' ✕'))
        : h('span', { class: 'hint' }, 'Drag across a chart to look at a part of the run'),
    );
  }

  private resize(): void {
    const first = this.drawn.find((d) => d.chosen.length > 0);
    const width = first?.body.clientWidth ?? 0;
    if (width === 0 || width === this.width) return;
    this.width = width;
    for (const drawn of this.drawn) {
      if (drawn.chart) drawn.chart.setSize({ width: drawn.body.clientWidth, height: drawn.chart.height });
      else this.draw(drawn);
    }
  }

  private draw(drawn: Drawn): void {
    drawn.chart?.destroy();
    drawn.chart = null;
    if (drawn.chosen.length === 0 || drawn.body.clientWidth === 0) return;
    const style = getComputedStyle(document.documentElement);
    const css = (variable: string) => style.getPropertyValue(variable).trim();
    const colours = line[css('--is-dark') === '1' ? 'dark' : 'light'];
    const labelled = drawn === this.drawn.find((d) => d.chosen.length > 0);
    const unit = drawn.unit;
    const [min, max] = this.extent();
    const axis = { stroke: css('--quiet'), grid: { stroke: css('--grid'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const options: uPlot.Options = {
      width: drawn.body.clientWidth,
      height: 132,
      padding: [labelled ? 16 : 8, 16, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: 'run', scales: ['x', null] },
        drag: { x: true, y: false, setScale: false, dist: 6 },
        y: false,
        points: { size: 7 },
        bind: { dblclick: () => () => (this.state.set({ range: null }), null) },
      },
      scales: { x: { time: false, min, max }, y: { range: (_u, low, high) => this.yRange(low, high, unit) } },
      axes: [
        { ...axis, size: 26, space: 64, incrs: kIncrements, values: (_u, splits) => splits.map((s) => format.elapsed(s)) },
        { ...axis, size: 62, space: 26, ...(/^bytes/.test(unit) ? { incrs: kBinary } : unit === 'count' ? { incrs: kWhole } : {}), values: (_u, splits) => splits.map((v) => format.inUnit(v, unit)) },
      ],
      series: [
        {},
        ...drawn.chosen.map(({ series }) => {
          const stroke = colours[series.colour];
          return { label: series.label, stroke, width: 1.6, ...(series.dash ? { dash: series.dash } : {}), ...(series.fill ? { fill: `${stroke}22` } : {}), points: { show: false }, spanGaps: false } as uPlot.Series;
        }),
      ],
      hooks: {
        drawClear: [(u) => this.drawWindows(u, css, labelled)],
        draw: [(u) => this.drawMarks(u, css, labelled)],
        setCursor: [(u) => this.readOut(drawn, u)],
        setSelect: [
          (u) => {
            if (u.select.width < 6) return;
            const from = u.posToVal(u.select.left, 'x');
            const to = u.posToVal(u.select.left + u.select.width, 'x');
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            const low = Math.max(0, from);
            const high = Math.min(to, this.page.run.duration_s);
            if (high - low >= this.page.timeline.width_s / 2) this.state.set({ range: [Math.round(low * 10) / 10, Math.round(high * 10) / 10] });
          },
        ],
      },
    };
    const data = [this.times, ...drawn.chosen.map(({ data }) => scaled(data).values)] as uPlot.AlignedData;
    drawn.chart = new uPlot(options, data, drawn.body);
    this.readOut(drawn, drawn.chart);
  }

  // From zero where that loses nothing: a chart that cuts off its foot makes every ripple look like a cliff.
  private yRange(low: number | null, high: number | null, unit: string): [number, number] {
    const top = high ?? 1;
    const bottom = Math.min(0, low ?? 0);
    if (top <= bottom) return [bottom, bottom + 1];
    const least = unit === 'count' ? 4 : 0;
    return [bottom, Math.max(bottom + (top - bottom) * 1.08, least)];
  }

  private drawWindows(u: uPlot, css: (variable: string) => string, labelled: boolean): void {
    const { ctx } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, 0, u.bbox.width, u.bbox.top + u.bbox.height);
    ctx.clip();
    ctx.textAlign = 'left';
    this.page.windows.forEach((w, i) => {
      const left = u.valToPos(w.from_s, 'x', true);
      const right = u.valToPos(w.to_s, 'x', true);
      if (right < u.bbox.left || left > u.bbox.left + u.bbox.width) return;
      ctx.fillStyle = css(w.kind === 'steady' ? '--band-steady' : i % 2 === 0 ? '--band-a' : '--band-b');
      ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
      ctx.fillStyle = css('--grid');
      ctx.fillRect(left, u.bbox.top, ratio, u.bbox.height);
      if (!labelled) return;
      const from = Math.max(left, u.bbox.left);
      const room = Math.min(right, u.bbox.left + u.bbox.width) - from - 6 * ratio;
      ctx.font = `${10.5 * ratio}px system-ui, sans-serif`;
      ctx.fillStyle = css('--quiet');
      ctx.textBaseline = 'bottom';
      const text = fitted(ctx, w.name || w.kind, room);
      if (text) ctx.fillText(text, from + 2 * ratio, u.bbox.top - 2 * ratio);
    });
    ctx.restore();
  }

  private drawMarks(u: uPlot, css: (variable: string) => string, labelled: boolean): void {
    const { ctx } = u;
    const ratio = devicePixelRatio;
    const taken: [number, number][] = []; // where each line of labels is written up to, from both sides of its marks
    const vertical = (at: number, colour: string, dash: number[], width: number, text: string) => {
      const x = u.valToPos(at, 'x', true);
      if (x < u.bbox.left - 1 || x > u.bbox.left + u.bbox.width + 1) return;
      ctx.strokeStyle = colour;
      ctx.lineWidth = width * ratio;
      ctx.setLineDash(dash.map((d) => d * ratio));
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
      if (!labelled || !text) return;
      ctx.setLineDash([]);
      ctx.font = `600 ${10.5 * ratio}px system-ui, sans-serif`;
      ctx.textBaseline = 'top';
      const shown = fitted(ctx, text, 160 * ratio);
      const room = u.bbox.left + u.bbox.width - x;
      const width_ = ctx.measureText(shown).width;
      const left = room > width_ + 8 * ratio ? x + 4 * ratio : x - width_ - 4 * ratio;
      let row = 0;
      while (row < 5 && taken[row] && left < taken[row]![1] && left + width_ > taken[row]![0]) row++;
      if (row === 5) return;
      taken[row] = [Math.min(left, taken[row]?.[0] ?? left), Math.max(left + width_ + 6 * ratio, taken[row]?.[1] ?? 0)];
      const top = u.bbox.top + (2 + 14 * row) * ratio;
      ctx.fillStyle = css('--card');
      ctx.globalAlpha = 0.85;
      ctx.fillRect(left - 2 * ratio, top, width_ + 4 * ratio, 13 * ratio);
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour;
      ctx.fillText(shown, left, top + ratio);
    };
    ctx.save();
    ctx.textAlign = 'left';
    for (const mark of this.page.marks) vertical(mark.at_s, css('--mark'), [3, 3], 1, mark.text);
    const findings = this.page.report?.findings ?? [];
    findings.forEach((finding, i) => {
      if (!finding.since || !isAccusing(finding)) return;
      const at = finding.since.at_s;
      const chosen = this.state.view.finding === i;
      vertical(at, css('--bad'), [], chosen ? 2.5 : 1, chosen ? 'began here' : '');
      if (!chosen) return;
      const x = u.valToPos(at, 'x', true);
      ctx.fillStyle = css('--bad');
      ctx.globalAlpha = 0.07;
      const until = finding.since.until_s === null ? Infinity : u.valToPos(finding.since.until_s, 'x', true);
      ctx.fillRect(x, u.bbox.top, Math.max(0, Math.min(until, u.bbox.left + u.bbox.width) - x), u.bbox.height);
      ctx.globalAlpha = 1;
    });
    ctx.restore();
  }

  private readOut(drawn: Drawn, u: uPlot): void {
    const index = u.cursor.idx;
    const over = index !== null && index !== undefined && (u.cursor.left ?? -1) >= 0;
    const style = getComputedStyle(document.documentElement);
    const colours = line[style.getPropertyValue('--is-dark').trim() === '1' ? 'dark' : 'light'];
    replace(
      drawn.readout,
      ...drawn.chosen.map(({ series, data }) => {
        const { values } = scaled(data);
        const value = over ? values[index] : undefined;
        const key = h('i', { class: 'key' });
        key.style.background = colours[series.colour];
        return h('span', { class: 'reading' }, key, series.label, over ? h('b', {}, value === null || value === undefined ? '–' : format.inUnit(value, drawn.unit)) : '');
      }),
    );
    if (!over) {
      this.clock.textContent = '';
      return;
    }
    const at = this.times[index] ?? 0;
    const near = this.page.marks.filter((m) => Math.abs(u.valToPos(m.at_s, 'x') - (u.cursor.left ?? 0)) < 5).map((m) => m.text);
    const started = this.page.run.started_ms;
    this.clock.textContent = [format.elapsed(at), started === null ? '' : format.wallClock(started + at * 1000).slice(11), ...near].filter(Boolean).join(' · ');
  }
}

function fitted(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  if (room < 12) return '';
  if (ctx.measureText(text.slice(0, 200)).width <= room && text.length <= 200) return text;
  let low = 0;
  let high = Math.min(text.length, 200);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ctx.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? `${text.slice(0, low)}…` : '';
}
