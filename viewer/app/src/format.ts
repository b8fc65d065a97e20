// Figures as people read them: three digits, a unit, a true minus.

const trim = (n: number, digits: number): string => {
  const text = n.toFixed(digits);
  return (digits > 0 ? text.replace(/\.?0+$/, '') : text).replace(/^-/, '−');
};

/** Three significant digits without an exponent: 0.0123, 1.23, 12.3, 1,234. */
export function number(n: number): string {
  const size = Math.abs(n);
  if (size === 0) return '0';
  if (size >= 100) return Math.round(n).toLocaleString('en-US').replace(/^-/, '−');
  if (size >= 10) return trim(n, 1);
  if (size >= 1) return trim(n, 2);
  return trim(n, Math.min(6, 2 - Math.floor(Math.log10(size))));
}

export function count(n: number): string {
  const size = Math.abs(n);
  if (size >= 10e9) return `${number(n / 1e9)} G`;
  if (size >= 10e6) return `${number(n / 1e6)} M`;
  if (size >= 100e3) return `${number(n / 1e3)} k`;
  return Number.isInteger(n) ? Math.round(n).toLocaleString('en-US').replace(/^-/, '−') : number(n);
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  let size = n;
  while (Math.abs(size) >= 1000 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(size) : number(size)} ${units[unit]}`;
}

export function nanoseconds(ns: number): string {
  const size = Math.abs(ns);
  if (size === 0) return '0';
  if (size >= 3600e9) return `${number(ns / 3600e9)} h`;
  if (size >= 600e9) return `${number(ns / 60e9)} min`;
  if (size >= 1e9) return `${number(ns / 1e9)} s`;
  if (size >= 1e6) return `${number(ns / 1e6)} ms`;
  if (size >= 1e3) return `${number(ns / 1e3)} µs`;
  return `${number(ns)} ns`;
}

export const milliseconds = (ms: number): string => nanoseconds(ms * 1e6);

export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const p = share * 100;
  if (p === 0) return '0 %';
  if (Math.abs(p) < 0.01) return '< 0.01 %';
  return `${trim(p, Math.abs(p) >= 10 ? 1 : 2)} %`;
}

/** A value in the unit the data names. */
export function inUnit(value: number, unit: string): string {
  switch (unit) {
    case 'bytes':
      return bytes(value);
    case 'bytes_per_second':
      return `${bytes(value)}/s`;
    case 'ns':
      return nanoseconds(value);
    case 'ms':
      return milliseconds(value);
    case 'ratio':
      return percent(value);
    case 'cores':
      return `${number(value)} ${Math.abs(value - 1) < 0.005 ? 'core' : 'cores'}`;
    case 'per_second':
    case 'count_per_second':
      return `${count(value)} /s`;
    case 'count':
    case '':
      return count(value);
    default:
      return `${count(value)} ${unit}`;
  }
}

const two = (n: number): string => String(n).padStart(2, '0');

/** Time since the start, as a clock: 0:05, 12:34, 1:02:03, 2d 03:04:05. */
export function elapsed(seconds: number): string {
  const negative = seconds < 0 ? '−' : '';
  const whole = Math.floor(Math.abs(seconds));
  const s = whole % 60;
  const m = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  if (hours >= 24) return `${negative}${Math.floor(hours / 24)}d ${two(hours % 24)}:${two(m)}:${two(s)}`;
  return hours > 0 ? `${negative}${hours}:${two(m)}:${two(s)}` : `${negative}${m}:${two(s)}`;
}

/** A length of time in words: 45 s, 2 min 5 s, 3 h 10 min, 2 d 4 h. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${number(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const parts: [number, string, number, string][] = [
    [60, 'min', 1, 's'],
    [3600, 'h', 60, 'min'],
    [86400, 'd', 3600, 'h'],
  ];
  let text = '';
  for (const [big, bigName, small, smallName] of parts) {
    if (whole < big) break;
    const rest = Math.floor((whole % big) / small);
    text = `${Math.floor(whole / big)} ${bigName}${rest > 0 ? ` ${rest} ${smallName}` : ''}`;
  }
  return text;
}

export function wallClock(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

const kOperators = /\boperator\s*(\(\)|\[\]|<=>|<<=|>>=|->\*|<<|>>|->|<=|>=|<|>)/g;

const shortNames = new Map<string, string>();

/** A function's name without return type, template arguments and parameters: what tells it from its neighbours. */
export function shortName(full: string): string {
  let short = shortNames.get(full);
  if (short === undefined) shortNames.set(full, (short = shorten(full)));
  return short;
}

function shorten(full: string): string {
  if (full.length < 12 || !/[(<]/.test(full) || /^\[/.test(full)) return full;
  const kept: string[] = [];
  const keep = (text: string) => `\u0001${String.fromCharCode(0xe000 + kept.push(text) - 1)}`;
  const text = full.replace(/\(anonymous namespace\)/g, (t) => keep(t)).replace(kOperators, (t) => keep(t));
  let out = '';
  let angles = 0;
  let parens = 0;
  for (const c of text) {
    if (c === '<') angles++;
    else if (c === '>' && angles > 0) angles--;
    else if (c === '(') parens++;
    else if (c === ')' && parens > 0) parens--;
    else if (angles === 0 && parens === 0) out += c;
  }
  // No C++ name after all, unless it was too long to be whole.
  if ((angles !== 0 || parens !== 0) && !full.endsWith('…')) return full;
  out = out.replace(/( const| volatile|&&|&)+$/, '').trim();
  if (!/operator [\w ]+$/.test(out) && !/thunk|^guard|^vtable|^typeinfo/.test(out)) out = out.slice(out.lastIndexOf(' ') + 1);
  out = out.replace(/\u0001([\ue000-\uf8ff])/g, (_, at: string) => kept[at.charCodeAt(0) - 0xe000] ?? '');
  return out || full;
}

/** As much of the end of a short name as `pixels` hold: the last parts tell most. */
export function label(full: string, pixels: number): string {
  const most = (pixels - 10) / 6.3;
  let text = shortName(full);
  for (let next = text.indexOf('::'); text.length > most && next >= 0; next = text.indexOf('::')) text = text.slice(next + 2);
  return text.length > 400 ? text.slice(0, 400) : text;
}

/** A place in the source, the end of its path being what tells most. */
export function shortPath(path: string): string {
  const parts = path.split('/');
  return path.length > 36 && parts.length > 3 ? `…/${parts.slice(-2).join('/')}` : path;
}
