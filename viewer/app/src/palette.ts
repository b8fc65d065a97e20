// Colours that hold their difference for every kind of colour vision: Okabe and Ito's for lines, Paul Tol's "light"
// scheme (made to be written on) for frames. Lines also differ in dash, frames carry their names.

export const line = {
  light: { blue: '#0072b2', orange: '#c77c02', green: '#00805f', vermillion: '#d55e00', purple: '#a8508a', sky: '#2f8fcc' },
  dark: { blue: '#5aaae6', orange: '#f0b429', green: '#2fc99a', vermillion: '#ff8547', purple: '#dd8fbd', sky: '#7cc6f2' },
} as const;
export type LineColour = keyof (typeof line)['light'];

const kModules = ['#77aadd', '#ee8866', '#99ddff', '#bbcc33', '#ffaabb', '#44bb99', '#aaaa00'];
const kProgram = '#eedd88';
const kNeutral = '#cfd3d8';
export const kHit = '#ee3377';

function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length && i < 200; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

function mix(a: string, b: string, share: number): string {
  const part = (colour: string, i: number) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  return `#${[0, 1, 2]
    .map((i) => Math.round(part(a, i) * (1 - share) + part(b, i) * share).toString(16).padStart(2, '0'))
    .join('')}`;
}

/** Colours for the modules of a run, heaviest first: the program itself, then each library its own while there are any. */
export function moduleColours(modules: { path: string; isProgram: boolean }[]): Map<string, string> {
  const colours = new Map<string, string>();
  let next = 0;
  for (const { path, isProgram } of modules) colours.set(path, isProgram ? kProgram : kModules[next++ % kModules.length]!);
  return colours;
}

/** Frames that are no program's code, or nobody knows whose. */
export const isNeutral = (kind: string): boolean => ['kernel', 'unknown', 'lost', 'camprobe'].includes(kind);
export const neutral = kNeutral;
export const script = '#44bb99';

/** Neighbours in one module differ a little, always by the same for the same function. */
export function frameColour(base: string, functionName: string): string {
  return mix(base, '#ffffff', ((hash(functionName) % 7) / 7) * 0.38);
}

/** A frame that a search did not find. */
export const faded = (colour: string, dark: boolean): string => mix(colour, dark ? '#2a3038' : '#f1f3f5', 0.72);
