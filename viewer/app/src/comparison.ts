// This run beside others: what changed against a base, and the trend since earlier runs.

import type { ComparedFigure, Comparison, ComparisonVerdict, Estimate, PageData, PastRun } from './data';
import { h, name, svg } from './dom';
import * as format from './format';

const kTones: Record<ComparisonVerdict, string> = { worse: 'bad', better: 'good', same: 'plain', 'cannot tell': 'warn' };

const metricText = (metric: string): string => metric.replace(/_/g, ' ').replace(/ (ms|bytes|rps)$/, '');
/** Units of a gate's metric as the page's figures know them. */
const shown = (value: number, unit: string): string =>
  unit === 'bytes per hour' ? `${format.bytes(value)}/h` : unit === 'per second' ? `${format.count(value)} /s` : unit === 'per hour' ? `${format.count(value)} /h` : format.inUnit(value, unit);

function changeText(figure: ComparedFigure): string {
  if (!figure.change) return '–';
  const signed = (n: number) => `${n >= 0 ? '+' : ''}${figure.change_is === 'relative' ? format.percent(n) : shown(n, figure.unit)}`;
  return `${signed(figure.change.value)} (95 %: ${signed(figure.change.low)} to ${signed(figure.change.high)})`;
}

function figureRow(figure: ComparedFigure): HTMLElement {
  const value = (e: Estimate | null) => (e ? shown(e.value, figure.unit) : '–');
  return h(
    'tr',
    { title: figure.why ?? '' },
    h('td', {}, h('span', { class: `tag ${kTones[figure.verdict]}` }, figure.verdict)),
    h('td', {}, metricText(figure.metric), figure.endpoint && h('span', { class: 'caller' }, ' ', name(figure.endpoint))),
    h('td', { class: 'n' }, value(figure.base)),
    h('td', { class: 'n' }, value(figure.other)),
    h('td', { class: 'n' }, changeText(figure)),
  );
}

const figureTable = (figures: ComparedFigure[]) =>
  h('div', { class: 'scroll', tabindex: 0 }, h('table', {}, h('thead', {}, h('tr', {}, ...['', 'Figure', 'Base', 'This run', 'Change'].map((t, i) => h('th', { class: i > 1 ? 'n' : '' }, t)))), h('tbody', {}, ...figures.map(figureRow))));

export function comparisonSection(page: PageData): HTMLElement | null {
  const comparison: Comparison | null = page.comparison;
  if (!comparison) return null;
  const telling = comparison.figures.filter((f) => f.verdict === 'worse' || f.verdict === 'better');
  const rest = comparison.figures.filter((f) => f.verdict === 'same' || f.verdict === 'cannot tell');
  const came = comparison.findings.new;
  const gone = comparison.findings.gone;
  return h(
    'section',
    { id: 'comparison', 'aria-label': 'Comparison' },
    h('h2', {}, 'Comparison', h('small', {}, `with ${comparison.base.length === 1 ? '' : `${comparison.base.length} runs: `}`, name(comparison.base.map((run) => run.file.slice(run.file.lastIndexOf('/') + 1)).join(', ')))),
    h('p', { class: 'advice' }, h('b', {}, name(comparison.summary)), ' ', name(comparison.load.text)),
    ...came.map((finding) => h('p', { class: 'gate' }, h('b', {}, 'New: '), name(finding.title))),
    ...gone.map((finding) => h('p', { class: 'gone' }, h('b', {}, 'Gone: '), name(finding.title))),
    telling.length > 0 ? figureTable(telling) : h('p', { class: 'empty' }, 'No figure is better or worse by more than its minimum effect.'),
    rest.length > 0 && h('details', { class: 'cleared' }, h('summary', {}, `The same, or cannot be told: ${rest.length}`), figureTable(rest)),
    comparison.notes.length > 0 && h('ul', { class: 'unjudged' }, ...comparison.notes.map((note) => h('li', {}, name(note)))),
  );
}

// ---- the trend

const kTrends = ['latency_p50_ms', 'latency_p95_ms', 'latency_p99_ms', 'throughput_rps', 'error_rate', 'cpu_per_request_ms', 'alloc_bytes_per_request', 'rss_peak_bytes', 'heap_peak_bytes'];
const kWide = 320;
const kHigh = 96;

interface TrendPoint {
  run: PastRun;
  value: number;
  low: number;
  high: number;
}

function trendChart(points: (TrendPoint | null)[], unit: string): SVGElement {
  const known = points.filter((p): p is TrendPoint => p !== null);
  const top = Math.max(...known.map((p) => Math.max(p.high, p.value))) * 1.05 || 1;
  const x = (i: number) => 8 + (points.length === 1 ? 0.5 : i / (points.length - 1)) * (kWide - 16);
  const y = (v: number) => kHigh - 6 - (Math.max(0, v) / top) * (kHigh - 14);
  const marks: SVGElement[] = [svg('line', { x1: 4, x2: kWide - 4, y1: y(0), y2: y(0), class: 'axis' })];
  let path = '';
  points.forEach((p, i) => {
    if (!p) return;
    path += `${path === '' ? 'M' : 'L'}${x(i).toFixed(1)} ${y(p.value).toFixed(1)}`;
    if (p.high > p.low) marks.push(svg('line', { x1: x(i), x2: x(i), y1: y(p.low), y2: y(p.high), class: 'whisker' }));
    const dot = svg('circle', { cx: x(i), cy: y(p.value), r: i === points.length - 1 ? 4.5 : 3, class: i === points.length - 1 ? 'dot here' : 'dot' });
    dot.append(svg('title', {}, `${p.run.file}\n${p.run.started_at}\n${shown(p.value, unit)} (95 %: ${shown(p.low, unit)} to ${shown(p.high, unit)})`));
    marks.push(dot);
  });
  marks.splice(1, 0, svg('path', { d: path, class: 'trend-line' }));
  return svg('svg', { viewBox: `0 0 ${kWide} ${kHigh}`, class: 'trend', role: 'img' }, ...marks);
}

export function trendSection(page: PageData): HTMLElement | null {
  const { history } = page;
  if (history.length < 2) return null;
  const metrics = kTrends.filter((metric) => history.filter((run) => run.figures.some((f) => f.metric === metric)).length >= 2);
  const charts = metrics.map((metric) => {
    let unit = '';
    const points = history.map((run) => {
      const figure = run.figures.find((f) => f.metric === metric);
      if (figure) unit = figure.unit;
      return figure ? { run, value: figure.value, low: figure.low, high: figure.high } : null;
    });
    const known = points.filter((p): p is TrendPoint => p !== null);
    const last = known[known.length - 1]!;
    return h('figure', { class: 'panel', 'data-trend': metric }, h('figcaption', {}, h('span', { class: 'panel-title' }, metricText(metric)), h('span', { class: 'readout' }, `${shown(known[0]!.value, unit)} → ${shown(last.value, unit)}`)), trendChart(points, unit));
  });
  const rates = history.map((run) => run.requests_per_second);
  const apart = Math.max(...rates) / Math.max(1e-9, Math.min(...rates));
  return h(
    'section',
    { id: 'trend', 'aria-label': 'Trend' },
    h('h2', {}, 'Trend', h('small', {}, `over ${history.length} runs, oldest first; this one last; bars are 95 % intervals within a run`)),
    apart > 1.05 && h('p', { class: 'hint limits' }, `The load was not the same: from ${format.count(Math.min(...rates))} to ${format.count(Math.max(...rates))} requests a second. Latency and memory at another load are other quantities.`),
    h('div', { class: 'trends' }, ...charts),
  );
}
