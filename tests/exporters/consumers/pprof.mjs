// tests/exporters/consumers/pprof.mjs PPROF_FORMAT FILE: a profile as the npm package pprof-format reads it, as JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';

const [directory, file] = process.argv.slice(2);
const { Profile } = createRequire(import.meta.url)(directory);
const profile = Profile.decode(gunzipSync(readFileSync(file)));
const texts = profile.stringTable.strings;
const text = (at) => texts[Number(at)];
const functions = new Map(profile.function.map((f) => [f.id.toString(), { name: text(f.name), file: text(f.filename) }]));
const mappings = new Map(profile.mapping.map((m) => [m.id.toString(), { file: text(m.filename), buildId: text(m.buildId), start: m.memoryStart.toString(), limit: m.memoryLimit.toString() }]));
const locations = new Map(
  profile.location.map((l) => [
    l.id.toString(),
    { mapping: mappings.get(l.mappingId.toString()) ?? null, address: l.address.toString(), lines: l.line.map((n) => ({ ...functions.get(n.functionId.toString()), line: Number(n.line) })) },
  ]),
);
console.log(
  JSON.stringify({
    types: profile.sampleType.map((t) => [text(t.type), text(t.unit)]),
    defaultType: text(profile.defaultSampleType),
    time: profile.timeNanos.toString(),
    duration: Number(profile.durationNanos),
    period: Number(profile.period),
    comments: profile.comment.map(text),
    mappings: [...mappings.values()],
    samples: profile.sample.map((s) => ({
      values: s.value.map(Number),
      locations: s.locationId.map((id) => locations.get(id.toString())),
      labels: Object.fromEntries(s.label.map((l) => [text(l.key), text(l.str)])),
    })),
  }),
);
