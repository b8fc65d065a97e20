// The verdict and what was run: the first line a reader sees.

import type { PageData } from './data';
import { h, name } from './dom';
import * as format from './format';
import type { State, Theme } from './state';

const kVerdicts: Record<string, { tone: string; icon: string; text: string }> = {
  pass: { tone: 'good', icon: '✓', text: 'Pass' },
  fail: { tone: 'bad', icon: '✕', text: 'Fail' },
  inconclusive: { tone: 'warn', icon: '?', text: 'Inconclusive' },
};

export function headerSection(page: PageData, state: State): HTMLElement {
  const { run } = page;
  const verdict = kVerdicts[page.report?.verdict ?? ''] ?? { tone: 'plain', icon: '–', text: page.report?.verdict ?? 'No verdict' };
  const requests = page.report?.load.requests ?? sum(page.load_sources.map((s) => s.requests));
  const errors = page.report?.load.errors ?? sum(page.load_sources.map((s) => s.errors));
  const p99 = page.report?.load.latency_ms.p99 ?? null;
  const tools = [...new Set(page.load_sources.map((s) => s.tool))];
  const processes = page.processes.length;
  const lost = page.lost.reduce((n, l) => n + l.records, 0);

  const fact = (label: string, value: Node | string | null, title = '') =>
    value === null || value === '' ? null : h('div', { class: 'fact', title }, h('dt', {}, label), h('dd', {}, value));
  const themes: [Theme, string][] = [
    ['auto', 'Auto'],
    ['light', 'Light'],
    ['dark', 'Dark'],
  ];
  const theme = h(
    'select',
    { id: 'theme', 'aria-label': 'Colours', onchange: (e: Event) => state.set({ theme: (e.target as HTMLSelectElement).value as Theme }) },
    ...themes.map(([value, text]) => h('option', { value }, text)),
  );
  theme.value = state.view.theme;

  return h(
    'header',
    { class: 'top' },
    h(
      'div',
      { class: 'headline' },
      h('div', { class: `verdict ${verdict.tone}`, id: 'verdict' }, h('span', { class: 'verdict-icon', 'aria-hidden': true }, verdict.icon), verdict.text),
      h('div', { class: 'headline-text' }, h('h1', {}, name(page.report?.summary ?? 'Not analysed')), h('p', { class: 'command' }, name(run.command || run.file))),
      h('div', { class: 'tools' }, theme, h('button', { type: 'button', id: 'help-button', title: 'Keys (?)', 'aria-label': 'Keys' }, '?')),
    ),
    h(
      'dl',
      { class: 'facts' },
      fact('Started', run.started_ms === null ? null : format.wallClock(run.started_ms)),
      fact('Lasted', format.duration(run.duration_s)),
      fact('Requests', requests === null ? null : format.count(requests)),
      fact('Errors', errors === null ? null : requests ? `${format.count(errors)} (${format.percent(errors / requests)})` : format.count(errors)),
      fact('p99', p99 === null ? null : format.milliseconds(p99)),
      fact('Load from', tools.length > 0 ? name(tools.join(', ')) : null),
      fact('Processes', processes > 1 ? String(processes) : null),
      fact('Host', run.host ? name(run.host, `${run.host}, Linux ${run.kernel}`) : null),
      fact('Machine', [run.cpus === null ? '' : `${run.cpus} CPUs`, run.memory_bytes === null ? '' : format.bytes(run.memory_bytes)].filter(Boolean).join(', ')),
      fact('Recorded', run.state === 'complete' ? null : run.state === 'post-mortem' ? 'post mortem: the server was killed' : run.state === 'snapshot' ? 'a snapshot of one instant' : run.state),
      fact('Records lost', lost > 0 ? format.count(lost) : null, page.lost.map((l) => `${l.kind}: ${l.records}`).join('\n')),
    ),
  );
}

function sum(list: (number | null)[]): number | null {
  const known = list.filter((n): n is number => n !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
}
