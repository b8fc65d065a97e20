// What does not change by the second: CAM's own figures, spans, peers, processes, and what the page leaves out.

import type { PageData, Process, Quantiles } from './data';
import { h, name, replace } from './dom';
import * as format from './format';
import { samplingSection } from './sampling';

interface Column<Row> {
  title: string;
  hint?: string;
  value: (row: Row) => number | string | null;
  show: (row: Row) => Node | string;
}

function table<Row>(rows: Row[], columns: Column<Row>[], first: number): HTMLElement {
  let by = first;
  let down = true;
  const body = h('tbody');
  const heads = columns.map((column, i) =>
    h('th', { class: numeric(column, rows) ? 'n' : '', title: column.hint ?? '' }, h('button', { type: 'button', onclick: () => order(i) }, column.title)),
  );
  const fill = () => {
    const sorted = [...rows].sort((a, b) => {
      const x = columns[by]!.value(a);
      const y = columns[by]!.value(b);
      if (x === y) return 0;
      if (x === null) return 1;
      if (y === null) return -1;
      return (x < y ? -1 : 1) * (down ? -1 : 1);
    });
    heads.forEach((head, i) => head.setAttribute('aria-sort', i === by ? (down ? 'descending' : 'ascending') : 'none'));
    replace(body, ...sorted.map((row) => h('tr', {}, ...columns.map((column) => h('td', { class: numeric(column, rows) ? 'n' : '' }, column.show(row))))));
  };
  const order = (i: number) => {
    down = i === by ? !down : numeric(columns[i]!, rows);
    by = i;
    fill();
  };
  fill();
  return h('div', { class: 'scroll', tabindex: 0 }, h('table', {}, h('thead', {}, h('tr', {}, ...heads)), body));
}

const numeric = <Row>(column: Column<Row>, rows: Row[]): boolean => rows.some((row) => typeof column.value(row) === 'number');
const orDash = (value: number | null, show: (n: number) => string): string => (value === null ? '–' : show(value));

function section(id: string, title: string, hint: string, content: Node): HTMLElement {
  return h('section', { id, 'aria-label': title }, h('h2', {}, title, hint && h('small', {}, hint)), content);
}
const empty = (why: string) => h('p', { class: 'empty' }, why);

function cam(page: PageData): HTMLElement {
  const figures = page.report?.cam;
  const tiles: HTMLElement[] = [];
  const tile = (title: string, values: [string, string][], detail: string) =>
    tiles.push(
      h(
        'div',
        { class: 'tile' },
        h('div', { class: 'tile-name' }, title),
        h('div', { class: 'tile-values' }, ...values.map(([value, label]) => h('span', {}, h('b', {}, value), label && h('small', {}, label)))),
        h('div', { class: 'tile-detail' }, detail),
      ),
    );
  const times = (title: string, q: Quantiles | null | undefined) => {
    if (!q || q.count === 0) return;
    tile(title, (['p50', 'p95', 'p99'] as const).map((key) => [orDash(q[key], format.milliseconds), key]), `of ${format.count(q.count)}`);
  };
  times('Arbitration decision time', figures?.arbitration_ms);
  times('Consensus time', figures?.consensus_ms);
  if (figures && figures.provider_switch_rate !== null) {
    const providers = Object.entries(figures.providers).sort((a, b) => b[1] - a[1]);
    const all = providers.reduce((n, [, chosen]) => n + chosen, 0);
    const shares = providers.slice(0, 5).map(([provider, chosen]) => `${provider} ${format.percent(chosen / all)}`);
    tile('Provider switch rate', [[format.percent(figures.provider_switch_rate), '']], shares.join(', '));
  }
  if (figures && figures.cost_optimization_rate !== null) {
    tile('Cost optimization rate', [[format.percent(figures.cost_optimization_rate), '']], 'saved against the baseline');
  }
  return section(
    'cam',
    'Arbitration',
    '',
    tiles.length > 0
      ? h('div', { class: 'tiles' }, ...tiles)
      : empty('No span of an arbitration or a consensus was recorded. Name them with camprobe.h, with the attributes provider, cost and baseline_cost.'),
  );
}

function spans(page: PageData): HTMLElement {
  if (page.spans.length === 0) return section('spans', 'Spans', '', empty('The program marked no span. Two lines of camprobe.h around a piece of work show it here, on the timeline and in the flame graphs.'));
  return section(
    'spans',
    'Spans',
    '',
    table(
      page.spans,
      [
        { title: 'Span', value: (s) => s.name, show: (s) => name(s.name || '(unnamed)') },
        { title: 'Count', value: (s) => s.spans, show: (s) => format.count(s.spans) },
        { title: 'p50', value: (s) => s.p50_ms, show: (s) => orDash(s.p50_ms, format.milliseconds) },
        { title: 'p95', value: (s) => s.p95_ms, show: (s) => orDash(s.p95_ms, format.milliseconds) },
        { title: 'p99', value: (s) => s.p99_ms, show: (s) => orDash(s.p99_ms, format.milliseconds) },
        { title: 'Max', value: (s) => s.max_ms, show: (s) => format.milliseconds(s.max_ms) },
        { title: 'Total', hint: 'Added up over all of them', value: (s) => s.total_ms, show: (s) => format.milliseconds(s.total_ms) },
      ],
      6,
    ),
  );
}

const kSocketKinds: Record<string, string> = { accept: 'from clients', connect: 'to servers', listen: 'listening', socket: 'other' };

function sockets(page: PageData): HTMLElement {
  if (page.sockets.length === 0) return section('sockets', 'Sockets', '', empty('No socket was opened, or the socket family was switched off with CAMPROBE_FAMILIES.'));
  return section(
    'sockets',
    'Sockets',
    'by peer, over the whole run; bytes and operations are exact',
    table(
      page.sockets,
      [
        { title: 'Peer', value: (s) => s.peer, show: (s) => name(s.peer || '(none)') },
        { title: 'Kind', value: (s) => s.kind, show: (s) => kSocketKinds[s.kind] ?? s.kind },
        { title: 'Opened', value: (s) => s.opened, show: (s) => format.count(s.opened) },
        { title: 'Still open', hint: 'When the run ended', value: (s) => s.open, show: (s) => format.count(s.open) },
        { title: 'Read', value: (s) => s.read_bytes, show: (s) => format.bytes(s.read_bytes) },
        { title: 'Reads', value: (s) => s.read_ops, show: (s) => format.count(s.read_ops) },
        { title: 'Written', value: (s) => s.write_bytes, show: (s) => format.bytes(s.write_bytes) },
        { title: 'Writes', value: (s) => s.write_ops, show: (s) => format.count(s.write_ops) },
        { title: 'Opened by', value: (s) => s.opened_by, show: (s) => h('span', { class: 'opened-by' }, s.opened_by ? name(s.opened_by) : '–') },
      ],
      4,
    ),
  );
}

function ending(p: Process): string {
  if (p.exit_status !== null) return `${p.ended_how} (${p.exit_status})`;
  return p.ended_how || 'running';
}

function processes(page: PageData): HTMLElement {
  if (page.processes.length === 0) return section('processes', 'Processes', '', empty('The run names no process.'));
  return section(
    'processes',
    'Processes',
    '',
    table(
      page.processes,
      [
        { title: 'Process', value: (p) => p.name, show: (p) => name(p.name || '(unnamed)', p.command) },
        { title: 'pid', value: (p) => p.pid, show: (p) => String(p.pid) },
        { title: 'Parent', value: (p) => p.parent_pid, show: (p) => orDash(p.parent_pid, String) },
        { title: 'Began', value: (p) => p.began_s, show: (p) => format.elapsed(p.began_s) },
        { title: 'Ended', value: (p) => p.ended_s, show: (p) => orDash(p.ended_s, format.elapsed) },
        { title: 'How', value: ending, show: ending },
        { title: 'Memory limit', value: (p) => p.memory_limit_bytes, show: (p) => orDash(p.memory_limit_bytes, format.bytes) },
        { title: 'Probe', value: (p) => p.probe_state, show: (p) => h('span', {}, p.probe_state, p.note ? ': ' : '', p.note ? name(p.note) : '') },
      ],
      3,
    ),
  );
}

function foot(page: PageData): HTMLElement {
  const lines = [...page.notes];
  for (const lost of page.lost) lines.push(`${format.count(lost.records)} records of kind ${lost.kind} were lost before they could be read.`);
  const skipped = page.load_sources.reduce((n, s) => n + s.skipped, 0);
  if (skipped > 0) lines.push(`${format.count(skipped)} rows of the load tool's output could not be read.`);
  if (page.load_sources.some((s) => s.latency_basis === 'sent')) {
    lines.push('The load tool counted latency from when it sent each request: a server that stalls looks better than it is to users who wait.');
  }
  return h(
    'footer',
    { class: 'foot' },
    lines.length > 0 && h('ul', {}, ...lines.map((text) => h('li', {}, text))),
    h('p', {}, `camprobe ${page.run.version} · `, name(page.run.file), ' · press ? for keys'),
  );
}

export function tablesSections(page: PageData): HTMLElement[] {
  const sampling = samplingSection(page);
  return [cam(page), spans(page), sockets(page), processes(page), ...(sampling ? [sampling] : []), foot(page)];
}
