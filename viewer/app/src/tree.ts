// From weights by bucket and stack to one weighed tree: the part of the run a reader has chosen.

import type { FlameDatum } from 'd3-flame-graph';
import type { PageData, Profile } from './data';
import { shortName } from './format';
import type { What } from './state';

export interface Weighed {
  /** By node of PageData.nodes, in the profile's unit. */
  self: Float64Array;
  total: Float64Array;
  all: number;
  unit: Profile['unit'];
  /** How finely the heavy stacks are known in time. */
  width_s: number;
}

export function profileOf(page: PageData, what: What): Profile | undefined {
  return page.profiles.find((p) => p.what === (what === 'retained' ? 'live' : what));
}

/**
 * Weighs every stack over `range`. What happened counts by how much of its bucket lies in the range, as if it were spread
 * evenly over it; what lived is looked at from the edge of a bucket nearest to each end.
 */
export function weigh(page: PageData, what: What, range: [number, number] | null): Weighed {
  const { parent } = page.nodes;
  const self = new Float64Array(parent.length);
  const total = new Float64Array(parent.length);
  const profile = profileOf(page, what);
  for (const layer of profile?.layers ?? []) {
    const { width_s: width, at, gone, node, weight } = layer;
    const from = range?.[0] ?? 0;
    const to = range && range[1] < page.run.duration_s ? range[1] : Infinity;
    const first = Math.round(from / width);
    const past = Math.max(Math.round(to / width), 1);
    for (let i = 0; i < at.length; i++) {
      const a = at[i]!;
      let share: number;
      if (gone) {
        const g = gone[i]!;
        share = a < past && (g < 0 || g >= past) && (what === 'live' || a >= first) ? 1 : 0;
      } else {
        share = Math.max(0, Math.min(to, (a + 1) * width) - Math.max(from, a * width)) / width;
      }
      if (share > 0) self[node[i]!]! += weight[i]! * profile!.scale * share;
    }
  }
  total.set(self);
  for (let i = parent.length - 1; i > 0; i--) total[parent[i]!]! += total[i]!; // a parent always comes before its children
  return { self, total, all: total[0]!, unit: profile?.unit ?? 'ns', width_s: profile?.layers[0]?.width_s ?? 1 };
}

/** As many frames as a browser draws without a pause; lighter ones are left to `camprobe export`. */
const kMostFrames = 60_000;

/** The tree as the flame graph library takes it. `keep` and its callers are in it however light they are. */
export function toFlameTree(page: PageData, weighed: Weighed, keep: number): FlameDatum {
  const { parent, frame } = page.nodes;
  const { total } = weighed;
  let least = weighed.all * 1e-6;
  for (let frames = Infinity; ; least *= 3) {
    frames = 0;
    for (let i = 0; i < total.length; i++) if (total[i]! > least) frames++;
    if (frames <= kMostFrames) break;
  }
  const kept = new Set<number>();
  for (let i = keep; i > 0; i = parent[i]!) kept.add(i);
  const made: (FlameDatum | undefined)[] = new Array(total.length);
  const root: FlameDatum = { name: 'all', value: weighed.all, children: [], node: 0 };
  made[0] = root;
  for (let i = 1; i < total.length; i++) {
    const value = total[i]!;
    if (!(value > least || (value > 0 && kept.has(i)))) continue;
    const above = made[parent[i]!];
    if (!above) continue;
    const datum: FlameDatum = { name: page.frames.function[frame[i]!] ?? '', value, children: [], node: i };
    made[i] = datum;
    above.children.push(datum);
  }
  return root;
}

export interface FunctionWeight {
  frame: number;
  self: number;
  total: number;
}

/** Per function: its own weight, and that of all stacks it is in (once a stack, however often it calls itself). */
export function byFunction(page: PageData, weighed: Weighed): FunctionWeight[] {
  const { parent, frame } = page.nodes;
  const rows = new Map<number, FunctionWeight>();
  for (let i = 1; i < parent.length; i++) {
    if (!(weighed.total[i]! > 0)) continue;
    const f = frame[i]!;
    let row = rows.get(f);
    if (!row) rows.set(f, (row = { frame: f, self: 0, total: 0 }));
    row.self += weighed.self[i]!;
    let above = parent[i]!;
    while (above > 0 && frame[above] !== f) above = parent[above]!;
    if (above === 0) row.total += weighed.total[i]!;
  }
  return [...rows.values()].sort((a, b) => b.self - a.self || b.total - a.total);
}

/** Which frames a search finds, and the weight of the stacks that hold at least one. */
export function matches(page: PageData, weighed: Weighed, search: string): { frames: Uint8Array; weight: number; literal: boolean } {
  let literal = false;
  let test: (text: string) => boolean;
  try {
    const pattern = new RegExp(search, 'i');
    test = (text) => pattern.test(text);
  } catch {
    literal = true;
    const lower = search.toLowerCase();
    test = (text) => text.toLowerCase().includes(lower);
  }
  const { function: functions, module, strings, file } = page.frames;
  const frames = new Uint8Array(functions.length);
  for (let i = 0; i < functions.length; i++) {
    if (test(functions[i]!) || test(strings[module[i]!] ?? '') || test(strings[file[i]!] ?? '')) frames[i] = 1;
  }
  const { parent, frame } = page.nodes;
  const inside = new Uint8Array(parent.length);
  let weight = 0;
  for (let i = 1; i < parent.length; i++) {
    if (inside[parent[i]!]) {
      inside[i] = 1;
    } else if (frames[frame[i]!]) {
      inside[i] = 1;
      weight += weighed.total[i]!;
    }
  }
  return { frames, weight, literal };
}

/**
 * The heaviest node whose stack, from it towards the root, agrees with `leafFirst` for longest; 0 where none agrees. Short
 * names are compared: the report has names whole that the page had to cut.
 */
export function findStack(page: PageData, weighed: Weighed, leafFirst: string[]): number {
  const { parent, frame } = page.nodes;
  const wanted = leafFirst.map(shortName);
  const has = (node: number, i: number) => shortName(page.frames.function[frame[node]!] ?? '') === wanted[i];
  let best = 0;
  let bestLength = 0;
  for (let node = 1; node < parent.length; node++) {
    if (!(weighed.total[node]! > 0) || !has(node, 0)) continue;
    let length = 0;
    for (let at = node; at > 0 && length < wanted.length && has(at, length); at = parent[at]!) length++;
    if (length > bestLength || (length === bestLength && weighed.total[node]! > weighed.total[best]!)) {
      best = node;
      bestLength = length;
    }
  }
  return best;
}
