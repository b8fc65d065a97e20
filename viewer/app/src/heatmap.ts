// Latency over time as a heat map: a column per stretch of time, a row per 19 % of latency, darker for more requests.
// Quantiles hide what a slow minority does; here a second band or a comb of pauses is seen.

import type { LatencyHeat, PageData } from './data';
import { h } from './dom';
import * as format from './format';
import type { State } from './state';

const kHeight = 200;
const kLeft = 62; // as wide as the axes of the other charts
const kRight = 16;
const kBottom = 22;

export class Heatmap {
  readonly element: HTMLElement;
  private readonly heat: LatencyHeat | null;
  private readonly canvas = h('canvas', { role: 'img' });
  private readonly readout = h('span', { class: 'readout' });
  private readonly most: number;

  constructor(
    private readonly page: PageData,
    private readonly state: State,
  ) {
    this.heat = page.timeline.latency_heat;
    this.most = this.heat ? this.heat.counts.reduce((most, column) => column.reduce((m, n) => Math.max(m, n), most), 1) : 1;
    this.element = h(
      'section',
      { id: 'heat', 'aria-label': 'Latency over time' },
      h('div', { class: 'section-head' }, h('h2', {}, 'Latency over time', h('small', {}, 'darker: more requests, by powers of their number')), this.readout),
      this.heat ? this.canvas : h('p', { class: 'empty' }, 'No load tool gave the latency of single requests.'),
    );
    if (!this.heat) return;
    this.canvas.setAttribute('aria-label', `Latencies of ${format.count(this.heat.counts.flat().reduce((a, b) => a + b, 0))} requests over ${format.duration(page.run.duration_s)}`);
    this.canvas.addEventListener('mousemove', (event) => this.readOut(event));
    this.canvas.addEventListener('mouseleave', () => (this.readout.textContent = ''));
    state.listen((_view, changed) => changed.has('range') && this.redraw());
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  private extent(): [number, number] {
    return this.state.view.range ?? [0, Math.max(this.page.timeline.width_s, this.page.run.duration_s)];
  }

  private lowOf(row: number): number {
    return this.heat!.lowest_ms * 2 ** (row / this.heat!.rows_per_octave);
  }

  redraw(): void {
    const { heat, canvas } = this;
    if (!heat) return;
    const width = Math.floor(canvas.parentElement!.clientWidth - parseFloat(getComputedStyle(canvas.parentElement!).paddingLeft) * 2);
    if (width <= kLeft + kRight) return;
    const ratio = devicePixelRatio;
    canvas.width = width * ratio;
    canvas.height = kHeight * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${kHeight}px`;
    const context = canvas.getContext('2d')!;
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const css = (variable: string) => style.getPropertyValue(variable).trim();
    const plot = { width: width - kLeft - kRight, height: kHeight - kBottom - 6 };
    const rows = heat.counts[0]?.length ?? 0;
    const [from, to] = this.extent();
    const x = (s: number) => kLeft + ((s - from) / (to - from)) * plot.width;
    const y = (row: number) => 6 + plot.height - (row / rows) * plot.height;
    context.save();
    context.beginPath();
    context.rect(kLeft, 6, plot.width, plot.height);
    context.clip();
    context.fillStyle = css('--accent');
    heat.counts.forEach((column, i) => {
      const left = x(i * heat.width_s);
      const right = x((i + 1) * heat.width_s);
      if (right < kLeft || left > kLeft + plot.width) return;
      column.forEach((count, row) => {
        if (count === 0) return;
        context.globalAlpha = 0.12 + (0.88 * Math.log1p(count)) / Math.log1p(this.most);
        context.fillRect(left, y(row + 1), Math.max(0.5, right - left), y(row) - y(row + 1) + 0.3);
      });
    });
    context.restore();
    context.fillStyle = css('--quiet');
    context.font = '11px system-ui, sans-serif';
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    // A label every few octaves, so that they stand 24 pixels apart.
    const octave = plot.height / (rows / heat.rows_per_octave);
    const step = Math.max(1, Math.ceil(24 / octave)) * heat.rows_per_octave;
    for (let row = 0; row <= rows; row += step) context.fillText(format.milliseconds(this.lowOf(row)), kLeft - 8, Math.min(y(row), 6 + plot.height - 2));
    context.textBaseline = 'top';
    for (let i = 0; i <= 4; i++) {
      context.textAlign = i === 0 ? 'left' : i === 4 ? 'right' : 'center';
      const at = from + ((to - from) * i) / 4;
      context.fillText(format.elapsed(at), x(at), kHeight - kBottom + 6);
    }
  }

  private readOut(event: MouseEvent): void {
    const heat = this.heat!;
    const box = this.canvas.getBoundingClientRect();
    const [from, to] = this.extent();
    const at = from + ((event.clientX - box.left - kLeft) / (box.width - kLeft - kRight)) * (to - from);
    const rows = heat.counts[0]?.length ?? 0;
    const row = Math.floor((1 - (event.clientY - box.top - 6) / (kHeight - kBottom - 6)) * rows);
    const count = heat.counts[Math.floor(at / heat.width_s)]?.[row];
    this.readout.textContent = count === undefined ? '' : `${format.elapsed(at)} · ${format.milliseconds(this.lowOf(row))} to ${format.milliseconds(this.lowOf(row + 1))}: ${format.count(count)} ${count === 1 ? 'request' : 'requests'}`;
  }
}
