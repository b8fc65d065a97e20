// viewer/app/build.mjs OUTPUT: bundles src/ into one HTML file with room for the data (see viewer/html.cc).
//
// The page's policy names its one script and its one style by hash: should a name out of a run ever get past the
// escaping, the browser would still not run it.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const output = process.argv[2] ?? path.join(here, 'dist', 'camprobe.html');

const result = await build({
  entryPoints: [path.join(here, 'src', 'main.ts')],
  bundle: true,
  minify: true,
  write: false,
  outdir: 'out',
  format: 'iife',
  target: ['chrome90', 'firefox90', 'safari14'],
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
});
const text = (suffix) => {
  const file = result.outputFiles.find((f) => f.path.endsWith(suffix));
  if (!file) throw new Error(`esbuild made no ${suffix}`);
  return file.text;
};
const script = text('.js');
const style = text('.css');
if (/<\/script|<!--/i.test(script)) throw new Error('the script holds text that would end or hide it in HTML');
if (/<\/style/i.test(style)) throw new Error('the style holds text that would end it');
const hash = (s) => `'sha256-${createHash('sha256').update(s, 'utf8').digest('base64')}'`;

const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  'img-src data:',
  'connect-src {{camprobe-connect}}',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

const slots = { policy, style, script };
const page = (await readFile(path.join(here, 'src', 'index.html'), 'utf8')).replace(/\[\[(\w+)\]\]/g, (_, name) => slots[name]);
for (const slot of ['{{camprobe-connect}}', '{{camprobe-data}}']) {
  if (page.split(slot).length !== 2) throw new Error(`${slot} must stand in the page exactly once`);
}
await mkdir(path.dirname(output), { recursive: true });
await writeFile(`${output}.new`, page);
await rename(`${output}.new`, output);
