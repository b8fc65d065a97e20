// What the analysis found, most serious first: what, where, how much, since when, and what to do about it.

import type { Finding, Interval, PageData, ReportFrame } from './data';
import { h, name } from './dom';
import * as format from './format';
import type { State, What } from './state';

export interface Where {
  function: string;
  at: string;
}

export function stackOf(finding: Finding): Where[] {
  return (finding.where?.stack ?? []).map((frame: ReportFrame | string) => {
    if (typeof frame === 'string') return { function: frame, at: '' };
    const at = frame.file ? `${frame.file}${frame.line ? `:${frame.line}` : ''}` : frame.module ?? '';
    return { function: frame.function ?? '[unknown]', at };
  });
}

// Where the allocator, the C library and the containers end, and somebody's own code begins.
const kPlumbing = /^(malloc|calloc|realloc|reallocarray|free|aligned_alloc|memalign|posix_memalign|mmap|mmap64|operator new|operator delete|std::|__gnu_cxx::|__|void std::|connect|socket|accept|accept4|open|openat|dup|pthread_create|clone|\[)/;

/** Which frame of a stack (leaf first) to name: the first that is not plumbing. */
export function siteOf(stack: Where[]): number {
  const own = stack.findIndex((frame) => !kPlumbing.test(frame.function));
  return own < 0 ? 0 : own;
}

/** Seconds since the start at which it began, where the report says so. */
export function onsetOf(finding: Finding): number | null {
  const since = finding.since;
  if (typeof since === 'number') return since;
  if (!since) return null;
  if (typeof since.at_s === 'number') return since.at_s;
  if (typeof since.seconds === 'number') return since.seconds;
  if (typeof since.second === 'number') return since.second;
  const ns = since.at_ns ?? since.ns;
  return typeof ns === 'number' ? ns / 1e9 : null;
}

const kResources: Record<string, string> = {
  heap: 'Heap memory',
  'js-heap': 'JavaScript heap',
  fd: 'File descriptors',
  thread: 'Threads',
  mmap: 'Mapped memory',
  rss: 'Resident memory',
  cpu: 'CPU per request',
  latency: 'Latency',
  errors: 'Error rate',
};

interface Tone {
  tone: 'bad' | 'warn' | 'good' | 'plain';
  icon: string;
  text: string;
}

function toneOf(finding: Finding): Tone {
  switch (finding.verdict) {
    case 'leaks':
      return { tone: 'bad', icon: '▲', text: finding.kind === 'degradation' ? 'degrades' : 'leaks' };
    case 'step':
      return { tone: 'warn', icon: '◣', text: 'step' };
    case 'saturating':
      return { tone: 'good', icon: '◠', text: 'levels off' };
    case 'none':
      return { tone: 'good', icon: '✓', text: 'clear' };
    case 'inconclusive':
      return { tone: 'plain', icon: '?', text: 'inconclusive' };
    default:
      return { tone: finding.kind === 'degradation' ? 'bad' : 'plain', icon: '●', text: finding.verdict ?? finding.kind ?? 'finding' };
  }
}

/** Which flame graph shows it. */
export function whatOf(finding: Finding): What {
  if (finding.resource === 'cpu' || finding.resource === 'latency') return 'cpu';
  return finding.resource === 'heap' || finding.resource === 'js-heap' || finding.resource === 'rss' ? 'live' : 'cpu';
}

export function titleOf(finding: Finding): (Node | string)[] {
  if (finding.title ?? finding.what) return [name(finding.title ?? finding.what ?? '')];
  const resource = kResources[finding.resource ?? ''] ?? finding.resource ?? finding.kind ?? 'Finding';
  const verb = { leaks: finding.kind === 'degradation' ? 'gets worse' : 'leaks', step: 'rose once', saturating: 'levels off', none: 'is steady', inconclusive: 'cannot be judged yet' }[
    finding.verdict ?? ''
  ];
  const verbPlural = resource.endsWith('s') ? verb?.replace(/^leaks$/, 'leak').replace(/^gets/, 'get').replace(/^is /, 'are ').replace(/^levels/, 'level') : verb;
  const stack = stackOf(finding);
  const place = stack[siteOf(stack)]?.function ?? finding.where?.span ?? finding.where?.endpoint ?? finding.where?.peer;
  return place ? [`${resource} ${verbPlural ?? ''} in `, name(place)] : [`${resource} ${verbPlural ?? ''}`.trim()];
}

function interval(rate: Interval | null | undefined, per: string): HTMLElement | null {
  if (!rate || typeof rate.value !== 'number') return null;
  const unit = rate.unit ?? '';
  const show = (n: number) => format.inUnit(n, unit);
  const has = typeof rate.low === 'number' && typeof rate.high === 'number';
  return h(
    'div',
    { class: 'figure' },
    h('span', { class: 'figure-value' }, show(rate.value)),
    h('span', { class: 'figure-label' }, per),
    has && h('span', { class: 'figure-range', title: 'The true rate lies in here with 95 % confidence' }, `95 %: ${show(rate.low!)} to ${show(rate.high!)}`),
  );
}

function plain(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return format.number(value);
  if (typeof value !== 'object') return String(value);
  const record = value as Record<string, unknown>;
  if (typeof record.text === 'string') return record.text;
  return Object.entries(record)
    .filter(([, v]) => v !== null && v !== undefined)
    .map(([k, v]) => `${k.replace(/_/g, ' ')} ${plain(v)}`)
    .join(', ');
}

function forecastText(finding: Finding): string {
  const forecast = finding.forecast;
  if (!forecast) return '';
  if (typeof forecast.text === 'string') return forecast.text;
  for (const key of ['seconds_to_limit', 'limit_in_s', 'seconds', 'in_s']) {
    if (typeof forecast[key] === 'number') return `reaches its limit in ${format.duration(forecast[key] as number)}`;
  }
  return plain(forecast);
}

function card(page: PageData, finding: Finding, index: number, state: State): HTMLElement {
  const tone = toneOf(finding);
  const stack = stackOf(finding);
  const site = siteOf(stack);
  const onset = onsetOf(finding);
  const since = typeof finding.since === 'object' ? finding.since : null;
  const window = since?.window ?? (onset === null ? undefined : page.windows.find((w) => w.from_s <= onset && onset < w.to_s)?.name);
  const show = () => {
    state.set({ finding: index, what: whatOf(finding), range: null, node: 0, search: '' });
    document.getElementById('timeline')?.scrollIntoView({ behavior: 'smooth', block: 'start' });
  };
  const forecast = forecastText(finding);
  const element = h(
    'article',
    { class: `finding ${tone.tone}`, 'data-index': index },
    h(
      'header',
      {},
      h('span', { class: 'chip' }, h('span', { 'aria-hidden': true }, `${tone.icon} `), tone.text),
      typeof finding.confidence === 'number' && h('span', { class: 'confidence' }, `${format.percent(finding.confidence)} sure`),
    ),
    h('h3', {}, ...titleOf(finding)),
    stack.length > 0 &&
      h(
        'p',
        { class: 'where' },
        stack[site]!.at && h('code', {}, h('bdi', {}, stack[site]!.at)),
        ...stack.slice(site + 1, site + 3).map((frame) => h('span', { class: 'caller' }, ' ← ', name(frame.function, frame.at || frame.function))),
        stack.length > site + 3 && h('span', { class: 'caller' }, ` ← ${stack.length - site - 3} more`),
      ),
    stack.length === 0 && finding.where?.endpoint && h('p', { class: 'where' }, h('code', {}, h('bdi', {}, finding.where.endpoint))),
    h('div', { class: 'figures' }, interval(finding.per_1000_requests, 'per 1,000 requests'), interval(finding.per_hour, 'per hour')),
    (onset !== null || forecast) &&
      h(
        'p',
        { class: 'since' },
        onset !== null && h('span', {}, 'Since ', h('strong', {}, format.elapsed(onset)), window ? ' in ' : '', window ? name(window) : ''),
        onset !== null && forecast ? ' · ' : '',
        forecast,
      ),
    finding.advice && h('p', { class: 'advice' }, finding.advice),
    h(
      'footer',
      {},
      h('button', { type: 'button', class: 'show', onclick: show }, 'Show where and when'),
      (stack.length > 1 || (finding.evidence?.length ?? 0) > 0) &&
        h(
          'details',
          {},
          h('summary', {}, 'Stack and evidence'),
          stack.length > 0 &&
            h('ol', { class: 'stack' }, ...stack.map((frame) => h('li', {}, name(frame.function), frame.at && h('code', {}, h('bdi', {}, frame.at))))),
          ...(finding.evidence ?? []).map((item) => h('p', { class: 'evidence' }, plain(item))),
        ),
    ),
  );
  element.addEventListener('click', (event) => {
    if (!(event.target as Element).closest('button, details, a') && !getSelection()?.toString()) show();
  });
  state.listen((view) => element.classList.toggle('chosen', view.finding === index));
  return element;
}

export function findingsSection(page: PageData, state: State): HTMLElement {
  const all = page.report?.findings ?? [];
  const numbered = all.map((finding, index) => ({ finding, index }));
  const isAccused = (f: Finding) => !['saturating', 'none', 'inconclusive'].includes(f.verdict ?? '');
  const accused = numbered.filter(({ finding }) => isAccused(finding));
  const open = numbered.filter(({ finding }) => finding.verdict === 'inconclusive');
  const cleared = numbered.filter(({ finding }) => finding.verdict === 'saturating' || finding.verdict === 'none');
  const cards = (list: typeof numbered) => h('div', { class: 'cards' }, ...list.map(({ finding, index }) => card(page, finding, index, state)));
  return h(
    'section',
    { id: 'findings', 'aria-label': 'Findings' },
    h('h2', {}, 'Findings'),
    !page.report && h('p', { class: 'empty' }, 'This page was made without an analysis, so nothing is judged here; the charts below show the run as it was.'),
    page.report && all.length === 0 && h('p', { class: 'empty good' }, 'Nothing leaks and nothing gets worse, as far as this run can tell.'),
    all.length > 0 && accused.length === 0 && h('p', { class: 'empty good' }, 'No leak and no degradation was found.'),
    accused.length > 0 && cards(accused),
    open.length > 0 && h('h3', { class: 'quiet' }, 'Not settled by this run'),
    open.length > 0 && cards(open),
    cleared.length > 0 && h('details', { class: 'cleared' }, h('summary', {}, `Looked at and cleared: ${cleared.length}`), cards(cleared)),
  );
}
