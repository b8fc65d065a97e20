// How each process was sampled: which intervals and rates held from when to when, when a family was off, and what the
// probe itself took.

import type { PageData, ProbeFacts, ReportProcess } from './data';
import { h } from './dom';
import * as format from './format';

const kSettings: Record<string, { title: string; show: (value: number) => string }> = {
  heap_interval_bytes: { title: 'heap', show: (value) => `every ${format.bytes(value)}` },
  cpu_hz: { title: 'CPU', show: (value) => `${format.number(value)} Hz` },
  wait_interval_ns: { title: 'waiting', show: (value) => `every ${format.nanoseconds(value)}` },
};
const kMostStretches = 60; // of one setting: the report's JSON has them all

interface Stretch {
  value: number;
  from_s: number;
  to_s: number;
}

/** "every 32 KiB to 0:04, then every 64 KiB", one setting at a time. */
export function held(stretches: Stretch[], show: (value: number) => string): string {
  const text = (stretch: Stretch) => (stretch.value > 0 ? show(stretch.value) : 'off');
  return stretches
    .slice(0, kMostStretches)
    .map((stretch, i) => (i + 1 < stretches.length ? `${text(stretch)} to ${format.elapsed(stretch.to_s)}` : text(stretch)))
    .concat(stretches.length > kMostStretches ? [`and ${stretches.length - kMostStretches} more changes`] : [])
    .join(', ');
}

function lines(probe: ProbeFacts): [string, string][] {
  const rows: [string, string][] = [];
  for (const [setting, { title, show }] of Object.entries(kSettings)) {
    const stretches = probe.settings.filter((s) => s.name === setting);
    if (stretches.length > 0) rows.push([title, held(stretches, show)]);
  }
  const off = new Map<string, string[]>();
  for (const gap of probe.not_recorded) {
    const when = `${format.elapsed(gap.from_s)} to ${format.elapsed(gap.to_s)}`;
    off.set(when, [...(off.get(when) ?? []), gap.family]);
  }
  for (const [when, families] of off) rows.push(['not recorded', `${families.join(', ')} from ${when}: missing there, not zero`]);
  if (probe.cpu_share !== null) {
    rows.push(['the probe', `${format.percent(probe.cpu_share)} of the process's CPU time by its own measure${probe.budget === null ? '' : `, budget ${format.percent(probe.budget)}`}`]);
  }
  return rows;
}

export function samplingSection(page: PageData): HTMLElement | null {
  const sampled = (page.report?.processes ?? []).filter((p): p is ReportProcess & { probe: ProbeFacts } => (p.probe?.settings.length ?? 0) > 0);
  if (sampled.length === 0) return null;
  return h(
    'section',
    { id: 'sampling', 'aria-label': 'Sampling' },
    h('h2', {}, 'Sampling', h('small', {}, 'how densely, from when to when')),
    h(
      'div',
      { class: 'scroll', tabindex: 0 },
      h(
        'table',
        {},
        h('thead', {}, h('tr', {}, h('th', {}, 'pid'), h('th', {}, 'What'), h('th', {}, 'How'))),
        h('tbody', {}, ...sampled.slice(0, 20).flatMap((p) => lines(p.probe).map(([what, how], i) => h('tr', {}, h('td', {}, i === 0 ? String(p.pid) : ''), h('td', {}, what), h('td', {}, how))))),
      ),
    ),
  );
}
