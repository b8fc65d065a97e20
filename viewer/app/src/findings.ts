// What the analysis found, most serious first: what, where, how much, since when, and what to do about it.

import type { Estimate, Finding, PageData, ReportFrame } from './data';
import { h, name } from './dom';
import * as format from './format';
import type { State, What } from './state';

interface Tone {
  tone: 'bad' | 'warn' | 'good' | 'plain';
  icon: string;
  text: string;
}

function toneOf(finding: Finding): Tone {
  const worse = finding.kind === 'degradation';
  switch (finding.verdict) {
    case 'leaks':
      return { tone: finding.confirmed ? 'bad' : 'warn', icon: '▲', text: worse ? 'gets worse' : 'leaks' };
    case 'step':
      return { tone: finding.confirmed ? 'bad' : 'warn', icon: '◣', text: worse ? 'got worse' : 'rose once' };
    case 'saturating':
      return { tone: 'good', icon: '◠', text: 'levels off' };
    case 'none':
      return { tone: 'good', icon: '✓', text: 'clear' };
    default:
      return { tone: 'plain', icon: '?', text: 'inconclusive' };
  }
}

/** Which flame graph shows it best. */
export function whatOf(finding: Finding): What {
  return ['heap', 'js-heap', 'rss', 'mmap'].includes(finding.resource) ? 'live' : 'cpu';
}

export const isAccusing = (finding: Finding): boolean => finding.verdict === 'leaks' || finding.verdict === 'step';

const placeOf = (frame: ReportFrame): string => (frame.file ? `${format.shortPath(frame.file)}${frame.line ? `:${frame.line}` : ''}` : format.shortPath(frame.module ?? ''));

function figure(rate: Estimate | null, label: string): HTMLElement | null {
  if (!rate) return null;
  const show = (n: number) => format.inUnit(n, rate.unit);
  return h(
    'div',
    { class: 'figure' },
    h('span', { class: 'figure-value' }, show(rate.value)),
    h('span', { class: 'figure-label' }, label),
    h('span', { class: 'figure-range', title: 'The true value lies in here with 95 % confidence' }, `95 %: ${show(rate.low)} to ${show(rate.high)}`),
  );
}

function since(finding: Finding): HTMLElement | null {
  const { since: began, forecast } = finding;
  if (!began && !forecast?.text && finding.needs_seconds === null) return null;
  const parts: (Node | string | null)[] = [];
  if (began) {
    const range = began.high_s - began.low_s >= 1 ? `95 %: ${format.elapsed(began.low_s)} to ${format.elapsed(began.high_s)}` : '';
    parts.push(began.from_start ? 'From the start' : h('span', { title: range }, 'Since ', h('strong', {}, format.elapsed(began.at_s))));
    if (began.until_s !== null) parts.push(` until ${format.elapsed(began.until_s)}`);
    if (began.window) parts.push(' in ', name(began.window));
  }
  if (forecast?.text) parts.push(parts.length > 0 ? ' · ' : '', forecast.text);
  if (finding.needs_seconds !== null) parts.push(parts.length > 0 ? ' · ' : '', `a run of ${format.duration(finding.needs_seconds)} would tell`);
  return h('p', { class: 'since' }, ...parts);
}

function card(finding: Finding, index: number, state: State): HTMLElement {
  const tone = toneOf(finding);
  const { stack, endpoint, span, peer } = finding.where;
  const place = stack[0] ? placeOf(stack[0]) : '';
  const show = () => {
    state.set({ finding: index, what: whatOf(finding), range: null, node: 0, search: '' });
    document.getElementById('timeline')?.scrollIntoView({ block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
  };
  const others = [endpoint, span, peer].filter((text): text is string => Boolean(text));
  const element = h(
    'article',
    { class: `finding ${tone.tone}`, 'data-index': index },
    h('header', {}, h('span', { class: 'chip' }, h('span', { 'aria-hidden': true }, `${tone.icon} `), tone.text), h('span', { class: 'confidence' }, `${format.percent(finding.confidence)} sure`)),
    h('h3', {}, name(finding.title)),
    (place || stack.length > 1 || others.length > 0) &&
      h(
        'p',
        { class: 'where' },
        ...others.map((text) => h('code', {}, h('bdi', {}, text), ' ')),
        place && h('code', {}, h('bdi', {}, place)),
        ...stack.slice(1, 3).map((frame) => h('span', { class: 'caller' }, ' ← ', name(format.shortName(frame.function), `${frame.function}\n${placeOf(frame)}`))),
        stack.length > 3 && h('span', { class: 'caller' }, ` ← ${stack.length - 3} more`),
      ),
    h('div', { class: 'figures' }, figure(finding.per_1000_requests, 'per 1,000 requests'), figure(finding.per_hour, 'per hour'), figure(finding.before, 'before'), figure(finding.after, 'after')),
    since(finding),
    finding.advice && h('p', { class: 'advice' }, finding.advice),
    h(
      'footer',
      {},
      h('button', { type: 'button', class: 'show', onclick: show }, 'Show where and when'),
      (stack.length > 1 || finding.evidence.length > 0) &&
        h(
          'details',
          {},
          h('summary', {}, 'Stack and evidence'),
          ...finding.evidence.map((item) => h('p', { class: 'evidence' }, item.text)),
          stack.length > 0 && h('ol', { class: 'stack' }, ...stack.map((frame) => h('li', {}, name(frame.function), placeOf(frame) && h('code', {}, h('bdi', {}, placeOf(frame)))))),
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
  const { report } = page;
  const numbered = (report?.findings ?? []).map((finding, index) => ({ finding, index }));
  const accused = numbered.filter(({ finding }) => isAccusing(finding));
  const open = numbered.filter(({ finding }) => finding.verdict === 'inconclusive');
  const cleared = numbered.filter(({ finding }) => finding.verdict === 'saturating' || finding.verdict === 'none');
  const cards = (list: typeof numbered) => h('div', { class: 'cards' }, ...list.map(({ finding, index }) => card(finding, index, state)));
  const smallest = report?.analysis.smallest_leak_per_1000_requests;
  const unjudged = report?.analysis.not_judged ?? [];
  const failed = (report?.gates ?? []).filter((gate) => !gate.passed);
  return h(
    'section',
    { id: 'findings', 'aria-label': 'Findings' },
    h('h2', {}, 'Findings'),
    !report && h('p', { class: 'empty' }, 'This page was made without an analysis, so nothing is judged here; the charts below show the run as it was.'),
    ...failed.map((gate) => h('p', { class: 'gate' }, h('b', {}, 'Gate crossed: '), name(gate.name), ' ', gate.text)),
    report && accused.length === 0 && report.verdict !== 'inconclusive' && h('p', { class: 'empty good' }, 'Nothing leaks and nothing gets worse, as far as this run can tell.'),
    accused.length > 0 && cards(accused),
    open.length > 0 && h('h3', { class: 'quiet' }, 'Not settled by this run'),
    open.length > 0 && cards(open),
    cleared.length > 0 && h('details', { class: 'cleared' }, h('summary', {}, `Looked at and cleared: ${cleared.length}`), cards(cleared)),
    smallest && h('p', { class: 'hint limits' }, `A heap leak of ${format.inUnit(smallest.value, smallest.unit)} per 1,000 requests or more would have been found.`),
    unjudged.length > 0 && h('details', { class: 'cleared' }, h('summary', {}, `Could not be judged: ${unjudged.length}`), h('ul', { class: 'unjudged' }, ...unjudged.map((text) => h('li', {}, text)))),
  );
}
