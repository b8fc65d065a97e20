// One page for who decides: what was run, what is wrong, what it leads to, and what to do first, each with its reason.

import type { Estimate, Finding, PageData } from './data';
import { h, name } from './dom';
import { isAccusing } from './findings';
import * as format from './format';
import type { State } from './state';

const kMostLines = 5;

const withRange = (e: Estimate): string => `${format.inUnit(e.value, e.unit)} (95 %: ${format.inUnit(e.low, e.unit)} to ${format.inUnit(e.high, e.unit)})`;

function servedText(page: PageData): string {
  const load = page.report?.load;
  if (!load || load.requests === 0) return `The run lasted ${format.duration(page.run.duration_s)}. Nobody counted its requests, so nothing is said per request.`;
  const parts = [
    `${format.count(load.requests)} requests in ${format.duration(page.run.duration_s)} (${format.count(load.requests / Math.max(1, page.run.duration_s))} /s)`,
    load.errors > 0 ? `${format.count(load.errors)} of them failed (${format.percent(load.errors / load.requests)})` : 'none of them failed',
  ];
  const { p50, p99 } = load.latency_ms;
  if (p50 !== null && p99 !== null) parts.push(`half were answered within ${format.milliseconds(p50)}, 99 of 100 within ${format.milliseconds(p99)}`);
  return `${parts.join('; ')}.`;
}

/** How much, since when, and where it ends, in one line. */
function consequence(finding: Finding): string {
  const parts: string[] = [];
  if (finding.before && finding.after) parts.push(`${format.inUnit(finding.before.value, finding.before.unit)} before, ${format.inUnit(finding.after.value, finding.after.unit)} after`);
  else if (finding.per_hour) parts.push(`${format.inUnit(finding.per_hour.value, finding.per_hour.unit)} an hour`);
  else if (finding.per_1000_requests) parts.push(`${format.inUnit(finding.per_1000_requests.value, finding.per_1000_requests.unit)} per 1,000 requests`);
  if (finding.since) parts.push(finding.since.from_start ? 'from the start' : `since ${format.elapsed(finding.since.at_s)}`);
  if (finding.forecast?.text) parts.push(finding.forecast.text);
  return parts.join(', ');
}

export function summarySection(page: PageData): HTMLElement {
  const { report, comparison } = page;
  const accused = (report?.findings ?? []).filter(isAccusing);
  const open = (report?.findings ?? []).filter((finding) => finding.verdict === 'inconclusive');
  const gates = report?.gates ?? [];
  const crossed = gates.filter((gate) => !gate.passed);
  const smallest = report?.analysis.smallest_leak_per_1000_requests;
  const lines: (HTMLElement | null)[] = [h('li', {}, servedText(page))];
  for (const finding of accused.slice(0, kMostLines)) {
    const how = consequence(finding);
    lines.push(h('li', { class: finding.confirmed ? 'bad' : 'warn' }, h('b', {}, name(finding.title)), how && h('span', {}, ': ', name(how)), '.'));
  }
  if (accused.length > kMostLines) lines.push(h('li', {}, `${accused.length - kMostLines} more findings are below.`));
  if (report && accused.length === 0) lines.push(h('li', { class: report.verdict === 'pass' ? 'good' : '' }, report.verdict === 'pass' ? 'Nothing leaks and nothing gets worse, as far as this run can tell.' : 'Nothing was found that is sure enough to act on.'));
  if (gates.length > 0) {
    lines.push(
      crossed.length === 0
        ? h('li', { class: 'good' }, `All ${gates.length} gates hold.`)
        : h('li', { class: 'bad' }, `${crossed.length} of ${gates.length} gates are crossed: `, name(crossed.slice(0, kMostLines).map((gate) => gate.name).join(', ')), '.'),
    );
  }
  if (comparison) lines.push(h('li', { class: comparison.verdict === 'worse' ? 'bad' : comparison.verdict === 'better' ? 'good' : '' }, 'Beside the base: ', name(comparison.summary)));
  if (open.length > 0) lines.push(h('li', {}, `${open.length} ${open.length === 1 ? 'suspicion is' : 'suspicions are'} not settled by a run of this length.`));
  if (smallest) lines.push(h('li', {}, `A heap leak smaller than ${format.inUnit(smallest.value, smallest.unit)} per 1,000 requests could have gone unseen.`));
  return h('section', { id: 'summary', 'aria-label': 'In short' }, h('h2', {}, 'In short'), h('ul', { class: 'short' }, ...lines));
}

interface Recommendation {
  action: string;
  reason: string;
  evidence: string[];
  finding: number;
}

/** What to do, most pressing first: accused stacks, then what only a longer run would settle. */
function recommendations(page: PageData): Recommendation[] {
  const list: Recommendation[] = [];
  (page.report?.findings ?? []).forEach((finding, index) => {
    const figures = [
      finding.per_1000_requests && `${withRange(finding.per_1000_requests)} per 1,000 requests`,
      finding.per_hour && `${withRange(finding.per_hour)} an hour`,
      finding.before && finding.after && `before ${withRange(finding.before)}, after ${withRange(finding.after)}`,
    ].filter((text): text is string => Boolean(text));
    const evidence = [...figures, ...finding.evidence.map((item) => item.text)];
    if (isAccusing(finding) && finding.advice) {
      list.push({ action: finding.advice, reason: `${finding.title}${finding.forecast?.text ? `; ${finding.forecast.text}` : ''}`, evidence, finding: index });
    } else if (finding.verdict === 'inconclusive' && finding.needs_seconds !== null) {
      list.push({ action: `Run it for ${format.duration(finding.needs_seconds)}.`, reason: finding.title, evidence, finding: index });
    }
  });
  return list;
}

export function recommendationsSection(page: PageData, state: State): HTMLElement | null {
  const list = recommendations(page);
  if (list.length === 0) return null;
  return h(
    'section',
    { id: 'recommendations', 'aria-label': 'What to do' },
    h('h2', {}, 'What to do', h('small', {}, 'most pressing first')),
    h(
      'ol',
      { class: 'todo' },
      ...list.map((item) =>
        h(
          'li',
          {},
          h('p', {}, h('b', {}, name(item.action))),
          h('p', { class: 'reason' }, 'Because: ', name(item.reason), '. ', h('button', { type: 'button', class: 'show', onclick: () => state.set({ finding: item.finding, range: null, node: 0, search: '' }) }, 'Show')),
          item.evidence.length > 0 && h('details', {}, h('summary', {}, 'Evidence'), ...item.evidence.map((text) => h('p', { class: 'evidence' }, name(text)))),
        ),
      ),
    ),
  );
}
