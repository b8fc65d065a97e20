// What the page reads: one JSON document, `camprobe.page/1`, made by viewer/page_data.cc. This file is its description.
//
// loadData() finds it inlined in the page (a report in one file) or, where the page is served, beside it under page.json.
//
// Times: `*_s` is seconds since the run began; run.started_ms turns them into a wall clock. Bucket i of a series covers
// [i * width_s, (i + 1) * width_s).

export interface PageData {
  schema: 'camprobe.page/1';
  run: RunFacts;
  report: Report | null;
  processes: Process[];
  timeline: Timeline;
  windows: LoadWindow[];
  marks: Mark[];
  load_sources: LoadSource[];
  frames: Frames;
  /** The tree all stacks share. Node 0 is the root; node i (> 0) is frames[frame[i]] called from node parent[i] < i. */
  nodes: { parent: number[]; frame: number[] };
  profiles: Profile[];
  sockets: Socket[];
  spans: Span[];
  traces: Traces;
  lost: { kind: string; records: number }[];
  /** What was folded to keep the page small, a sentence each. */
  notes: string[];
  /** camprobe.comparison/1 (docs/comparison.schema.json) with the runs named as the base; null where none was. */
  comparison: Comparison | null;
  /** Earlier runs, oldest first, and this one last; empty where none was named. */
  history: PastRun[];
}

export interface RunFacts {
  file: string;
  command: string;
  started_ms: number | null;
  duration_s: number;
  host: string;
  kernel: string;
  cpus: number | null;
  memory_bytes: number | null;
  /** complete | post-mortem | recording | snapshot */
  state: string;
  version: string;
}

export interface Process {
  id: number;
  pid: number;
  parent_pid: number | null;
  name: string;
  command: string;
  began_s: number;
  ended_s: number | null;
  ended_how: string;
  exit_status: number | null;
  probe_state: string;
  memory_limit_bytes: number | null;
  note: string;
}

export interface Timeline {
  width_s: number;
  buckets: number;
  series: Series[];
  latency_heat: LatencyHeat | null;
}

/**
 * Requests by time and latency: counts[column][row]. Column i covers [i * width_s, (i + 1) * width_s); row j is latencies
 * from lowest_ms * 2^(j / rows_per_octave) up to the next row's. Null where no load tool gave single latencies.
 */
export interface LatencyHeat {
  width_s: number;
  rows_per_octave: number;
  lowest_ms: number;
  counts: number[][];
}

/** Gauges as they are, counters per second. `process` null is the sum over all of them, 0 the machine. */
export interface Series {
  name: string;
  unit: string;
  process: number | null;
  values: (number | null)[];
}

export interface LoadWindow {
  name: string;
  kind: string;
  from_s: number;
  to_s: number;
}

export interface Mark {
  at_s: number;
  text: string;
  source: string;
}

export interface LoadSource {
  tool: string;
  requests: number | null;
  errors: number | null;
  latency_basis: string;
  skipped: number;
}

/** Columns; `file` and `module` index `strings`, whose entry 0 is "". */
export interface Frames {
  strings: string[];
  function: string[];
  file: number[];
  line: number[];
  module: number[];
  kind: string[];
}

export interface Profile {
  what: 'cpu' | 'alloc' | 'live' | 'wait';
  unit: 'ns' | 'bytes';
  /** Every weight times this is in `unit`. */
  scale: number;
  samples: number;
  /** Heavy stacks by narrow buckets, the light rest by wide ones. */
  layers: Layer[];
  /** Why there is nothing, where there is nothing. */
  absent?: string;
}

/**
 * Weights by bucket and stack. In `cpu`, `alloc` and `wait` entry i happened in bucket at[i]. In `live` it was allocated
 * in bucket at[i] and freed in bucket gone[i] (-1: alive when the run ended), so the bytes alive at any instant and those
 * retained from any range come from the same columns.
 */
export interface Layer {
  width_s: number;
  at: number[];
  gone?: number[];
  node: number[];
  weight: number[];
}

export interface Socket {
  kind: string;
  peer: string;
  opened: number;
  open: number;
  read_ops: number;
  read_bytes: number;
  write_ops: number;
  write_bytes: number;
  /** Who opened most of them, leaf first in text. */
  opened_by: string;
}

export interface Span {
  name: string;
  spans: number;
  total_ms: number;
  max_ms: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
}

/** Requests as trees over all processes, longest first; made by viewer/page_traces.cc. */
export interface Traces {
  /** Single spans that lie in no other, of which the list is a choice. */
  recorded: number;
  /** What the numbers in a TraceSpan stand for. */
  texts: string[];
  list: Trace[];
}

export interface Trace {
  /** 32 hexadecimal digits. */
  id: string;
  chosen: 'slowest' | 'random';
  at_s: number;
  ms: number;
  is_complete: boolean;
  /** Spans beyond the page's bound. */
  left_out: number;
  /** A parent before its children, which follow by time. */
  spans: TraceSpan[];
}

/** depth, name, process id, thread ("tid name"), beginning since the trace's (ms), length (ms; null: never ended), attributes. */
export type TraceSpan = [
  depth: number,
  name: number,
  process: number,
  thread: number | null,
  from_ms: number,
  ms: number | null,
  attributes: [key: number, value: string | number | boolean][],
];

// ---- camprobe.report/1 (docs/report.schema.json), as far as the page shows it.

export interface Report {
  schema: string;
  verdict: 'pass' | 'fail' | 'inconclusive';
  summary: string;
  load: { tool: string | null; counted_by: string; requests: number; errors: number; latency_ms: Quantiles };
  findings: Finding[];
  cam: {
    arbitration_ms: Quantiles | null;
    consensus_ms: Quantiles | null;
    provider_switch_rate: number | null;
    cost_optimization_rate: number | null;
    /** How often each was chosen. */
    providers: Record<string, number>;
  };
  processes?: ReportProcess[];
  gates: { name: string; passed: boolean; text: string }[];
  analysis: { smallest_leak_per_1000_requests: Estimate | null; not_judged: string[] };
}

export interface ReportProcess {
  id: number;
  pid: number;
  probe?: ProbeFacts;
}

/** How a process was sampled, and what that took. */
export interface ProbeFacts {
  cpu_share: number | null;
  budget: number | null;
  settings: { name: string; value: number; from_s: number; to_s: number }[];
  not_recorded: { family: string; from_s: number; to_s: number }[];
}

export interface Quantiles {
  count: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

/** A value with its 95 % interval. */
export interface Estimate {
  value: number;
  low: number;
  high: number;
  unit: string;
}

export interface ReportFrame {
  function: string;
  file: string | null;
  line: number | null;
  module: string | null;
}

export interface Finding {
  id: string;
  kind: 'leak' | 'degradation' | 'contention' | 'io' | 'budget';
  resource: string;
  verdict: 'leaks' | 'saturating' | 'step' | 'none' | 'inconclusive';
  /** It counts against the run. */
  confirmed: boolean;
  title: string;
  /** The stack begins at the program's own innermost frame. */
  where: { stack: ReportFrame[]; process: number | null; span: string | null; endpoint: string | null; peer: string | null };
  since: { at_s: number; low_s: number; high_s: number; from_start: boolean; until_s: number | null; window: string | null } | null;
  per_1000_requests: Estimate | null;
  per_hour: Estimate | null;
  before: Estimate | null;
  after: Estimate | null;
  forecast: { text: string } | null;
  confidence: number;
  /** A run this long would settle it. */
  needs_seconds: number | null;
  evidence: { what: string; text: string }[];
  advice: string;
}

// ---- camprobe.comparison/1 (docs/comparison.schema.json), as far as the page shows it.

export type ComparisonVerdict = 'same' | 'better' | 'worse' | 'cannot tell';

export interface Comparison {
  verdict: ComparisonVerdict;
  summary: string;
  base: { file: string; started_at: string | null; seconds: number; requests_per_second: number }[];
  load: { same: boolean; text: string };
  figures: ComparedFigure[];
  findings: { new: { id: string; title: string }[]; gone: { id: string; title: string }[] };
  notes: string[];
}

export interface ComparedFigure {
  metric: string;
  /** Null: all together. */
  endpoint: string | null;
  unit: string;
  verdict: ComparisonVerdict;
  base: Estimate | null;
  other: Estimate | null;
  /** Relative: 0.1 is 10 % more. */
  change: Estimate | null;
  change_is: 'relative' | 'absolute';
  why: string | null;
}

/** One run of a history, with its figures over all endpoints; made by collector/compare/history.cc. */
export interface PastRun {
  file: string;
  /** RFC 3339. */
  started_at: string;
  requests_per_second: number;
  confirmed_findings: number;
  figures: { metric: string; unit: string; value: number; low: number; high: number }[];
}

/** The document, wherever it is. Rejects with a sentence a reader can act on. */
export async function loadData(): Promise<PageData> {
  const inlined = document.getElementById('camprobe-data')?.textContent?.trim();
  let data: unknown;
  if (inlined) {
    data = JSON.parse(inlined);
  } else {
    const answer = await fetch('page.json');
    if (!answer.ok) throw new Error(`The server gave no data (${answer.status}). Is the run still there?`);
    data = await answer.json();
  }
  const page = data as PageData;
  if (page.schema !== 'camprobe.page/1') {
    throw new Error(`This page reads camprobe.page/1, its data is ${String(page.schema)}. Make the report again.`);
  }
  return page;
}
